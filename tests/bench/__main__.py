"""Every benchmark, one after another: ``make bench``.

Each prints its figures beside the aim and, where there is one, the floor or rival measured in the
same run. Absolute figures vary with the machine and what else it does: trust the ratios.
"""

from __future__ import annotations

import os
import subprocess
import sys

PARTS = ("bench_ui", "bench_poll", "bench_store", "bench_plan")


def main() -> int:
    """Run the parts named on the command line, or all; the exit status is the worst of theirs."""
    load = os.getloadavg()[0]
    cores = os.cpu_count() or 1
    print(f"{cores} cores, load average {load:.1f}", flush=True)
    if load > cores / 2:
        print("The machine is busy: times are upper bounds.", flush=True)
    worst = 0
    for part in sys.argv[1:] or PARTS:
        print(f"\n== {part}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"tests.bench.{part}"], check=False)
        worst = max(worst, abs(done.returncode))
    return min(worst, 1)


if __name__ == "__main__":
    sys.exit(main())
