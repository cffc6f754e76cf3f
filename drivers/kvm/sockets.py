"""Which libvirt socket to talk to on a host, and the URI that reaches it once it is local."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from drivers.scratch import Scratch
from drivers.uri import LibvirtUri

# Prints the sockets that exist and may be opened, in the order given as arguments.
PROBE = (
    "sh",
    "-c",
    'for s in "$@"; do [ -S "$s" ] && printf "sock %s\\n" "$s"; done; '
    'printf "run %s\\nuid %s\\nhome %s\\n" "$XDG_RUNTIME_DIR" "$(id -u)" "$HOME"; '
    'for d in "$XDG_RUNTIME_DIR" "/run/user/$(id -u)" "$HOME/.cache"; do '
    "for n in virtqemud-sock libvirt-sock; do "
    '[ -S "$d/libvirt/$n" ] && printf "session %s\\n" "$d/libvirt/$n"; done; done; :',
    "probe",
)


def system_sockets(uri: LibvirtUri) -> tuple[str, ...]:
    """Candidates for ``/system`` in libvirt's own order: the split daemon, then libvirtd."""
    direct, legacy = "/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"
    if uri.driver == "test" or uri.mode == "legacy":
        return (legacy,)
    if uri.mode == "direct":
        return (direct,)
    return (direct, legacy)


def choose(uri: LibvirtUri, probed: str) -> tuple[str, ...]:
    """The sockets to try, best first, from the output of PROBE on the host."""
    if uri.socket:
        return (uri.socket,)
    key = "session" if uri.path == "/session" else "sock"
    lines = [line.partition(" ") for line in probed.splitlines()]
    found = tuple(dict.fromkeys(path for word, _, path in lines if word == key))
    if uri.mode == "direct":
        return tuple(path for path in found if path.endswith("virtqemud-sock"))
    if uri.mode == "legacy" or uri.driver == "test":
        return tuple(path for path in found if path.endswith("libvirt-sock"))
    return found


def local_uri(uri: LibvirtUri, socket: str) -> str:
    """The libvirt URI of a host whose socket appears here at ``socket``."""
    return f"{uri.driver}+unix://{quote(uri.path)}?socket={quote(socket)}"


def stock_uri(uri: LibvirtUri, wrapper: str = "") -> str:
    """The URI for libvirt's own SSH client: it must never prompt on the console's terminal.

    Args:
        uri: The host's URI.
        wrapper: What libvirt runs instead of ``ssh``, from ``ssh_wrapper``; empty for ``ssh``.
    """
    text = str(uri)
    if not uri.over_ssh:
        return text
    more = [] if uri.no_tty else ["no_tty=1"]
    if wrapper:
        more.append(f"command={quote(wrapper)}")
    return f"{text}{'&' if '?' in text else '?'}{'&'.join(more)}" if more else text


def ssh_wrapper(uri: LibvirtUri, ssh_config: str, scratch: Scratch) -> str:
    """A script that runs ``ssh`` with this host's configuration and known hosts.

    libvirt's client passes neither on: it ignores ``known_hosts=``, knows no other ssh_config, and
    its ``command=`` takes one path without arguments.

    Returns:
        The script's path, alone in a private folder that the caller drops; empty where ``ssh``
        by itself does, or where the URI names a command of its own.
    """
    options = ["-F", str(Path(ssh_config).expanduser())] if ssh_config else []
    if uri.known_hosts:
        options += ["-o", f"UserKnownHostsFile={uri.known_hosts}"]
    if not options or uri.command:
        return ""
    script = scratch.new() / "ssh"
    script.write_text(f'#!/bin/sh\nexec ssh {shlex.join(options)} "$@"\n')
    script.chmod(0o700)
    return str(script)


def daemon_argv(which: Mapping[str, str | None]) -> Sequence[str]:
    """How to start this user's session daemon as libvirt itself would; empty when there is none."""
    for name in ("virtqemud", "libvirtd"):
        if path := which.get(name):
            return (path, "--timeout", "120", "--daemon")
    return ()


def daemon_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for such a daemon.

    virtqemud starts virtstoraged, virtnetworkd and the like by itself once pools or networks are
    asked for: what keeps our client from starting daemons must not keep it from that.
    """
    return {name: value for name, value in ours.items() if name != "LIBVIRT_AUTOSTART"}
