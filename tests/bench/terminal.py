"""A program in a pty, timed from outside: from a key's byte to the byte that shows its effect."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

COLUMNS, LINES = 160, 50
CURSOR = "▌".encode()
END_S = 8.0
_ESCAPE = re.compile(rb"\x1b(?:\[[0-9;?<>=$]*[A-Za-z]|[()][A-Z0-9]|.)")
_ROOT = Path(__file__).parents[2]


class Child:
    """One console, or a rival, in a pty of its own; ended with the ``with`` block.

    Args:
        argv: Python's arguments.
        environment: Added to this process's own.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.seen = bytearray()
        self.started = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
            os.environ.update(environment or {})
            os.environ.pop("NO_COLOR", None)
            os.chdir(_ROOT)
            os.execv(sys.executable, [sys.executable, *argv])  # noqa: S606 - the child of a fork
        size = struct.pack("HHHH", LINES, COLUMNS, 0, 0)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, size)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def read(self, seconds: float) -> bytes:
        """What comes within so many seconds; returns at the first piece.

        Raises:
            OSError: The program ended.
        """
        ready, _, _ = select.select([self._fd], [], [], max(0.0, seconds))
        if not ready:
            return b""
        try:
            piece = os.read(self._fd, 65536)
        except OSError:
            raise OSError(f"the program ended: {self.last_words()}") from None
        self.seen += piece
        return piece

    def wait_for(self, text: bytes, seconds: float) -> float:
        """Seconds since the start until ``text`` is on the wire; inf if it never is."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if text in self.seen:
                return time.monotonic() - self.started
            self.read(end - time.monotonic())
        return float("inf")

    def press(self, key: bytes) -> None:
        """Type."""
        os.write(self._fd, key)

    def count(self, seconds: float) -> int:
        """Bytes that come in so many seconds."""
        end, total = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            total += len(self.read(left))
        return total

    def answer_ms(self, key: bytes, sign: bytes) -> float:
        """Milliseconds from a key to ``sign`` (empty: any byte) on the wire; 2,000 for none."""
        self.seen.clear()
        pressed = time.monotonic()
        self.press(key)
        while not (sign in self.seen if sign else self.seen) and time.monotonic() - pressed < 2:
            self.read(0.2)
        return (time.monotonic() - pressed) * 1000

    def last_words(self) -> str:
        """The last line that it printed, such as an error's, without colours."""
        text = _ESCAPE.sub(b"", bytes(self.seen[-4000:])).decode(errors="replace")
        return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")

    def rss_mib(self) -> float:
        """Resident MiB of the program (/proc/PID/status)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def _end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + END_S
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                break
            with contextlib.suppress(OSError):  # it hung up, and ends in a moment
                self.read(0.05)
        os.close(self._fd)


_IMPORTS = """
import time
from console.loading import loading
with loading():
    import console.cli, console.headless.interface, console.app, console.appsettings
print(time.process_time() * 1000)
"""


def imports_ms() -> float:
    """Median milliseconds of CPU until Python has loaded what the console starts with."""
    argv = [sys.executable, "-c", _IMPORTS]
    runs = [subprocess.run(argv, cwd=_ROOT, capture_output=True, check=True) for _ in range(5)]
    return statistics.median(float(run.stdout) for run in runs)


def key_times(child: Child, keys: int, sign: bytes = CURSOR) -> list[float]:
    """Milliseconds from each of so many keys to the cursor's sign; keys come at odd moments."""
    times = []
    for n in range(keys):
        child.count(0.03 + 0.007 * (n % 7))
        times.append(child.answer_ms(b"j" if n % 2 == 0 else b"k", sign))
    return times
