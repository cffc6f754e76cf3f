"""Which libvirt socket to talk to on a host, and the URI that reaches it once it is local."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

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


def stock_uri(uri: LibvirtUri) -> str:
    """The URI for libvirt's own SSH client: it must never prompt on the console's terminal."""
    text = str(uri)
    if uri.no_tty or not uri.over_ssh:
        return text
    return f"{text}{'&' if '?' in text else '?'}no_tty=1"


def daemon_argv(which: Mapping[str, str | None]) -> Sequence[str]:
    """How to start this user's session daemon as libvirt itself would; empty when there is none."""
    for name in ("virtqemud", "libvirtd"):
        if path := which.get(name):
            return (path, "--timeout", "120", "--daemon")
    return ()
