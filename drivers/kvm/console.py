"""A domain's serial console: libvirt's non-blocking stream as a byte channel."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import Any

from drivers.errors import DriverError, Unreachable
from drivers.kvm.session import Session
from drivers.lane import Lane
from drivers.protocol import ByteStream

_CHUNK = 65536
# What may wait for a reader that does not come: a guest that prints for ever fills no memory.
_WAITING = 4 << 20
_DROPPED = b"\r\n[... %d bytes were not read in time and are left out ...]\r\n"
_WOULD_BLOCK = -2
_WRITE_S = 30.0


class SerialConsole:
    """Bridges one stream between libvirt's event thread and the event loop."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._lane = Lane(f"console of {name}", _WRITE_S)
        self._loop = asyncio.get_running_loop()
        self._incoming: deque[bytes] = deque()
        self._waiting = 0
        self._dropped = 0
        self._news = asyncio.Event()
        self._writable = threading.Event()
        self._stream: Any = None
        self._ended = False

    async def open(self, uuid: str, *, force: bool) -> ByteStream:
        """Open the first console (virDomainOpenConsole)."""
        lv = self._session.lv

        def start() -> Any:
            domain = self._session.conn.lookupByUUIDString(uuid)
            stream = self._session.conn.newStream(lv.VIR_STREAM_NONBLOCK)
            # SAFE keeps two consoles from sharing one line; a driver that cannot tell goes without.
            flags = lv.VIR_DOMAIN_CONSOLE_FORCE if force else lv.VIR_DOMAIN_CONSOLE_SAFE
            domain.openConsole(None, stream, flags)
            stream.eventAddCallback(self._events(lv.VIR_STREAM_EVENT_READABLE), self._ready, None)
            return stream

        what = f"the console of {self._name} could not be opened"
        self._stream = await self._session.call(start, what)
        return ByteStream(self.read, self.write, self.resize, self.close)

    async def read(self) -> bytes:
        """Next bytes; ``b""`` at the end and after ``close``."""
        while self._stream is not None and not self._incoming and not self._ended:
            self._news.clear()
            await self._news.wait()
        if self._stream is None or not self._incoming:
            return b""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return _DROPPED % dropped
        data = self._incoming.popleft()
        self._waiting -= len(data)
        return data

    def _take(self, data: bytes) -> None:
        """In the event loop: keep bytes for the reader, the oldest dropped beyond the bound."""
        if data:
            self._incoming.append(data)
            self._waiting += len(data)
        else:
            self._ended = True
        while self._waiting > _WAITING:
            oldest = len(self._incoming.popleft())
            self._waiting -= oldest
            self._dropped += oldest
        self._news.set()

    async def write(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            Unreachable: The console has ended.
        """
        try:
            await self._lane.run(lambda: self._send(data))
        except self._session.lv.libvirtError as error:
            raise Unreachable(f"the console of {self._name} ended", str(error)) from None

    def resize(self, _columns: int, _rows: int) -> None:
        """A serial line has no size to tell."""

    async def close(self) -> None:
        """Hang up."""
        self._ended = True
        self._news.set()
        stream, self._stream = self._stream, None
        if stream is None:
            return
        with contextlib.suppress(DriverError):
            await self._session.call(lambda: _hang_up(stream), "the console stayed open")
        self._lane.close()

    def _events(self, wanted: int) -> int:
        lv = self._session.lv
        return int(wanted | lv.VIR_STREAM_EVENT_HANGUP | lv.VIR_STREAM_EVENT_ERROR)

    def _send(self, data: bytes) -> None:
        lv = self._session.lv
        while data and (stream := self._stream) is not None:
            self._writable.clear()
            sent = stream.send(data)
            if sent == _WOULD_BLOCK:
                both = lv.VIR_STREAM_EVENT_READABLE | lv.VIR_STREAM_EVENT_WRITABLE
                stream.eventUpdateCallback(self._events(both))
                self._writable.wait(_WRITE_S)
                continue
            data = data[max(0, sent) :]

    def _ready(self, stream: Any, events: int, _opaque: object) -> None:
        """libvirt's event thread: the stream can be read, written, or has ended."""
        lv = self._session.lv
        if events & lv.VIR_STREAM_EVENT_WRITABLE:
            stream.eventUpdateCallback(self._events(lv.VIR_STREAM_EVENT_READABLE))
            self._writable.set()
        if not events & ~lv.VIR_STREAM_EVENT_WRITABLE:
            return
        try:
            data = stream.recv(_CHUNK)
        except lv.libvirtError:
            data = b""
        if data == _WOULD_BLOCK:
            if not events & (lv.VIR_STREAM_EVENT_HANGUP | lv.VIR_STREAM_EVENT_ERROR):
                return
            data = b""
        if not data:
            with contextlib.suppress(lv.libvirtError):
                stream.eventRemoveCallback()
        with contextlib.suppress(RuntimeError):  # the loop closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._take, data)


def _hang_up(stream: Any) -> None:
    try:
        stream.eventRemoveCallback()
    finally:
        stream.abort()
