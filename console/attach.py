"""The terminal given to a serial console or a host's shell, and taken back."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import Any

from console.backend import AttachedStream
from screens.format import clean

ESCAPE = b"\x1d"
"""Ctrl-], as telnet and virsh use it: hardly any program inside wants it."""

WRITE_S = 10.0
"""Seconds the far side may take to accept what was typed before it counts as gone."""

ENDINGS = (signal.SIGHUP, signal.SIGTERM)
"""Signals that end the session and then the interface."""

RESTORE = (
    b"\x1b\\\x18\x0f\x1b(B\x1b)B"  # a string cut short, line-drawing letters
    b"\x1b[?47l\x1b7\x1b[r\x1b[?6l\x1b8\x1b[4l\x1b[?7h"  # second screen, scroll region, modes
    b"\x1b[0m\x1b[?5l\x1b[?1l\x1b>\x1b[?25h"
    b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?1015l\x1b[?2004l"
)
"""Undo what the far side may have left on: letters, scrolling, colours, mouse, paste and keys."""

_CHUNK = 16_384


def attach(attached: AttachedStream, stdin: int | None = None, stdout: int | None = None) -> str:
    """Pass bytes between the terminal and the stream until Ctrl-] or the end; say why it ended.

    SIGHUP and SIGTERM end it too, and are then raised again for whoever handled them before.

    Blocks the calling thread: nothing else may draw on the terminal meanwhile. The stream's
    coroutines run on the backend's loop. The terminal's mode is restored whatever happens.
    """
    source = sys.__stdin__.fileno() if stdin is None and sys.__stdin__ else stdin or 0
    target = sys.__stdout__.fileno() if stdout is None and sys.__stdout__ else stdout or 1
    pump = _Pump(attached, source, target)
    try:
        with _raw(source), pump:
            title = clean(attached.title)
            _write_all(target, f"\r\n{title}: Ctrl-] leaves\r\n".encode())
            return pump.run()
    finally:
        _write_all(target, RESTORE + b"\r\n")
        if pump.signal is not None:
            signal.raise_signal(pump.signal)


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def _write_all(fd: int, data: bytes) -> None:
    """Write everything; a terminal that went away takes nothing and is noticed at the next read."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except OSError:
            return


class _Pump:
    """One session: a pipe wakes ``select`` when the far side speaks or took what was typed, when
    the window changes and when a signal ends it.

    One write is under way at a time. Until the far side took it the keyboard is not read: a paste
    into a program that answers at once would else wait for an answer nobody reads.
    """

    def __init__(self, attached: AttachedStream, source: int, target: int) -> None:
        self._attached = attached
        self._source, self._target = source, target
        self._awake = self._wake = self._loop_wake = -1
        self._incoming: Future[bytes] | None = None
        self._outgoing: Future[bytes] | None = None
        self._leaving = False
        self._sent_at = 0.0
        self._resized = True
        self._handlers: dict[int, Any] = {}
        self.signal: int | None = None
        """The signal that ended the session; None when none did."""

    def __enter__(self) -> _Pump:
        self._awake, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        # Whichever thread gets a signal, it wakes this one; and an event loop that handles the
        # signal, but stands still now, does not get it twice.
        self._loop_wake = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in (signal.SIGWINCH, *ENDINGS):
            handler = self._on_resize if number == signal.SIGWINCH else self._on_ending
            self._handlers[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._loop_wake)
        for future in (self._incoming, self._outgoing):
            if future is not None:
                future.cancel()
        self._attached.run(self._attached.stream.close())
        # The reading end stays open a moment longer than any callback that may still write.
        wake, self._wake = self._wake, -1
        os.close(wake)
        os.close(self._awake)

    def run(self) -> str:
        """Pump until one side ends; returns why, empty when the person left."""
        self._listen()
        while True:
            if self._resized:
                self._pass_size()
            ready = self._wait()
            if self.signal is not None:
                return ""
            if self._incoming is not None and self._incoming.done() and not self._show():
                return f"{clean(self._attached.title)} ended"
            if self._outgoing is not None and not self._taken():
                return f"{clean(self._attached.title)} takes no more input"
            if self._outgoing is None and (
                self._leaving or (self._source in ready and not self._send())
            ):
                return ""

    def _wait(self) -> list[int]:
        """Wait until something can be done; returns the descriptors that have something."""
        if self._outgoing is None:
            ready, _, _ = select.select([self._source, self._awake], [], [])
        else:
            left = max(0.0, self._sent_at + WRITE_S - time.monotonic())
            ready, _, _ = select.select([self._awake], [], [], left)
        if self._awake in ready:
            os.read(self._awake, _CHUNK)
        return ready

    def _listen(self) -> None:
        self._incoming = self._attached.run(self._attached.stream.read())
        self._incoming.add_done_callback(self._on_done)

    def _show(self) -> bool:
        data = self._incoming.result() if self._incoming else b""
        self._incoming = None
        if not data:
            return False
        _write_all(self._target, data)
        self._listen()
        return True

    def _send(self) -> bool:
        """Begin to send what was typed; False when there is nothing to wait for any more."""
        try:
            data = os.read(self._source, _CHUNK)
        except OSError:
            return False
        typed, escape, _ = data.partition(ESCAPE)
        self._leaving = bool(escape) or not data
        if typed:
            self._sent_at = time.monotonic()
            self._outgoing = self._attached.run(self._attached.stream.write(typed))
            self._outgoing.add_done_callback(self._on_done)
        return bool(typed) or not self._leaving

    def _taken(self) -> bool:
        """Whether the far side took what was typed or may still; False when it stands still."""
        if self._outgoing is None or not self._outgoing.done():
            return time.monotonic() - self._sent_at < WRITE_S
        self._outgoing.result()
        self._outgoing = None
        return True

    def _pass_size(self) -> None:
        self._resized = False
        try:
            columns, rows = os.get_terminal_size(self._source)
        except OSError:
            return

        async def resize() -> bytes:
            self._attached.stream.resize(columns, rows)
            return b""

        self._attached.run(resize())

    def _on_done(self, _future: Future[bytes]) -> None:
        if self._wake >= 0:
            os.write(self._wake, b".")

    def _on_ending(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number

    def _on_resize(self, _number: int, _frame: FrameType | None) -> None:
        self._resized = True
