"""How ``ssh`` would reach a host: ssh_config resolved for one hop.

Where the OpenSSH client is installed, ``ssh -G`` answers, so that Include, Match, canonical names
and defaults are resolved exactly as ``ssh`` does. Elsewhere asyncssh's parser reads the same files.
"""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import os
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asyncssh.config import ConfigParseError, SSHClientConfig

from drivers.errors import Refused, TimedOut
from drivers.ssh.words import address, is_count, one_line

_DEFAULT_IDENTITIES = ("id_rsa", "id_ecdsa", "id_ed25519")
_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
_TOKEN = re.compile(r"%(.)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_CONFIG_S = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """One hop as resolved: whom to dial and how to prove who is who. Paths are expanded.

    Attributes:
        alias: The name as a person wrote it, which ssh_config was asked for.
        agent: Path of the agent's socket, empty for none.
        jump: ProxyJump as configured (``user@host:port,...``), empty for none.
        proxy_command: ProxyCommand with its tokens expanded, empty for none.
        strict: StrictHostKeyChecking: ``yes``, ``ask``, ``accept-new`` or ``no``.
        connect_s: ConnectTimeout in seconds, None when not set.
        alive_s: ServerAliveInterval in seconds, 0 when not set.
        preferred: Authentication methods in the order to try.
        algorithms: asyncssh option name to the algorithms ssh_config allows.
    """

    alias: str
    host: str
    port: int = 22
    user: str = ""
    identities: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    identities_only: bool = False
    agent: str = ""
    jump: str = ""
    proxy_command: str = ""
    user_known_hosts: tuple[str, ...] = ()
    global_known_hosts: tuple[str, ...] = ()
    host_key_alias: str = ""
    strict: str = "ask"
    hash_known_hosts: bool = False
    connect_s: float | None = None
    alive_s: float = 0.0
    alive_count: int = 3
    preferred: tuple[str, ...] = ("publickey", "keyboard-interactive", "password")
    family: str = "any"
    compression: bool = False
    algorithms: Mapping[str, tuple[str, ...]] | None = None

    @property
    def address(self) -> str:
        """``host:port`` as dialled."""
        return address(self.host, self.port)

    @property
    def key_name(self) -> str:
        """The name this host has in known_hosts: ``host``, ``[host]:port`` or its alias."""
        if self.host_key_alias:
            return self.host_key_alias.lower()
        host = self.host.lower()
        return host if self.port == 22 else f"[{host}]:{self.port}"


@dataclass(frozen=True, slots=True)
class Ask:
    """What is known of a hop before ssh_config is read; it wins over ssh_config."""

    alias: str
    user: str = ""
    port: int | None = None
    keyfile: str = ""
    known_hosts: str = ""
    jump: str | None = None
    config_file: str = ""


def parse_jump(text: str, config_file: str = "") -> tuple[Ask, ...]:
    """The hops of a ProxyJump value, nearest first; ``none`` and empty give no hop.

    As ``ssh`` does, the last hop is asked for with the earlier ones as its own ProxyJump.
    """
    if not text or text.lower() == "none":
        return ()
    hops: list[Ask] = []
    for part in text.split(","):
        place = part.strip().removeprefix("ssh://")
        user, _, place = place.rpartition("@")
        if place.startswith("["):
            host, _, tail = place[1:].partition("]")
            digits = tail.removeprefix(":")
        elif place.count(":") == 1:
            host, _, digits = place.partition(":")
        else:
            host, digits = place, ""
        if not host or host.startswith("-") or (digits and not is_count(digits)):
            raise Refused(
                "ProxyJump cannot be understood",
                proof=one_line(text),
                fix="write it as user@host:port,user@host:port in ssh_config",
            )
        hops.append(Ask(host, user, int(digits) if digits else None, config_file=config_file))
    return tuple(hops)


async def resolve(ask: Ask, *, timeout: float = _CONFIG_S) -> Target:
    """Resolve one hop through ssh_config.

    Raises:
        Refused: ssh_config has an error; its own words are the proof.
        TimedOut: A ``Match exec`` in it did not end.
    """
    if ask.config_file and not _own_config(ask).is_file():
        raise Refused(
            f"the ssh_config {ask.config_file} is not there",
            fix="correct ssh_config in fleet.toml",
        )
    ssh = shutil.which("ssh")
    values = await _ask_ssh(ssh, ask, timeout) if ssh else _ask_asyncssh(ask)
    target = _target(ask, values)
    if ask.known_hosts:
        target = replace(target, user_known_hosts=(expand(ask.known_hosts, target),))
    if ask.jump is not None:
        target = replace(target, jump=ask.jump, proxy_command="")
    return target


async def _ask_ssh(ssh: str, ask: Ask, timeout: float) -> dict[str, list[str]]:
    argv = [ssh, "-G"]
    if ask.config_file:
        argv += ["-F", str(_own_config(ask))]
    if ask.user:
        argv += ["-l", ask.user]
    if ask.port is not None:
        argv += ["-p", str(ask.port)]
    if ask.keyfile:
        argv += ["-i", ask.keyfile]
    process = await asyncio.create_subprocess_exec(
        *argv,
        "--",
        ask.alias,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # a Match exec must not prompt on the console's terminal
    )
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except BaseException as error:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if isinstance(error, TimeoutError):
            raise TimedOut(
                f"ssh_config for {ask.alias} was not resolved within {timeout:g} s",
                proof="ssh -G " + ask.alias,
                fix="look for a Match exec in ssh_config that hangs",
            ) from None
        raise
    if process.returncode:
        raise Refused(
            f"ssh_config cannot be used for {ask.alias}",
            proof=one_line(err.decode(errors="replace")),
            fix=f"run: ssh -G {ask.alias}",
        )
    return parse_ssh_g(out.decode(errors="surrogateescape"))


def _own_config(ask: Ask) -> Path:
    return Path(ask.config_file).expanduser() if ask.config_file else Path.home() / ".ssh/config"


def parse_ssh_g(text: str) -> dict[str, list[str]]:
    """The lines of ``ssh -G``: lower-case option to its values in order."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        values.setdefault(name.lower(), []).append(value.strip())
    return values


def _ask_asyncssh(ask: Ask) -> dict[str, list[str]]:
    own = _own_config(ask)
    paths = [own] if ask.config_file else [own, _SYSTEM_CONFIG]
    try:
        config = SSHClientConfig.load(
            None,
            [str(p) for p in paths if p.is_file()],
            False,
            False,
            False,
            getpass.getuser(),
            ask.user or (),
            ask.alias,
            ask.port if ask.port is not None else (),
        )
    except (ConfigParseError, OSError) as error:
        raise Refused(f"ssh_config cannot be used for {ask.alias}", proof=str(error)) from None
    values: dict[str, list[str]] = {}
    for name, value in config.get_options(False).items():
        items = value if isinstance(value, list) else [value]
        words = [("yes" if v else "no") if isinstance(v, bool) else str(v) for v in items]
        values[name.lower()] = [" ".join(words)] if name.endswith("HostsFile") else words
    if ask.keyfile:
        values["identityfile"] = [ask.keyfile, *values.get("identityfile", [])]
    return values


def _target(ask: Ask, values: Mapping[str, Sequence[str]]) -> Target:
    def one(name: str, default: str = "") -> str:
        return values.get(name, [default])[0]

    def yes(name: str, default: str) -> bool:
        return one(name, default).lower() in ("yes", "true")

    methods = [m for m in one("preferredauthentications").split(",") if m]
    switches = {
        "publickey": one("pubkeyauthentication", "yes") not in ("no", "false"),
        "keyboard-interactive": yes("kbdinteractiveauthentication", "yes"),
        "password": yes("passwordauthentication", "yes"),
    }
    connect = one("connecttimeout", "none")
    target = Target(
        alias=ask.alias,
        host=one("hostname", ask.alias),
        port=ask.port or int(one("port", "22")),
        user=ask.user or one("user") or getpass.getuser(),
        identities_only=yes("identitiesonly", "no"),
        jump="" if one("proxyjump", "none").lower() == "none" else one("proxyjump"),
        host_key_alias=one("hostkeyalias"),
        strict={"true": "yes", "false": "no", "off": "no"}.get(
            one("stricthostkeychecking", "ask"), one("stricthostkeychecking", "ask")
        ),
        hash_known_hosts=yes("hashknownhosts", "no"),
        connect_s=float(connect) if is_count(connect) else None,
        alive_s=float(one("serveraliveinterval", "0")),
        alive_count=int(one("serveralivecountmax", "3")),
        preferred=tuple(m for m in (methods or list(switches)) if switches.get(m)),
        family=one("addressfamily", "any"),
        compression=yes("compression", "no"),
        algorithms={
            "host": tuple(one("hostkeyalgorithms").split(",")),
            "kex": tuple(one("kexalgorithms").split(",")),
            "cipher": tuple(one("ciphers").split(",")),
            "mac": tuple(one("macs").split(",")),
        },
    )
    return _with_paths(target, values)


def _with_paths(target: Target, values: Mapping[str, Sequence[str]]) -> Target:
    """Add what may carry tokens, which need the rest of the target to be expanded."""
    home = Path.home() / ".ssh"
    identities = values.get("identityfile") or [str(home / n) for n in _DEFAULT_IDENTITIES]
    known = values.get("userknownhostsfile", [f"{home}/known_hosts {home}/known_hosts2"])[0]
    everywhere = values.get("globalknownhostsfile", ["/etc/ssh/ssh_known_hosts"])[0]
    command = values.get("proxycommand", ["none"])[0]
    command = "" if command.lower() == "none" else command

    def paths(items: Sequence[str]) -> tuple[str, ...]:
        return tuple(expand(item, target) for item in items if item and item != "none")

    return replace(
        target,
        identities=paths(identities),
        certificates=paths(values.get("certificatefile", [])),
        agent=_agent(values.get("identityagent", ["SSH_AUTH_SOCK"])[0], target),
        user_known_hosts=paths(known.split()),
        global_known_hosts=paths(everywhere.split()),
        proxy_command=_tokens(command, target),
    )


def _agent(value: str, target: Target) -> str:
    if value.lower() == "none":
        return ""
    if value in ("", "SSH_AUTH_SOCK"):
        return os.environ.get("SSH_AUTH_SOCK", "")
    if value.startswith("$") and not value.startswith("${"):
        return os.environ.get(value[1:], "")
    return expand(value, target)


def expand(path: str, target: Target) -> str:
    """Expand ``~``, ``${NAME}`` and %-tokens as ssh_config(5) says."""
    value = _VARIABLE.sub(lambda m: os.environ.get(m[1], m[0]), path)
    return str(Path(_tokens(value, target)).expanduser())


def _tokens(value: str, target: Target) -> str:
    local = socket.gethostname()
    port = str(target.port)
    known = {
        "%": "%",
        "d": str(Path.home()),
        "h": target.host,
        "i": str(os.getuid()),
        "j": target.jump,
        "k": target.host_key_alias or target.alias,
        "L": local.partition(".")[0],
        "l": local,
        "n": target.alias,
        "p": port,
        "r": target.user,
        "u": getpass.getuser(),
        "C": hashlib.sha1(  # noqa: S324 - OpenSSH's own token, no secret
            (local + target.host + port + target.user + target.jump).encode()
        ).hexdigest(),
    }
    return _TOKEN.sub(lambda m: known.get(m[1], m[0]), value)
