"""Every benchmark, one after another: ``make bench``, or ``python -m tests.bench --only store,ui``.

Each row stands beside the floor or rival measured in the same run, its aim, and whether it is met.
Absolute figures vary with the machine and what else it does: trust the ratios. Each part is a
process of its own; Ctrl-C or SIGTERM ends it as it would by itself, with all that it started.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.table import LOG, Table, heading, read_log, summary

PARTS = {
    "sweep": 420.0,
    "ui": 300.0,
    "memory": 150.0,
    "cut": 240.0,
    "plan": 120.0,
    "drain": 800.0,
    "promise": 1080.0,
    "store": 900.0,
}
"""Seconds that each may take."""
TOTAL_S = 3000.0
END_S = 90.0
"""Seconds a part is given to clean up."""
SLICE_S = 0.5


class Run:
    """The parts of one run, and the signal that ended it early."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.ended_by = 0
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._end)

    def part(self, name: str, seconds: float) -> bool:
        """Run one part; False when it failed, was ended or took too long."""
        argv = [sys.executable, "-m", f"tests.bench.bench_{name}"]
        # A session of its own: Ctrl-C reaches it once, through here, and not its children first.
        process = subprocess.Popen(argv, env=self._environment, start_new_session=True)
        self._process = process
        if not self._wait(process, seconds):
            if not self.ended_by:
                Table().skip(f"the rest of {name}", f"it took more than {seconds:.0f} s")
                process.terminate()
            if not self._wait(process, END_S, to_the_end=True):
                os.killpg(process.pid, signal.SIGKILL)
        self._process = None
        return process.wait() == 0

    def _wait(
        self, process: subprocess.Popen[bytes], seconds: float, *, to_the_end: bool = False
    ) -> bool:
        """Whether the process ended in time, and before a signal said that all must."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and (to_the_end or not self.ended_by):
            try:
                process.wait(SLICE_S)
            except subprocess.TimeoutExpired:
                continue
            return True
        return False

    def _end(self, number: int, _frame: object) -> None:
        if not self.ended_by:
            self.ended_by = number
            print("\ncleaning up", file=sys.stderr, flush=True)
            if self._process is not None:
                self._process.terminate()


def arguments() -> argparse.Namespace:
    """What to run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", metavar="PART,...", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--vms", metavar="N,...", help="sizes for ui (100,1000,10000)")
    parser.add_argument("--guests", metavar="N", help="size for drain (20)")
    parser.add_argument("--rows", metavar="M,...", help="sizes for store, in millions (10,100)")
    parser.add_argument(
        "--quick", action="store_true", help="promise: give virsh a part of its ten minutes"
    )
    parser.add_argument("--json", metavar="FILE", help="write every row there as a line of JSON")
    args = parser.parse_args()
    args.parts = args.only.split(",") if args.only else list(PARTS)
    if unknown := [part for part in args.parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}: {', '.join(PARTS)}")
    return args


def main() -> int:
    """Run the parts; the exit status tells whether all could be measured, met or not."""
    args = arguments()
    began = time.monotonic()
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    print(heading(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(args.json).resolve() if args.json else Path(folder) / "rows"
        log.unlink(missing_ok=True)
        os.environ[LOG] = str(log)
        environment = dict(os.environ)
        for option, name in ((args.vms, "VMS"), (args.guests, "GUESTS"), (args.rows, "ROWS")):
            if option:
                environment[f"NOVACRON_BENCH_{name}"] = option
        if args.quick:
            environment["NOVACRON_BENCH_QUICK"] = "yes"
        run = Run(environment)
        good = True
        for name in args.parts:
            if not run.ended_by:
                print(f"== {name}", flush=True)
                left = TOTAL_S - (time.monotonic() - began)
                good = run.part(name, max(1.0, min(PARTS[name], left))) and good
        print(f"\n{summary(read_log(log))}; took {(time.monotonic() - began) / 60:.1f} min")
    if run.ended_by:
        return 128 + run.ended_by
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
