"""libvirt connection URIs: parsed whole, refused clearly, never opened here.

The grammar is libvirt's own (``driver[+transport]://[user@][host][:port]/path[?parameters]``) cut
down to what NovaCron drives: QEMU and libvirt's test driver, on this machine or over SSH.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from drivers.errors import Refused

_DRIVERS = ("qemu", "test")
_TRANSPORTS = ("", "ssh", "unix")
_MODES = ("", "auto", "legacy", "direct")
_PROXIES = ("", "auto", "netcat", "native")
_OWN = (
    "keyfile",
    "known_hosts",
    "socket",
    "mode",
    "no_verify",
    "no_tty",
    "proxy",
    "netcat",
    "command",
)
# Parameters libvirt knows and that change nothing for the transports driven here (name= where it
# says what the path says).
_KEPT = ("name", "auth", "sshauth", "known_hosts_verify", "pkipath", "no_sanity", "tls_priority")
_UNSAFE = " /\\'\"`$;&|<>()*?!"
_EXAMPLE = "write it like qemu+ssh://root@kvm1/system"


@dataclass(frozen=True, slots=True)
class LibvirtUri:
    """One parsed URI, percent-decoded.

    Attributes:
        driver: ``qemu`` or ``test``.
        transport: ``ssh``, ``unix`` or empty (libvirt's default on this machine).
        user: Login on the host; empty leaves it to ssh_config.
        host: Name or address without brackets; empty on this machine.
        port: TCP port of sshd; None leaves it to ssh_config.
        path: ``/system``, ``/session``, or the test driver's path.
        keyfile: Private key to log in with.
        known_hosts: File of host keys to check against, instead of ssh_config's.
        socket: Path of libvirtd's socket on the host.
        mode: ``auto``, ``legacy`` or ``direct``: which of libvirt's sockets is meant.
        no_verify: The URI asks not to check the host key.
        no_tty: The URI asks never to prompt.
        proxy: ``auto``, ``netcat`` or ``native``: what joins the SSH channel to the socket.
        netcat: Netcat binary on the host.
        command: ssh binary for libvirt's own client.
        extras: Further parameters libvirt knows.
    """

    driver: str
    transport: str = ""
    user: str = ""
    host: str = ""
    port: int | None = None
    path: str = "/system"
    keyfile: str = ""
    known_hosts: str = ""
    socket: str = ""
    mode: str = ""
    no_verify: bool = False
    no_tty: bool = False
    proxy: str = ""
    netcat: str = ""
    command: str = ""
    extras: Mapping[str, str] = field(default_factory=dict)

    @property
    def over_ssh(self) -> bool:
        """True when the host is reached through sshd."""
        return self.transport == "ssh"

    @property
    def local(self) -> str:
        """The URI as the host itself would write it, such as ``qemu:///system``."""
        return f"{self.driver}://{quote(self.path)}"

    def __str__(self) -> str:
        scheme = f"{self.driver}+{self.transport}" if self.transport else self.driver
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        host = f"[{self.host.replace('%', '%25')}]" if ":" in self.host else quote(self.host)
        port = f":{self.port}" if self.port is not None else ""
        given: dict[str, str] = {}
        for name in _OWN:
            value = getattr(self, name)
            if value:
                given[name] = "1" if value is True else value
        given.update(self.extras)
        query = "&".join(f"{name}={quote(value, safe='/')}" for name, value in given.items())
        return f"{scheme}://{user}{host}{port}{quote(self.path)}" + (f"?{query}" if query else "")


def parse_uri(text: str) -> LibvirtUri:
    """Parse a libvirt URI.

    Args:
        text: The URI as a person or a configuration file wrote it.

    Raises:
        Refused: It is no URI, or one that NovaCron cannot drive; says what, proof and fix.
    """
    text = text.strip()
    if not text or any(ord(c) <= 0x20 or ord(c) == 0x7F for c in text):
        raise _refuse("it is empty or holds spaces or control characters", text)
    scheme, mark, rest = text.partition("://")
    if not mark:
        raise _refuse("it has no ://", text)
    driver, _, transport = scheme.lower().partition("+")
    _check_scheme(driver, transport, "+" in scheme, text)
    try:
        parts = urlsplit("//" + rest)
    except ValueError as error:
        raise _refuse("its host is malformed", f"{masked(text)}: {error}") from None
    if parts.fragment or rest.endswith("#"):
        raise _refuse("it has a # part, which libvirt does not know", text)
    user, host, port = _authority(parts.netloc, text)
    path = _decode(parts.path, "path", text)
    _check_place(driver, transport, user, host, port, text)
    _check_path(driver, path, text)
    uri = LibvirtUri(
        driver, transport, user, host, port, path, **_parameters(parts.query, transport, text)
    )
    if uri.extras.get("name", uri.local) != uri.local:
        fix = f"leave name= out: what is opened there is {uri.local}"
        raise _refuse("its name= is another than its path", text, fix=fix)
    return uri


def _check_scheme(driver: str, transport: str, plus: bool, text: str) -> None:
    if driver not in _DRIVERS:
        raise Refused(
            f"NovaCron does not drive {driver or 'nothing'!r} hypervisors",
            proof=masked(text),
            fix="use a qemu or test URI, such as qemu+ssh://root@kvm1/system",
        )
    if transport not in _TRANSPORTS or (plus and not transport):
        raise Refused(
            f"the transport {transport!r} is not supported",
            proof=masked(text),
            fix=f"use {driver}+ssh (SSH is built in), {driver}+unix, or {driver} for this machine",
        )


def _authority(netloc: str, text: str) -> tuple[str, str, int | None]:
    userinfo, at, place = netloc.rpartition("@")
    user = _decode(userinfo, "user", text)
    if ":" in userinfo:
        raise _refuse(
            "it carries a password",
            text,
            fix="leave the password out; the console asks for it when sshd does",
        )
    if at and not user:
        raise _refuse("its user is empty", text)
    if place.startswith("["):
        host, bracket, tail = place[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise _refuse("its IPv6 address is malformed", text)
        host = _ipv6(host, text)
    else:
        host, colon, after = place.partition(":")
        tail = colon + after
        host = _decode(host, "host", text)
    if tail == ":":
        raise _refuse("its port is empty", text)
    for name, value, extra in (("user", user, ""), ("host", host, "@")):
        # A leading dash would be read as an option by programs that get it on a command line.
        if value.startswith("-") or any(c in value for c in _UNSAFE + extra):
            raise _refuse(f"its {name} {value!r} cannot be a {name} name", text)
    return user, host, _port(tail[1:], text) if tail else None


def _ipv6(host: str, text: str) -> str:
    host = unquote(host)
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise _refuse(f"{host!r} is no IPv6 address", text) from None
    return host


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6 and 0 < int(digits) < 65536):
        raise _refuse(f"{digits!r} is no port", text, fix="a port is a number from 1 to 65535")
    return int(digits)


def _check_place(
    driver: str, transport: str, user: str, host: str, port: int | None, text: str
) -> None:
    if transport == "ssh":
        if not host:
            raise _refuse("it names no host", text, fix=f"write {driver}+ssh://HOST/...")
    elif host:
        raise _refuse(
            f"it names host {host!r} with no SSH transport",
            text,
            fix=f"write {driver}+ssh://{host}/... for a remote host, {driver}:///... for this one",
        )
    elif user or port is not None:
        raise _refuse("it names a user or port but no host", text)


def _check_path(driver: str, path: str, text: str) -> None:
    if driver == "qemu" and path not in ("/system", "/session"):
        raise _refuse(
            f"{path or 'an empty path'!r} is neither /system nor /session",
            text,
            fix="end it with /system (all of the host) or /session (one user's machines)",
        )
    if driver == "test" and len(path) < 2:
        raise _refuse("it names no test fleet", text, fix="write test:///default")


def _parameters(query: str, transport: str, text: str) -> dict[str, Any]:
    own: dict[str, Any] = {}
    extras: dict[str, str] = {}
    for part in query.replace(";", "&").split("&"):
        if not part:
            continue
        name, _, raw = part.partition("=")
        name = _decode(name, "parameter", text)
        value = _decode(raw, name, text)
        if name in own or name in extras:
            raise _refuse(f"it gives {name}= twice", text)
        if name in ("no_verify", "no_tty"):
            own[name] = _flag(name, value, text)
        elif name in _OWN:
            own[name] = _checked(name, value, text)
        elif name in _KEPT:
            extras[name] = value
        else:
            known = ", ".join(_OWN)
            raise _refuse(f"it has an unknown parameter {name!r}", text, fix=f"known: {known}")
    if transport == "" and own.get("socket"):
        raise _refuse("socket= needs a transport", text, fix="write qemu+unix:///...?socket=PATH")
    if extras:
        own["extras"] = extras
    return own


def _flag(name: str, value: str, text: str) -> bool:
    if value not in ("0", "1"):
        raise _refuse(f"{name}={value} is neither 0 nor 1", text)
    return value == "1"


def _checked(name: str, value: str, text: str) -> str:
    if not value:
        raise _refuse(f"{name}= is empty", text)
    allowed = {"mode": _MODES[1:], "proxy": _PROXIES[1:]}.get(name)
    if allowed and value not in allowed:
        raise _refuse(f"{name}={value} is not known", text, fix=f"one of {', '.join(allowed)}")
    if name == "socket" and not value.startswith("/"):
        raise _refuse("socket= is no absolute path", text)
    return value


def _decode(raw: str, what: str, text: str) -> str:
    try:
        value = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise _refuse(f"its {what} is not UTF-8", text) from None
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in value):
        raise _refuse(f"its {what} holds control characters", text)
    return value


def masked(text: str) -> str:
    """``text`` without control characters and without anything that may be a password."""
    scheme, mark, rest = text.partition("://")
    end = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    userinfo, at, place = rest[:end].rpartition("@")
    if at and ":" in userinfo:
        userinfo = userinfo.partition(":")[0] + ":***"
    return "".join(
        c if c.isprintable() else "?" for c in scheme + mark + userinfo + at + place + rest[end:]
    )


def _refuse(what: str, proof: str, fix: str = _EXAMPLE) -> Refused:
    return Refused(f"not a usable libvirt URI: {what}", proof=masked(proof), fix=fix)
