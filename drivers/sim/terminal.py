"""Small byte streams that stand in for a serial console and a host's shell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from drivers.errors import Busy, Refused
from drivers.protocol import ByteStream
from drivers.sim.world import SimVm

_INTERRUPT, _END = 0x03, 0x04


class _Terminal:
    """Echoes what is typed and answers a line at a time."""

    def __init__(
        self, greeting: str, prompt: str, answers: dict[str, str], closed: Callable[[], None]
    ) -> None:
        self._closed = closed
        self._prompt = prompt
        self._answers = answers
        self._line = ""
        self._output: asyncio.Queue[bytes] = asyncio.Queue()
        self._say(f"{greeting}\r\n{prompt}")

    async def read(self) -> bytes:
        return await self._output.get()

    async def write(self, data: bytes) -> None:
        for character in data.decode("utf-8", "replace"):
            self._type(character)

    def resize(self, columns: int, rows: int) -> None:
        self._answers["stty size"] = f"{rows} {columns}"

    async def close(self) -> None:
        self._output.put_nowait(b"")
        self._closed()

    def stream(self) -> ByteStream:
        return ByteStream(self.read, self.write, self.resize, self.close)

    def _type(self, character: str) -> None:
        if character in "\r\n":
            self._enter()
        elif character in "\x7f\b":
            if self._line:
                self._line = self._line[:-1]
                self._say("\b \b")
        elif ord(character) == _INTERRUPT:
            self._line = ""
            self._say(f"^C\r\n{self._prompt}")
        elif ord(character) == _END:
            self._say("\r\n")
            self._output.put_nowait(b"")
        elif character.isprintable():
            self._line += character
            self._say(character)

    def _enter(self) -> None:
        line, self._line = self._line.strip(), ""
        if line in ("exit", "logout"):
            self._say("\r\nlogout\r\n")
            self._output.put_nowait(b"")
            return
        answer = self._answers.get(line, f"{line}: not found in this simulation" if line else "")
        self._say(f"\r\n{answer}\r\n{self._prompt}" if answer else f"\r\n{self._prompt}")

    def _say(self, text: str) -> None:
        self._output.put_nowait(text.encode())


def console_stream(name: str, closed: Callable[[], None]) -> ByteStream:
    """The serial console of a simulated guest; ``closed`` is called when it is hung up."""
    greeting = f"\r\nSimulated serial console of {name}"
    return _Terminal(greeting, f"{name} login: ", {}, closed).stream()


def shell_stream(host: str, columns: int, rows: int, term: str) -> ByteStream:
    """A shell on a simulated host that knows a handful of commands."""
    answers = {
        "hostname": host,
        "whoami": "root",
        "echo $TERM": term,
        "stty size": f"{rows} {columns}",
        "help": "hostname  whoami  stty size  exit",
    }
    greeting = f"Simulated shell on {host}; 'help' lists what it knows"
    return _Terminal(greeting, f"root@{host}:~# ", answers, lambda: None).stream()


async def attach(guest: SimVm, *, force: bool) -> ByteStream:
    """The guest's console; with ``force`` whoever has it is hung up on.

    Raises:
        Refused: The guest is off.
        Busy: Somebody else has it.
    """
    if not guest.vm.state.active:
        raise Refused(f"{guest.vm.name} is not running.", proof="no console of a stopped VM")
    if guest.console is not None:
        if not force:
            raise Busy(
                f"Somebody else is on the console of {guest.vm.name}.",
                proof="Active console session exists for this domain",
                fix="take it over, or wait",
            )
        await guest.console.close()
    guest.console = console_stream(guest.vm.name, lambda: setattr(guest, "console", None))
    return guest.console
