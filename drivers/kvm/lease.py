"""A lease on a host: one console at a time works on it as a whole. Nothing is installed there.

The lease is a file lock held on the host by a shell that lives as long as its input does: it ends
when this console lets go, dies, or is not heard of for ``EXPIRES_S`` seconds. The file is named
after the host's own UUID, so that several libvirt daemons of one machine do not meet.

A link that breaks leaves such a shell on the host, which does not know it yet. The console that
left it ends it when it takes the lease again: it alone knows the mark in that shell's arguments.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from drivers.errors import Busy, DriverError, Failed, Unsupported
from drivers.kvm.session import Session
from drivers.kvm.text import clean
from drivers.protocol import HeldLease

if TYPE_CHECKING:
    from drivers.ssh.wire import Pipes

EXPIRES_S = 45
BEAT_S = 10.0
_WORDS = 400
_TAKEN, _NO_FILE = 75, 74
_UUID = re.compile(r"<uuid>([0-9a-fA-F-]{36})</uuid>")

_PLACES = """
n=novacron-$1.lease
if [ "$(id -u)" = 0 ]; then f=/run/$n o=/tmp/$n; else f=/tmp/$n o=/run/$n; fi
[ -L "$f" ] && { echo "$f is a link"; exit 74; }
[ ! -e "$f" ] || [ -f "$f" ] || { echo "$f is no file"; exit 74; }
other() { [ ! -L "$o" ] && [ -f "$o" ] && [ -r "$o" ] && ! flock -n -s "$o" true; }
"""
# Root's file lies where nobody else can put a link or a file of his own. Logins that are not root
# share a folder that all may write to; each kind of login looks at the other's file too.

_TAKE = f"""{_PLACES}
words=$2; shift 3
for left in "$@"; do
  printf 'mark-%s\\n' "$left" | grep -lsF -f /dev/stdin /proc/[0-9]*/cmdline | while read -r at; do
    at=${{at%/cmdline}}; kill "${{at#/proc/}}" 2>/dev/null
  done
