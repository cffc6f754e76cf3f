"""The terminal given to a serial console or a shell, on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from console.attach import RESTORE, attach
from console.backend import AttachedStream

DEADLINE_S = 60.0


class Far:
    """The far side: answers every byte with itself in brackets, and remembers what it got."""

    def __init__(self) -> None:
        self.typed = b""
        self.sizes: list[tuple[int, int]] = []
        self.closed = False
        self.gone = threading.Event()
        self._out: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self, limit: int = 65536) -> bytes:
        return (await self._out.get())[:limit]

    async def write(self, data: bytes) -> None:
        self.typed += data
        await self._out.put(b"" if data == b"\x04" else b"[" + data + b"]")

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    async def close(self) -> None:
        self.closed = True
        self.gone.set()


class Terminal:
    """A terminal and a person at it; ``attach`` runs in the test's main thread."""

    def __init__(self) -> None:
        self.person, self.program = pty.openpty()
        self.seen = b""
        self.resize(80, 24)

    def resize(self, columns: int, rows: int) -> None:
        packed = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.program, termios.TIOCSWINSZ, packed)

    def type(self, data: bytes) -> None:
        os.write(self.person, data)

    def read_until(self, wanted: bytes) -> None:
        ends = time.monotonic() + DEADLINE_S
        while wanted not in self.seen and time.monotonic() < ends:
            if select.select([self.person], [], [], 0.1)[0]:
                self.seen += os.read(self.person, 4096)
        assert wanted in self.seen, self.seen


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The backend's loop, in a thread of its own."""
    running = asyncio.new_event_loop()
    thread = threading.Thread(target=running.run_forever, daemon=True)
    thread.start()
    yield running
    running.call_soon_threadsafe(running.stop)
    thread.join(DEADLINE_S)
    running.close()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Closed whatever happens."""
    made = Terminal()
    yield made
    os.close(made.person)
    os.close(made.program)


def session(
    loop: asyncio.AbstractEventLoop, terminal: Terminal, far: Far, person: Callable[[], None]
) -> str:
    """Attach while a person does something; returns why it ended."""

    def run(work: object) -> Future[bytes]:
        return asyncio.run_coroutine_threadsafe(work, loop)  # type: ignore[arg-type]

    failed: list[BaseException] = []

    def act() -> None:
        try:
            person()
        except BaseException as error:  # noqa: BLE001 - carried to the test
            failed.append(error)
            terminal.type(b"\x1d")

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    told = attach(
        AttachedStream(far, run, "web1 serial console"),  # type: ignore[arg-type]
        terminal.program,
        terminal.program,
    )
    thread.join(DEADLINE_S)
    far.gone.wait(DEADLINE_S)
    if failed:
        raise failed[0]
    return told


def test_what_is_typed_goes_over_and_the_answer_is_shown(
    loop: asyncio.AbstractEventLoop, terminal: Terminal
) -> None:
    """The title says how to leave; keys arrive raw, Ctrl-c included; Ctrl-] leaves quietly."""
    far = Far()

    def person() -> None:
        terminal.read_until(b"web1 serial console: Ctrl-] leaves")
        terminal.type(b"l")
        terminal.read_until(b"[l]")
        terminal.type(b"\x03")
        terminal.read_until(b"[\x03]")
        terminal.type(b"\x1d")

    assert session(loop, terminal, far, person) == ""
    assert far.typed == b"l\x03"
    assert far.closed


def test_the_terminal_is_left_as_it_was(
    loop: asyncio.AbstractEventLoop, terminal: Terminal
) -> None:
    """Raw inside, cooked again outside, and modes a program left on are switched off."""
    before = termios.tcgetattr(terminal.program)
    inside: list[int] = []

    def person() -> None:
        terminal.read_until(b"leaves")
        terminal.type(b"x")
        terminal.read_until(b"[x]")
        inside.append(termios.tcgetattr(terminal.program)[3])
        terminal.type(b"\x1d")

    session(loop, terminal, Far(), person)
    assert not inside[0] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert termios.tcgetattr(terminal.program) == before
    terminal.read_until(RESTORE)


def test_what_stands_before_ctrl_bracket_still_goes_over(
    loop: asyncio.AbstractEventLoop, terminal: Terminal
) -> None:
    """Typed fast or pasted: the bytes before are sent, those after are not."""
    far = Far()

    def person() -> None:
        terminal.read_until(b"leaves")
        terminal.type(b"x")
        terminal.read_until(b"[x]")
        terminal.type(b"halt\x1dnever")

    session(loop, terminal, far, person)
    assert far.typed == b"xhalt"


def test_the_far_side_learns_the_size_and_its_changes(
    loop: asyncio.AbstractEventLoop, terminal: Terminal
) -> None:
    """The size at the start, and again when the window changes."""
    far = Far()

    def person() -> None:
        terminal.read_until(b"leaves")
        terminal.type(b"x")
        terminal.read_until(b"[x]")
        terminal.resize(132, 43)
        os.kill(os.getpid(), signal.SIGWINCH)
        ends = time.monotonic() + DEADLINE_S
        while len(far.sizes) < 2 and time.monotonic() < ends:
            threading.Event().wait(0.01)
        terminal.type(b"\x1d")

    session(loop, terminal, far, person)
    assert far.sizes[0] == (80, 24)
    assert far.sizes[-1] == (132, 43)


def test_an_end_on_the_far_side_is_said(
    loop: asyncio.AbstractEventLoop, terminal: Terminal
) -> None:
    """The guest is off or the shell ended: back in the console, with a word about it."""
    far = Far()

    def person() -> None:
        terminal.read_until(b"leaves")
        terminal.type(b"\x04")

    assert session(loop, terminal, far, person) == "web1 serial console ended"
    assert far.closed


class Echoing(Far):
    """``cat`` behind a narrow channel: it takes no more until what it said was read."""

    def __init__(self) -> None:
        super().__init__()
        self._read = asyncio.Event()

    async def read(self, limit: int = 65536) -> bytes:
        said = await super().read(limit)
        if said == b"more":
            self._read.set()
        return said

    async def write(self, data: bytes) -> None:
        self._read.clear()
        await self._out.put(b"more")
        await self._read.wait()
        await super().write(data)


def test_output_is_shown_while_the_far_side_does_not_take_input_yet(
    loop: asyncio.AbstractEventLoop, terminal: Terminal
) -> None:
    """A paste into a program that answers at once goes through, in order, and Ctrl-] leaves."""
    far = Echoing()

    def person() -> None:
        terminal.read_until(b"leaves")
        for part in (b"a" * 50, b"b" * 50, b"c" * 50):
            terminal.type(part)
        terminal.read_until(b"c]")
        terminal.type(b"\x1d")

    assert session(loop, terminal, far, person) == ""
    assert far.typed == b"a" * 50 + b"b" * 50 + b"c" * 50


class Deaf(Far):
    """Takes no input at all."""

    async def write(self, data: bytes) -> None:
        self.typed += data
        await asyncio.Event().wait()


def test_a_far_side_that_takes_no_input_is_left_with_a_word(
    loop: asyncio.AbstractEventLoop, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for ever in a session that no key can leave."""
    monkeypatch.setattr("console.attach.WRITE_S", 0.2)

    def person() -> None:
        terminal.read_until(b"leaves")
        terminal.type(b"x")

    told = session(loop, terminal, Deaf(), person)
    assert told == "web1 serial console takes no more input"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("far", [Far, Deaf])
