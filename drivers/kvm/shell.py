"""A login shell on this machine, for hosts that need no SSH."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import termios

from drivers.protocol import ByteStream

_CHUNK = 65536
# Chunks that may wait for a slow terminal; then the shell waits, as its own terminal is full.
_BACKLOG = 64


class LocalShell:
    """The user's own shell on a pseudo terminal."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self._master = master
        self._process = process
        self._loop = asyncio.get_running_loop()
        # One place more than is ever read ahead: for the mark of the end.
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue(_BACKLOG + 1)
        self._open = True
        self._held = False
        self._loop.add_reader(master, self._readable)

    async def read(self) -> bytes:
        """Next bytes; ``b""`` at the end."""
        if not self._open and self._incoming.empty():
            return b""
        data = await self._incoming.get()
        if self._held and self._open and self._incoming.empty():
            self._held = False
            self._loop.add_reader(self._master, self._readable)
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes; what is typed after the end is dropped."""
        while data and self._open:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                await self._writable()
            except OSError:
                self._end()

    def resize(self, columns: int, rows: int) -> None:
        """Tell the shell its new size."""
        if self._open:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    async def close(self) -> None:
        """Hang up, as closing a terminal window does."""
        self._end()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGHUP)
        try:
            async with asyncio.timeout(2.0):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _writable(self) -> None:
        ready = asyncio.Event()
        self._loop.add_writer(self._master, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_writer(self._master)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # the shell ended: Linux says EIO
            data = b""
        if not data:
            self._end()
            return
        self._incoming.put_nowait(data)
        if self._incoming.qsize() >= _BACKLOG:
            self._held = True
            self._loop.remove_reader(self._master)

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._master)
            os.close(self._master)
            self._incoming.put_nowait(b"")


async def open_local_shell(columns: int, rows: int, term: str) -> ByteStream:
    """Start ``$SHELL -l`` on a pseudo terminal of that size."""
    master, slave = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            os.environ.get("SHELL") or "/bin/sh",
            "-l",
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": term},
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
    except OSError:
        os.close(master)
        raise
    finally:
        os.close(slave)
    os.set_blocking(master, False)
    shell = LocalShell(master, process)
    shell.resize(columns, rows)
    return ByteStream(shell.read, shell.write, shell.resize, shell.close)


def _own_terminal() -> None:
    """In the child: make the pseudo terminal its controlling one, so that Ctrl-C works."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
