"""How fast the interface is, measured from outside in a pty: ``python -m tests.bench.bench_ui``.

Prints ``name value aim verdict``. Times run from the key's byte written to the pty, or from the
backend's ``publish``, to the byte read back from the pty that shows the change.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterable
from pathlib import Path

from console.headless.interface import PAINTS_A_SECOND

COLUMNS, LINES = 160, 50
CURSOR = "▌".encode()
KEYS = 60
WINDOW_S = 5.0


class Child:
    """One console in a pty."""

    def __init__(self, vms: int, mode: str, notes: Path) -> None:
        self.seen = bytearray()
        self.started = time.monotonic()
        self.notes = notes
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update(
                TERM="xterm-256color", COLORTERM="truecolor", TEXTUAL_FPS=PAINTS_A_SECOND
            )
            os.environ.pop("NO_COLOR", None)
            argv = [sys.executable, "-m", "tests.bench.ui_child", str(vms), mode, str(notes)]
            os.execv(sys.executable, argv)  # noqa: S606 - the child of a pty fork
        size = struct.pack("HHHH", LINES, COLUMNS, 0, 0)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, size)

    def read(self, seconds: float) -> bytes:
        """What comes within so many seconds; returns at the first piece."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, seconds))
        if not ready:
            return b""
        piece = os.read(self._fd, 65536)
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

    def rss(self) -> int:
        """Resident bytes (/proc/PID/status)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def end(self) -> None:
        """Stop it and take its notes."""
        os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + 5
        while time.monotonic() < end and os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            try:
                self.read(0.1)
            except OSError:
                time.sleep(0.05)
        os.close(self._fd)


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which a share of all lies; inf without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


def key_times(child: Child) -> list[float]:
    """Seconds from a key to the cursor's sign on the wire."""
    times = []
    for n in range(KEYS):
        child.count(0.03 + 0.007 * (n % 7))
        child.seen.clear()
        pressed = time.monotonic()
        child.press(b"j" if n % 2 == 0 else b"k")
        while CURSOR not in child.seen and time.monotonic() - pressed < 2:
            child.read(0.2)
        times.append(time.monotonic() - pressed)
    return times


def event_times(child: Child, seconds: float) -> list[float]:
    """Seconds from ``publish`` to the renamed VM on the wire."""
    child.seen.clear()
    arrivals: list[tuple[float, int]] = []
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        child.read(left)
        arrivals.append((time.monotonic(), len(child.seen)))
    times = []
    for line in child.notes.read_text().splitlines():
        word, *rest = line.split()
        if word == "event" and (place := child.seen.find(rest[0].encode())) >= 0:
            arrived = next(at for at, size in arrivals if size >= place + len(rest[0]))
            times.append(arrived - float(rest[1]))
    return times


def lateness(child: Child) -> list[float]:
    """How late the interface's loop was, in seconds."""
    lines = child.notes.read_text().splitlines()
    return [float(line.split()[1]) for line in lines if line.startswith("late ")]


def row(name: str, value: float, unit: str, aim: float | None) -> bool:
    """Print one figure beside its aim."""
    wanted = "-" if aim is None else f"<{aim:g}{unit}"
    verdict = "-" if aim is None else "met" if value < aim else "MISSED"
    print(f"{name:<44} {value:>10.2f}{unit:<5} {wanted:>10} {verdict}", flush=True)
    return verdict != "MISSED"


def measure(vms: int, mode: str, folder: Path) -> list[bool]:
    """All figures of one size and mode."""
    child = Child(vms, mode, folder / f"{vms}-{mode}")
    top = vms == 10_000
    verdicts = []
    try:
        first = child.wait_for(b"bench", 10)
        data = child.wait_for(b"kvm0", 20)
        if mode == "idle":
            verdicts += [
                row(f"start to first paint, {vms} VMs", first, "s", 0.5),
                row(f"start to first data, {vms} VMs", data, "s", None),
            ]
        child.press(b"3")
        child.wait_for(b"vm000-0001", 10)
        child.count(1.5)
        rate = child.count(WINDOW_S) / WINDOW_S
        aim = 2048.0 if mode == "idle" else None
        verdicts.append(row(f"bytes a second, {mode}, {vms} VMs", rate, "B", aim))
        keys = [1000 * t for t in key_times(child)]
        verdicts.append(
            row(f"key to paint p50, {mode}, {vms} VMs", percentile(keys, 0.5), "ms", None)
        )
        verdicts.append(
            row(f"key to paint p95, {mode}, {vms} VMs", percentile(keys, 0.95), "ms", 20.0)
        )
        if mode == "busy":
            events = [1000 * t for t in event_times(child, 2 * WINDOW_S)]
            verdicts.append(
                row(f"event to paint p50, {vms} VMs", percentile(events, 0.5), "ms", None)
            )
            verdicts.append(
                row(f"event to paint p95, {vms} VMs", percentile(events, 0.95), "ms", 50.0)
            )
        late = [1000 * t for t in lateness(child)]
        verdicts.append(
            row(f"loop late p99, {mode}, {vms} VMs", percentile(late, 0.99), "ms", None)
        )
        verdicts.append(row(f"loop late most, {mode}, {vms} VMs", max(late, default=0), "ms", 50.0))
        memory = child.rss() / (1 << 20)
        verdicts.append(row(f"memory, {mode}, {vms} VMs", memory, "MiB", 250.0 if top else None))
    finally:
        child.end()
    return verdicts


def main() -> int:
    """Measure 100, 1,000 and 10,000 VMs; the status is 0 whatever the verdicts say."""
    sizes = [int(text) for text in sys.argv[1:]] or [100, 1_000, 10_000]
    print(f"{'name':<44} {'value':>15} {'aim':>10} verdict")
    with tempfile.TemporaryDirectory() as folder:
        for vms in sizes:
            for mode in ("idle", "busy"):
                measure(vms, mode, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
