"""Whether one host reaches another: dialled from there, by a command over our connection to it.

Nothing is written on the host and nothing stays: one ``sh`` that ends by itself. Addresses come
from the fleet file and from domains, so they are arguments of the script, never part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence

from drivers.errors import TimedOut, Unsupported
from drivers.kvm.session import Session
from drivers.kvm.text import clean, whole
from drivers.model.caps import PeerLogin, Reach, Reached

DIAL_S = 3
"""Seconds an address is given to answer: far beyond any round trip between two hosts."""

_DIAL = """
addr=$1 port=$2 secs=$3
LC_ALL=C; export LC_ALL
dev=$(ip -o route get "$addr" 2>/dev/null | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')
if [ -z "$dev" ]; then
  ip4=$(getent ahosts "$addr" 2>/dev/null | awk 'NR==1{print $1}')
  [ -n "$ip4" ] && dev=$(ip -o route get "$ip4" 2>/dev/null | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')
fi
echo "device $dev $(cat "/sys/class/net/$dev/speed" 2>/dev/null)"
if command -v bash >/dev/null 2>&1 && command -v timeout >/dev/null 2>&1; then
  echo "how bash"
  timeout "$secs" bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$addr" "$port" 2>&1
  echo "status $?"
elif command -v python3 >/dev/null 2>&1; then
  echo "how python3"
  python3 -c 'import socket,sys
try: socket.create_connection((sys.argv[1],int(sys.argv[2])),float(sys.argv[3])).close()
except OSError as e: sys.exit(str(e))' "$addr" "$port" "$secs" 2>&1
  echo "status $?"
elif command -v nc >/dev/null 2>&1; then
  echo "how nc"
  nc -z -v -w "$secs" "$addr" "$port" 2>&1
  echo "status $?"
else
  echo "how nothing"
fi
"""
_OPEN = """
LC_ALL=C; export LC_ALL
command -v virsh >/dev/null 2>&1 || { echo "how nothing"; exit 0; }
echo "user $(id -un)"
echo "how virsh"
virsh -q -r -c "$1" uri </dev/null 2>&1
echo "status $?"
"""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:%-]*")
_TIMED_OUT = 124  # status of timeout(1)
_WORDS = (
    (r"refused", Reached.REFUSED),
    (r"timed out|timeout", Reached.SILENT),
    (r"not known|name resolution|resolve|invalid host|servname", Reached.UNKNOWN_NAME),
)


async def reach(session: Session, address: str, port: int, clock: Callable[[], float]) -> Reach:
    """Dial ``address`` and ``port`` from the host, for at most three seconds.

    Raises:
        Unsupported: No command can be run there, it has nothing to dial with, or the address is
            none.
        DriverError: The host did not answer.
    """
    bare = address.strip("[]")
    if not _PLAIN.fullmatch(bare) or not 0 < port < 65536:
        raise Unsupported(f"{clean(address)}:{port} is no address to dial")
    argv = ("sh", "-c", _DIAL, "sh", bare, str(port), str(DIAL_S))
    text = await run(session, argv, DIAL_S + session.spec.deadline_s)
    how, said, status = _answer(text)
    if how == "nothing":
        raise Unsupported(
            f"{session.spec.name} has nothing to dial with",
            "neither bash, python3 nor nc is there",
        )
    device, _, mbit = _line(text, "device").partition(" ")
    speed = whole(mbit) if mbit.isdecimal() else 0
    outcome = _outcome(status, said)
    said = said.partition(";")[0]
    return Reach(session.spec.name, bare, port, outcome, clock(), how, said, device, speed or None)


def _outcome(status: int, said: str) -> Reached:
    if status == 0:
        return Reached.CONNECTED
    if status == _TIMED_OUT:
        return Reached.SILENT
    for words, outcome in _WORDS:
        if re.search(words, said, re.IGNORECASE):
            return outcome
    return Reached.FAILED


async def peer_login(session: Session, uri: str, clock: Callable[[], float]) -> PeerLogin:
    """Open another host's libvirt from this one, read-only, as its daemon would.

    Raises:
        Unsupported: No command can be run there, or it has no virsh.
        DriverError: The host did not answer.
    """
    text = await run(session, ("sh", "-c", _OPEN, "sh", uri), session.spec.connect_s)
    how, said, status = _answer(text)
    if how == "nothing":
        raise Unsupported(f"{session.spec.name} has no virsh to try the login with")
    user = _line(text, "user")
    return PeerLogin(session.spec.name, uri, status == 0, clock(), user, said)


def _answer(text: str) -> tuple[str, str, int]:
    """The tool, what it said, and its exit status."""
    lines = text.splitlines()
    how = _line(text, "how")
    start = next((n for n, line in enumerate(lines) if line.startswith("how ")), -1)
    said = "; ".join(
        clean(line).strip() for line in lines[start + 1 :] if not line.startswith("status ")
    )
    return how or "nothing", said, whole(_line(text, "status"), -1)


def _line(text: str, name: str) -> str:
    found = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return clean(found[-1].removeprefix(f"{name} ")).strip() if found else ""


async def run(session: Session, argv: Sequence[str], seconds: float) -> str:
    """Standard output of a command on the host."""
    if session.ssh is not None:
        done = await session.ssh.run(argv, timeout=seconds)
        return done.stdout.decode(errors="replace")
    if not session.local or session.uri.driver != "qemu":
        raise Unsupported(
            f"no command can be run on {session.spec.name}",
            str(session.ssh_problem or session.spec.uri),
        )
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(seconds):
            out, _ = await process.communicate()
    except TimeoutError:
        raise TimedOut(f"a command on {session.spec.name} did not end in {seconds:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return out.decode(errors="replace")
