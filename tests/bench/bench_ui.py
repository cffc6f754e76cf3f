"""How fast the interface is, measured from outside in a pty of 160x50.

Times run from the key's byte written to the pty, or from the backend's ``publish``, to the byte
read back from the pty that shows the change. Two moods: *idle*, new readings with the same values;
*busy*, every figure of the fleet changes once a second and a VM is renamed five times a second.
The rival is Textual's own DataTable with the same rows, which renews only those in view (idle:
none).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from console.headless.interface import PAINTS_A_SECOND
from tests.bench.part import end_tidily, protected, scratch
from tests.bench.table import Aim, Beside, Table, below, percentile
from tests.bench.terminal import Child, imports_ms, key_times

SIZES = (100, 1_000, 10_000)
KEYS = 60
WINDOW_S = 5.0
RIVAL = "Textual's DataTable"


@dataclass(slots=True)
class Figures:
    """What was measured of one program: seconds, bytes a second, milliseconds, MiB."""

    first: float
    data: float
    bytes_s: float
    keys: list[float]
    events: list[float]
    late: list[float]
    memory: float


def measure(module: str, vms: int, mood: str, folder: Path) -> Figures:
    """Run one program with so many VMs and take its figures."""
    notes = folder / f"{module}-{vms}-{mood}"
    notes.touch()
    argv = ["-m", f"tests.bench.{module}", str(vms), mood, str(notes)]
    ours = module == "ui_start"
    with Child(argv, {"TEXTUAL_FPS": PAINTS_A_SECOND}) as child:
        first = child.wait_for(b"bench" if ours else b"NAME", 10)
        data = child.wait_for(b"kvm0", 20)
        child.press(b"3")
        child.wait_for(b"vm000", 10)
        child.count(1.5)
        bytes_s = child.count(WINDOW_S) / WINDOW_S
        keys = key_times(child, KEYS) if ours else key_times(child, KEYS, b"")
        events = event_times(child, notes, 2 * WINDOW_S) if mood == "busy" else []
        late = [1000 * float(rest) for word, rest in noted(notes) if word == "late"]
        return Figures(first, data, bytes_s, keys, events, late, child.rss_mib())


def noted(notes: Path) -> list[tuple[str, str]]:
    """What the program noted: a word and the rest of each line."""
    lines = notes.read_text().splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def event_times(child: Child, notes: Path, seconds: float) -> list[float]:
    """Milliseconds from ``publish`` to the renamed VM on the wire."""
    child.seen.clear()
    arrivals: list[tuple[float, int]] = []
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        child.read(left)
        arrivals.append((time.monotonic(), len(child.seen)))
    times = []
    for word, rest in noted(notes):
        name, _, at = rest.partition(" ")
        if word == "event" and (place := child.seen.find(name.encode())) >= 0:
            arrived = next(when for when, size in arrivals if size >= place + len(name))
            times.append((arrived - float(at)) * 1000)
    return times


def spread(
    table: Table, name: str, ours: list[float], theirs: list[float], aim: Aim, reason: str = ""
) -> None:
    """Median and 95th percentile beside the rival's; the aim is for the latter."""
    for share, wanted in ((0.5, None), (0.95, aim)):
        rival = Beside(RIVAL, percentile(theirs, share)) if theirs else None
        value = percentile(ours, share)
        table.row(f"{name} p{share * 100:.0f}", value, beside=rival, aim=wanted, reason=reason)


def rows(table: Table, vms: int, mood: str, folder: Path) -> None:
    """All figures of one size and mood."""
    ours = measure("ui_start", vms, mood, folder)
    rival = measure("ui_rival", vms, mood, folder)
    of = f"{mood}, {vms:,} VMs"
    if mood == "idle":
        table.row(
            f"start to first paint, {vms:,} VMs", ours.first * 1000,
            beside=Beside(RIVAL, rival.first * 1000), aim=below(500),
            reason=f"loading the modules takes {imports_ms():.0f} ms of CPU",
        )  # fmt: skip
        table.row(
            f"start to first data, {vms:,} VMs", ours.data * 1000,
            beside=Beside(RIVAL, rival.data * 1000),
        )  # fmt: skip
    aim = below(2048) if mood == "idle" else None
    # Idle, the rival paints nothing at all, for nothing is told to it.
    beside = Beside(RIVAL, rival.bytes_s) if mood == "busy" else None
    table.row(f"bytes a refresh (1 s), {of}", ours.bytes_s, "B", beside=beside, aim=aim)
    spread(table, f"key to paint, {of}", ours.keys, rival.keys if mood == "idle" else [], below(20))
    if mood == "busy":
        spread(table, f"event to paint, {vms:,} VMs", ours.events, rival.events, below(50))
    table.row(f"interface loop late p99, {of}", percentile(ours.late, 0.99))
    table.row(f"interface loop late at most, {of}", max(ours.late, default=0.0), aim=below(50))
    table.row(
        f"memory of the interface, {of}", ours.memory, "MiB", beside=Beside(RIVAL, rival.memory)
    )


def main() -> None:
    """Measure every size and mood."""
    table = Table()
    end_tidily()
    sizes = [int(text) for text in os.environ.get("NOVACRON_BENCH_VMS", "").split(",") if text]
    with scratch() as folder, protected() as words:
        table.note(words)
        for vms in sizes or SIZES:
            for mood in ("idle", "busy"):
                try:
                    rows(table, vms, mood, folder)
                except OSError as error:  # the program ended before its time
                    table.skip(f"interface, {mood}, {vms:,} VMs", error)


if __name__ == "__main__":
    main()