def test_a_signal_ends_the_session_and_reaches_the_program(
    loop: asyncio.AbstractEventLoop, terminal: Terminal, far: type[Far], number: signal.Signals
) -> None:
    """At once, even while a write is under way; the terminal is restored, and the console ends."""
    before = termios.tcgetattr(terminal.program)
    heard: list[int] = []
    there = far()

    def person() -> None:
        terminal.read_until(b"leaves")
        terminal.type(b"x")
        ends = time.monotonic() + DEADLINE_S
        while not there.typed and time.monotonic() < ends:
            threading.Event().wait(0.01)
        os.kill(os.getpid(), number)

    def on_signal(got: int, _frame: object) -> None:
        heard.append(got)

    earlier = signal.signal(number, on_signal)
    try:
        began = time.monotonic()
        assert session(loop, terminal, there, person) == ""
        assert time.monotonic() - began < 5.0
    finally:
        signal.signal(number, earlier)
    assert heard == [number]
    assert there.closed
    assert termios.tcgetattr(terminal.program) == before


def test_the_loop_that_handles_the_signal_gets_it_once(
    loop: asyncio.AbstractEventLoop, terminal: Terminal
) -> None:
    """The interface, which stands still while attached, ends when it goes on."""
    heard: list[int] = []

    async def interface() -> None:
        running, over = asyncio.get_running_loop(), asyncio.Event()

        def lost() -> None:
            heard.append(signal.SIGTERM)
            over.set()

        running.add_signal_handler(signal.SIGTERM, lost)

        def person() -> None:
            terminal.read_until(b"leaves")
            os.kill(os.getpid(), signal.SIGTERM)

        session(loop, terminal, Far(), person)
        await asyncio.wait_for(over.wait(), DEADLINE_S)
        await asyncio.sleep(0)
        running.remove_signal_handler(signal.SIGTERM)

    asyncio.run(interface())
    assert heard == [signal.SIGTERM]
