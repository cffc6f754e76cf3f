"""Byte plumbing over SSH channels: joined sockets, shells, and the echo that ping uses."""

from __future__ import annotations

import asyncio

import asyncssh

from drivers.protocol import ByteStream
from drivers.ssh.wire import Pipes

_CHUNK = 65536
_KEEP = 4000


async def join(
    process: asyncssh.SSHClientProcess[bytes],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> bytes:
    """Carry bytes both ways until either side ends.

    Returns:
        The last of what the command said on stderr.
    """
    words = bytearray()

    async def up() -> None:
        while data := await reader.read(_CHUNK):
            process.stdin.write(data)
            await process.stdin.drain()

    async def down() -> None:
        while data := await process.stdout.read(_CHUNK):
            writer.write(data)
            await writer.drain()

    async def listen() -> None:
        while data := await process.stderr.read(_CHUNK):
            words.extend(data)
            del words[:-_KEEP]

    tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
    listener = asyncio.create_task(listen())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, listener):
            task.cancel()
        # What failed in a direction is the end of the stream, which the other end sees.
        await asyncio.gather(*tasks, listener, return_exceptions=True)
        process.close()
        writer.close()
    return bytes(words)


def shell_stream(process: asyncssh.SSHClientProcess[bytes]) -> ByteStream:
    """A shell's process as a two-way byte channel."""

    async def read() -> bytes:
        try:
            return await process.stdout.read(_CHUNK)
        except (asyncssh.Error, OSError):
            return b""

    async def write(data: bytes) -> None:
        try:
            process.stdin.write(data)
            await process.stdin.drain()
        except (asyncssh.Error, OSError):
            return  # the shell ended: read() tells

    def resize(columns: int, rows: int) -> None:
        if not process.is_closing():
            process.change_terminal_size(columns, rows)

    async def close() -> None:
        process.close()

    return ByteStream(read, write, resize, close)


def pipes(process: asyncssh.SSHClientProcess[bytes]) -> Pipes:
    """A command's stdin and stdout for the fast lane; a lost connection is an OSError there."""

    async def write(data: bytes) -> None:
        try:
            process.stdin.write(data)
            await process.stdin.drain()
        except asyncssh.Error as error:
            raise ConnectionResetError(str(error)) from None

    async def read(size: int) -> bytes:
        try:
            return await process.stdout.read(size)
        except asyncssh.Error as error:
            raise ConnectionResetError(str(error)) from None

    async def close() -> None:
        process.close()

    return Pipes(write, read, close)


class Echo:
    """One byte there and back through ``cat``."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    async def once(self) -> None:
        """Send a byte and wait for it.

        Raises:
            asyncio.IncompleteReadError: The channel closed.
        """
        async with self._lock:
            self._process.stdin.write(b".")
            await self._process.stdout.readexactly(1)

    def close(self) -> None:
        """Hang up on it."""
        self._process.close()