done
other && {{ echo taken; cat "$o"; exit {_TAKEN}; }}
[ -e "$f" ] || (umask 0; [ "$o" = "/run/$n" ] || umask 022; set -C; : > "$f") 2>/dev/null
exec 9<"$f" || {{ echo "$f cannot be opened"; exit {_NO_FILE}; }}
flock -w 2 9 || {{ echo taken; cat "$f"; exit {_TAKEN}; }}
printf '%-{_WORDS}s\\n' "$words" | dd of="$f" conv=notrunc,nocreat 2>/dev/null || exit {_NO_FILE}
echo held
while timeout {EXPIRES_S} sh -c 'read -r _' 9<&-; do :; done
"""
# Opened for reading and written without O_CREAT: in a sticky folder the kernel refuses to create
# over another user's file, and the console before may have logged in as somebody else.
# Arguments: the host's UUID, the words, this shell's own mark, and the bare marks of those left
# behind; without its ``mark-`` none of these matches the shell that looks for them.

_WHO = f"""{_PLACES}
other && {{ echo taken; cat "$o"; exit 0; }}
[ -e "$f" ] || {{ echo free; exit 0; }}
exec 9<"$f" || {{ echo "$f cannot be opened"; exit 0; }}
if flock -n -s 9; then echo free; else echo taken; cat "$f"; fi
"""


class Leases:
    """The leases that this console takes on one host, over all its connections there."""

    def __init__(self) -> None:
        self._left: set[str] = set()

    async def take(self, session: Session, words: str) -> HeldLease:
        """Hold the lease of a host until it is released, lost or this console ends.

        A shell that this console has left there, as a link broke or nobody waited, is ended first.

        Args:
            session: The host.
            words: Who holds it, since when and for what: one line that others are shown.

        Raises:
            Busy: Another console holds it; says who.
            Unsupported: No command can be run there, or it has no ``flock``.
        """
        name = session.spec.name
        mark, left = secrets.token_hex(8), sorted(self._left)
        ident, words = await _host_id(session), clean(words)[:_WORDS]
        pipes = await _run(session, _TAKE, ident, words, f"mark-{mark}", *left)
        try:
            async with asyncio.timeout(session.spec.deadline_s):
                answer, rest = await _line(pipes)
                if answer == "taken":
                    rest += await _all(pipes)
                    raise _busy(name, rest)
                if answer != "held":
                    raise Unsupported(
                        f"no lease can be taken on {name}",
                        proof=f"it answered {clean(answer) or 'nothing'}",
                        fix="it needs flock, timeout and a writable /tmp there",
                    )
        except TimeoutError:
            self._left.add(mark)
            await pipes.close()
            raise Failed(f"{name} did not answer when asked for its lease") from None
        except (DriverError, OSError):
            await pipes.close()
            raise
        except asyncio.CancelledError:  # nobody will know that it was given, or release it
            self._left.add(mark)
            await pipes.close()
            raise
        self._left.difference_update(left)
        return _hold(pipes, lambda: self._left.add(mark))


def _busy(name: str, rest: bytes) -> Busy:
    holder = clean(rest.decode(errors="replace").strip())
    return Busy(
        f"{name} is being worked on by another console",
        proof=holder or "its holder left no name",
        fix=f"wait for it, or talk to them; a dead console's lease ends within {EXPIRES_S} s",
    )


async def holder(session: Session) -> str:
    """Who holds the lease, in their own words; empty when nobody does.

    Raises:
        Unsupported: No command can be run there.
    """
    pipes = await _run(session, _WHO, await _host_id(session))
    try:
        async with asyncio.timeout(session.spec.deadline_s):
            answer, rest = await _line(pipes)
            rest += await _all(pipes)
    except TimeoutError:
        raise Failed(f"{session.spec.name} did not answer when asked for its lease") from None
    finally:
        await pipes.close()
    if answer != "taken":
        return ""
    return clean(rest.decode(errors="replace").strip()) or "somebody"


def _hold(pipes: Pipes, left_behind: Callable[[], None]) -> HeldLease:
    lost = asyncio.Event()

    def end() -> None:
        left_behind()
        lost.set()

    async def beat() -> None:
        with contextlib.suppress(OSError):
            while not lost.is_set():
                await pipes.write(b"\n")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), BEAT_S)
        end()

    async def watch() -> None:
        with contextlib.suppress(OSError):
            while await pipes.read(1024):
                pass
        end()

    tasks = (asyncio.create_task(beat()), asyncio.create_task(watch()))

    async def release() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        lost.set()
        with contextlib.suppress(OSError):
            await pipes.close()

    return HeldLease(lost, release)


async def _host_id(session: Session) -> str:
    what = f"{session.spec.name} could not be asked who it is"
    text = str(await session.call(session.conn.getCapabilities, what))
    found = _UUID.search(text)
    if found is None:
        raise Unsupported(f"no lease can be taken on {session.spec.name}", "libvirt tells no UUID")
    return found[1].lower()


async def _run(session: Session, script: str, *args: str) -> Pipes:
    return await _spawner(session)(["sh", "-c", script, "sh", *args])


def _spawner(session: Session) -> Callable[[Sequence[str]], Awaitable[Pipes]]:
    from drivers.ssh.wire import spawn_local  # asyncssh only where it is needed

    if session.local and session.uri.driver != "test":
        return spawn_local
    if session.ssh is None:
        raise Unsupported(
            f"no lease can be taken on {session.spec.name}",
            "no command can be run there through this connection",
            'use transport = "auto" for this host',
        )
    return session.ssh.spawn_reader


async def _line(pipes: Pipes) -> tuple[str, bytes]:
    data = b""
    while b"\n" not in data and (more := await pipes.read(1024)):
        data += more
    line, _, rest = data.partition(b"\n")
    return line.decode(errors="replace"), rest


async def _all(pipes: Pipes) -> bytes:
    data = b""
    while len(data) < 2 * _WORDS and (more := await pipes.read(1024)):
        data += more
    return data
