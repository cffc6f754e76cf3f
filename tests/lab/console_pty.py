"""The real console in a terminal of its own, driven and read as a person does it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyte

from drivers.model.host import HostSpec

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""Seconds for whatever a person waits for: the machine that runs the tests may be busy."""

ALL_UP = "hosts 3/3 up"
ENTER, ESCAPE, TAB, SHIFT_TAB, CTRL_RIGHT_BRACKET = "\r", "\x1b", "\t", "\x1b[Z", "\x1d"

# Modes with a private marker, which the screen below would draw as text.
_PRIVATE = re.compile(rb"\x1b\[(?:[<>=][0-9;]*[a-zA-Z]|\?[0-9;]*\$p)")
_CUT = re.compile(rb"\x1b(?:\[[0-9;?<>=$]*)?\Z")


class Terminal:
    """A process in a pseudo terminal, and the screen that it draws.

    A thread only reads and notes when; the screen is worked out by whoever looks at it, so that
    the time of a key's first answer is not that of a slow terminal.
    """

    def __init__(
        self, argv: Sequence[str], environment: dict[str, str], *, columns: int, rows: int
    ) -> None:
        self.master, self._slave = os.openpty()
        self._screen: Any = pyte.Screen(columns, rows)
        self._stream: Any = pyte.ByteStream(self._screen)
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *argv],
            env=environment,
            cwd=ROOT,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
        )
        self._came = threading.Condition()
        self._chunks: list[bytes] = []
        self._last_at = 0.0
        self._rest = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # What it shows.

    @property
    def lines(self) -> list[str]:
        """The lines of the screen as they are now."""
        with self._came:
            chunks, self._chunks = self._chunks, []
        if chunks:
            data = self._rest + b"".join(chunks)
            cut = _CUT.search(data)
            self._rest = data[cut.start() :] if cut else b""
            self._stream.feed(_PRIVATE.sub(b"", data[: cut.start()] if cut else data))
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    def line(self, *words: str) -> str:
        """The first line that holds all of ``words``; empty when there is none."""
        return next((x for x in self.lines if all(word in x for word in words)), "")

    def looks(self, *words: str) -> list[Any]:
        """The cells, with their colours, of the first line that holds all of ``words``."""
        for row, line in enumerate(self.lines):
            if all(word in line for word in words):
                return [self._screen.buffer[row][column] for column in range(len(line))]
        return []

    def wait(self, wanted: Callable[[], Any], what: str, deadline_s: float = PATIENCE_S) -> Any:
        """Wait until ``wanted()`` is true of the screen and return its value.

        Raises:
            AssertionError: It is not in time, or the process ended first; says what was shown.
        """
        until = time.monotonic() + deadline_s
        while not (value := wanted()):
            ended = self.process.poll() is not None and not self._reader.is_alive()
            left = until - time.monotonic()
            if ended or left <= 0:
                if value := wanted():
                    return value
                why = f"ended with {self.process.returncode}" if ended else f"{deadline_s:g} s"
                raise AssertionError(f"waited for {what}: {why}\n{self.text}")
            with self._came:
                if not self._chunks:
                    self._came.wait(min(left, 0.2))
        return value

    def sees(self, *words: str, deadline_s: float = PATIENCE_S) -> str:
        """Wait for one line that holds all of ``words`` and return it."""
        found: str = self.wait(lambda: self.line(*words), " ".join(words), deadline_s)
        return found

    def loses(self, *words: str, deadline_s: float = PATIENCE_S) -> None:
        """Wait until no line holds all of ``words``."""
        self.wait(lambda: not self.line(*words), f"no {' '.join(words)}", deadline_s)

    # What a person does.

    def press(self, *keys: str) -> None:
        """Type keys, one write each."""
        for key in keys:
            os.write(self.master, key.encode())

    def answer_s(self, key: str, deadline_s: float = PATIENCE_S) -> float:
        """Type a key and return the seconds until the next byte is drawn."""
        with self._came:
            asked = time.monotonic()
            os.write(self.master, key.encode())
            if not self._came.wait_for(lambda: self._last_at > asked, deadline_s):
                raise AssertionError(f"key {key!r} got no answer in {deadline_s:g} s")
            return self._last_at - asked

    def pick(self, view: str, heading: str, name: str) -> str:
        """Go to a view by its key and narrow its list to one name; returns that line."""
        self.press(view)
        self.sees(f"  {heading}  ")
        self.press(f"/^{name}{ENTER}")
        self.sees(f"filter ^{name}")
        return self.sees(f" {name} ")

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._slave if self._slave >= 0 else self.master, termios.TIOCSWINSZ, size)
        self._screen.resize(rows, columns)

    def modes(self) -> list[Any]:
        """The terminal's modes, as ``stty`` shows them."""
        return termios.tcgetattr(self._slave)

    # How it ends.

    def hang_up(self) -> None:
        """Lose the terminal, as a dropped SSH session does: SIGHUP and no more bytes."""
        os.close(self._slave)
        self._slave = -1
        os.kill(self.process.pid, signal.SIGHUP)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def ended(self, deadline_s: float = PATIENCE_S) -> int:
        """Wait for its end and return the exit status."""
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end in {deadline_s:g} s\n{self.text}") from None

    def close(self) -> None:
        """End it whatever it does, and let go of the terminal."""
        if self.process.poll() is None:
            self.kill()
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1
        self._reader.join(PATIENCE_S)
        with contextlib.suppress(OSError):
            os.close(self.master)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                data = b""
            with self._came:
                if data:
                    self._chunks.append(data)
                    self._last_at = time.monotonic()
                self._came.notify_all()
            if not data:
                return


