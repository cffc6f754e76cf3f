"""A running reader: how it is started, asked and ended, over an SSH channel or locally."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import resources

from drivers.errors import Failed, Unreachable, Unsupported
from drivers.ssh import frames
from drivers.ssh.frames import Frame, Hello

_CHUNK = 1 << 16
_ANSWER = 64 << 20
_NOISE = 1 << 16


@dataclass(frozen=True, slots=True)
class Pipes:
    """A started reader: write to its stdin, read from its stdout (``b""`` at the end), end it."""

    write: Callable[[bytes], Awaitable[None]]
    read: Callable[[int], Awaitable[bytes]]
    close: Callable[[], Awaitable[None]]


Spawn = Callable[[Sequence[str]], Awaitable[Pipes]]


async def spawn_local(argv: Sequence[str]) -> Pipes:
    """Start the reader on this machine, for ``qemu:///system`` and ``qemu:///session``."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise Failed(f"{argv[0]} was started without pipes")

    async def write(data: bytes) -> None:
        stdin.write(data)
        await stdin.drain()

    async def close() -> None:
        stdin.close()  # what it started in another process group, as timeout(1) does, ends by that
        if process.returncode is None:  # known a moment later than it ended
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with all that it started
        await process.wait()

    return Pipes(write, stdout.read, close)


class Wire:
    """The request and answer lines of one running reader."""

    def __init__(self, spawn: Spawn, wanted: str) -> None:
        self._spawn = spawn
        self._wanted = wanted
        self._nonce = secrets.token_hex(8)
        self._pipes: Pipes | None = None
        self._buffer = bytearray()
        self._number = 0

    async def start(self) -> Hello:
        """Start the reader that fits the host and wait for its greeting.

        Raises:
            Unsupported: The host has no POSIX shell to run it.
        """
        argv = ["sh", "-c", frames.BOOT, "novacron", self._nonce, self._wanted]
        self._pipes = await self._spawn(argv)
        want = (await self._line()).split()
        folder = resources.files("drivers.ssh") / "remote"
        if want[:1] == ["want"] and want[1:] == ["python"]:
            code = (folder / "reader.py3").read_bytes()
            await self._pipes.write(b"%d\n%s" % (len(code), code))
        elif want == ["want", "sh"]:
            await self._pipes.write((folder / "reader.sh").read_bytes())
        else:
            raise Unsupported("the host's shell does not run a reader", proof=" ".join(want))
        hello = frames.parse_hello(await self._line())
        if hello is None:
            raise Unsupported("the reader did not greet", proof=want[1])
        return hello

    async def tell(self, verb: str, words: tuple[str, ...]) -> None:
        """A request without an answer."""
        await self._write(frames.request(verb, None, words))

    async def ask(self, verb: str, words: tuple[str, ...] = ()) -> Frame:
        """A request and its answer.

        Raises:
            Unreachable: The reader ended.
            Failed: It answered something else.
        """
        self._number += 1
        await self._write(frames.request(verb, self._number, words))
        data = await self._until(f"\n{self._nonce} end {self._number}\n".encode(), _ANSWER)
        frame = frames.parse_frame(self._nonce, data.decode(errors="replace"))
        if frame is None or frame.number != self._number:
            raise Failed("the reader's answer cannot be understood", proof=repr(data[:80]))
        return frame

    async def close(self) -> None:
        """End the reader."""
        pipes, self._pipes = self._pipes, None
        if pipes is not None:
            await pipes.close()

    async def _line(self) -> str:
        """The next line meant for us, without its nonce; a login shell's own words are skipped."""
        mark = f"{self._nonce} ".encode()
        left = _NOISE
        while left > 0:
            line = await self._until(b"\n", _NOISE)
            left -= len(line) + 1
            if mark in line:
                return line.split(mark, 1)[1].decode(errors="replace")
        raise Unsupported(
            "the login shell talks too much to run a reader",
            fix="let its start-up files print only for interactive shells",
        )

    async def _until(self, end: bytes, limit: int) -> bytes:
        """Bytes up to ``end``, which is taken away."""
        searched = 0
        while (found := self._buffer.find(end, searched)) < 0:
            searched = max(0, len(self._buffer) - len(end))
            if len(self._buffer) > limit:
                raise Failed("the reader's answer is too long", proof=f"over {limit} bytes")
            if self._pipes is None:
                raise Unreachable("the reader was closed")
            try:
                data = await self._pipes.read(_CHUNK)
            except OSError as error:
                raise Unreachable("the reader's channel broke", proof=str(error)) from None
            if not data:
                raise Unreachable(
                    "the reader on the host ended",
                    proof=bytes(self._buffer[-80:]).decode(errors="replace").strip(),
                    fix="it is started again; check that the login shell there runs commands",
                )
            self._buffer += data
        answer = bytes(self._buffer[:found])
        del self._buffer[: found + len(end)]
        return answer

    async def _write(self, data: bytes) -> None:
        if self._pipes is None:
            raise Unreachable("the reader was closed")
        try:
            await self._pipes.write(data)
        except OSError as error:
            raise Unreachable("the reader's channel broke", proof=str(error)) from None
