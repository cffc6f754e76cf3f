"""Whether the interface answers while a host's link is cut, or swallows every packet.

The real console in a pty watches three practice hosts in network namespaces, which takes root.
Keys are pressed before the fault, and from the fault on until the host is shown as down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from drivers.errors import DriverError
from drivers.lab.fleet import LabFleet
from drivers.lab.model import Mode
from tests.bench.hosts import practice
from tests.bench.part import end_tidily, protected, scratch
from tests.bench.table import Beside, Table, below, percentile
from tests.bench.terminal import Child, key_times
from tests.kvm.daemon import available
from tests.lab.console_pty import fleet_text

KEYS = 60
DOWN = b"!down"
"""What the list of hosts says then."""
DOWN_S = 60.0
"""A black-holed link is given up after about 20 s."""
MENDED_S = 60.0


def until_down(child: Child) -> tuple[list[float], float]:
    """Milliseconds of every key from now until a host is shown as down; and after how long."""
    times: list[float] = []
    shown_s = float("inf")
    began = time.monotonic()
    while time.monotonic() - began < DOWN_S and not (shown_s < DOWN_S and len(times) >= KEYS):
        times += key_times(child, 10)
        child.seen.clear()
        child.press(b"2")
        child.count(0.3)
        if DOWN in child.seen:
            shown_s = min(shown_s, time.monotonic() - began)
        child.press(b"3")
        child.count(0.3)
    return times, shown_s


def rows(table: Table, child: Child, name: str, fail: Callable[[], None]) -> None:
    """Keys before and during one fault."""
    before = key_times(child, KEYS)
    fail()
    times, seconds = until_down(child)
    for share, word in ((0.5, "p50"), (0.95, "p95"), (1.0, "at most")):
        rival = Beside("before the fault", percentile(before, share))
        aim = below(100) if share == 1.0 else None
        table.row(
            f"key to paint, link {name}, {word}", percentile(times, share), beside=rival, aim=aim
        )
    table.row(f"link {name} until the host is shown down", seconds, "s")


def watch(table: Table, lab: LabFleet, folder: Path) -> None:
    """Both faults on one console."""
    config = folder / "fleet.toml"
    config.write_text(fleet_text(lab.specs()))
    kinds = ("CONFIG", "DATA", "CACHE", "STATE")
    places = {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in kinds}
    argv = ["-m", "console.cli", "--config", str(config), "open"]
    host = lab.host("kvm2")
    for name, fail in (("cut", host.link_down), ("black-holed", host.blackhole)):
        with Child(argv, {"HOME": str(folder), **places}) as child:
            if child.wait_for(b"3/3 up", MENDED_S) == float("inf"):
                table.skip(f"link {name}", "the practice hosts did not come up")
                continue
            child.press(b"3")
            child.count(2)
            try:
                rows(table, child, name, fail)
            finally:
                host.link_up()


def main() -> None:
    """Print the rows, or why there are none."""
    table = Table()
    name = "key to paint while a link is cut"
    reason = available() or ("" if os.geteuid() == 0 else "network namespaces need root")
    if reason:
        table.skip(name, reason)
        return
    end_tidily()
    try:
        with scratch() as folder, practice(3, guests=3) as lab:
            if lab.mode is not Mode.NETNS:
                table.skip(name, "the practice hosts have no links of their own here")
                return
            with protected() as words:
                table.note(words)
                watch(table, lab, folder)
    except (DriverError, OSError) as error:
        table.skip(name, error)


if __name__ == "__main__":
    main()