class Desk:
    """One person's home folder with a fleet file, and the consoles opened from it."""

    def __init__(self, home: Path, specs: Sequence[HostSpec], *, ssh_config: Path | None = None):
        self.home = home
        self.config = home / "fleet.toml"
        self.config.write_text(fleet_text(specs, ssh_config))
        self._open: list[Terminal] = []

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_error: object) -> None:
        for terminal in self._open:
            terminal.close()

    def open(self, *, columns: int = 132, rows: int = 40) -> Terminal:
        """Start a console and wait until it has data of every host."""
        terminal = self.terminal("open", columns=columns, rows=rows)
        terminal.sees(ALL_UP)
        return terminal

    def terminal(self, *words: str, columns: int = 132, rows: int = 40) -> Terminal:
        """Start ``novacron`` with a terminal of its own."""
        argv = self._argv(*words)
        terminal = Terminal(argv, self._environment(), columns=columns, rows=rows)
        self._open.append(terminal)
        return terminal

    def run(self, *words: str) -> str:
        """Run a headless verb and return what it printed."""
        done = subprocess.run(
            self._argv(*words),
            env=self._environment(),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def _argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "console.cli", "--config", str(self.config), *words]

    def _environment(self) -> dict[str, str]:
        kinds = ("config", "data", "cache", "state")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            **{f"XDG_{kind.upper()}_HOME": str(self.home / kind) for kind in kinds},
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }


def fleet_text(specs: Sequence[HostSpec], ssh_config: Path | None = None) -> str:
    """A fleet file for these hosts, read often enough that a test need not wait long."""
    lines = [
        "[defaults]",
        'deadline = "8s"',
        f'ssh_config = "{ssh_config or specs[0].ssh_config}"',
        'intervals = { fast = "1s", slow = "3s", pools = "5s" }',
    ]
    for spec in specs:
        tiers = ", ".join(f'{pool} = "{tier}"' for pool, tier in spec.tiers.items())
        lines += ["", "[[hosts]]", f"tiers = {{ {tiers} }}"]
        for key in ("name", "uri", "migrate_uri", "peer_uri"):
            lines.append(f'{key} = "{getattr(spec, key)}"')
    return "\n".join(lines) + "\n"
