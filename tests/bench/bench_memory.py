"""Memory of the whole process at 10,000 VMs: interface, engine, poller, recording to DuckDB.

It is the very ``novacron demo --simulated`` in a pty, with an empty home folder. Its hosts live in
the same process; a process that holds nothing but such hosts tells how much of it they are.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.part import end_tidily, protected, scratch
from tests.bench.table import Beside, Table, below, percentile
from tests.bench.terminal import Child, imports_ms, key_times

HOSTS, VMS = 100, 10_000
WATCH_S = 60.0
"""Several sweeps of every host, dozens of commits, and the warm-up of garbage collection."""
STEP_S = 2.0

_WEIGH = """
import asyncio
from console.tidy import resident_bytes
from drivers.sim.fleet import SimFleet

async def read(driver):
    await driver.connect()
    await driver.read_slow()
    await driver.read_fast()

async def weigh(hosts, vms):
    before = resident_bytes()
    fleet = SimFleet(hosts, vms, pace=0)
    drivers = [fleet.driver(spec) for spec in fleet.specs()]
    await asyncio.gather(*(read(d) for d in drivers), return_exceptions=True)
    print(resident_bytes() - before)

asyncio.run(weigh({hosts}, {vms}))
"""


def simulated_mib() -> float:
    """MiB that simulated hosts of this size take by themselves."""
    argv = [sys.executable, "-c", _WEIGH.format(hosts=HOSTS, vms=VMS)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return int(done.stdout) / (1 << 20)


def grown(child: Child) -> tuple[float, float]:
    """MiB at the end of the watch, and the most seen during it."""
    end, most = time.monotonic() + WATCH_S, 0.0
    while time.monotonic() < end:
        child.count(STEP_S)
        most = max(most, child.rss_mib())
    return child.rss_mib(), most


def console(home: Path, *size: str) -> Child:
    """The real console on simulated hosts, with a home folder of its own."""
    kinds = ("CONFIG", "DATA", "CACHE", "STATE")
    places = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in kinds}
    argv = ["-m", "console.cli", "demo", "--simulated", *size]
    return Child(argv, {"HOME": str(home), **places})


def start_ms(home: Path, *size: str) -> float:
    """Median milliseconds to the first paint of five starts."""
    times = []
    for _ in range(5):
        with console(home, *size) as child:
            times.append(child.wait_for(b"SIMULATED", 20) * 1000)
            child.count(0.5)
    return statistics.median(times)


def rows(table: Table, home: Path) -> None:
    """Start, memory, and keys of the real console on simulated hosts."""
    size = ("--hosts", str(HOSTS), "--vms", str(VMS))
    few = start_ms(home)
    many = Beside(f"with {VMS:,} VMs to make up", start_ms(home, *size))
    imports = imports_ms()
    why = f"loading the modules takes {imports:.0f} ms of CPU"
    table.row("start of novacron demo to first paint", few, beside=many, aim=below(500), reason=why)
    table.row("  of it CPU to load Python and the modules", imports)
    with console(home, *size) as child:
        child.press(b"3")
        child.count(3)
        memory, most = grown(child)
        keys = key_times(child, 60)
    hosts = simulated_mib()
    table.row(f"whole process, {VMS:,} VMs, DuckDB on", memory, "MiB")
    table.row("  the most it had", most, "MiB")
    table.row("  of it simulated hosts", hosts, "MiB")
    rest = Beside("with simulated hosts", memory)
    table.row("  without simulated hosts", memory - hosts, "MiB", beside=rest, aim=below(250))
    table.row("key to paint p50, whole process", percentile(keys, 0.5))
    late, why = percentile(keys, 0.95), "engine and simulated hosts share the interpreter"
    table.row("key to paint p95, whole process", late, aim=below(20), reason=why)


def main() -> None:
    """Print the rows."""
    table = Table()
    end_tidily()
    with scratch() as folder, protected() as words:
        table.note(words)
        try:
            rows(table, folder)
        except (OSError, subprocess.CalledProcessError) as error:
            table.skip("whole process", error)


if __name__ == "__main__":
    main()
