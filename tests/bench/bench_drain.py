"""A drain of many small guests over a slow link, beside ``virsh migrate --live`` one by one.

Both empty the same host over the same link in one run, to the same number of hosts. Ours is the
whole command: it reads the fleet, plans, checks each move anew and proves each by both hosts. What
the link alone needs for the bytes that were sent is printed along: no order of moves beats that,
and on a machine whose cores are busy neither does more of them at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from drivers.lab.fleet import LabFleet
from drivers.lab.model import GuestSpec
from tests.bench.link import astray, bring_home, limited, migrate_words, print_rows, sent
from tests.bench.table import Beside, Table, times
from tests.lab.e2e_cli import Cli

GUESTS = int(os.environ.get("NOVACRON_BENCH_GUESTS", "20"))
MBIT = 300.0
"""Of each host's link."""
DRAIN_S = 300.0
"""Seconds a drain is given, or twice what the rival took."""
AIM = times(0.5)
CAPS = ((2, 2), (6, 4))
"""Moves at a time per host and per link: as it comes, and as a fleet file may say."""
NAME = f"drain of {GUESTS} guests"
RIVAL = "virsh migrate --live, one by one"


@dataclass(frozen=True, slots=True)
class Took:
    """One emptying of a host: seconds, seconds the link alone needs, and how busy the cores were.

    Attributes:
        busy: Share of the time of all cores that was used, 0 to 1.
    """

    wall_s: float
    link_s: float
    busy: float


class Meter:
    """Measures one emptying, from its making on."""

    def __init__(self, lab: LabFleet) -> None:
        self._host = lab.host("kvm1")
        self._sent, self._cores, self._began = sent(self._host), _cores(), time.monotonic()

    def took(self) -> Took:
        """From the making until now."""
        wall = time.monotonic() - self._began
        used, whole = (now - then for now, then in zip(_cores(), self._cores, strict=True))
        link = (sent(self._host) - self._sent) * 8 / (MBIT * 1e6)
        return Took(wall, link, used / whole if whole else 0.0)


def _cores() -> tuple[int, int]:
    """Ticks of all cores that were used, and all of them."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def one_by_one(lab: LabFleet, guests: dict[str, str]) -> Took:
    """The rival: a shell loop of virsh on the host itself, to the other hosts in turn."""
    source, *others = lab.hosts
    meter = Meter(lab)
    for number, name in enumerate(guests):
        source.virsh(*migrate_words(name, others[number % len(others)]), timeout=180.0)
    return meter.took()


def drained(
    lab: LabFleet, guests: dict[str, str], folder: Path, caps: tuple[int, int], most_s: float
) -> Took:
    """``novacron drain``, with every arrival proven by the hosts' own libvirt.

    Args:
        caps: Moves at a time per host and per link.
        most_s: Seconds it may take.

    Raises:
        OSError: A guest is not where the plan said, or the drain did not end well.
    """
    cli = Cli(folder, lab.specs())
    text = cli.config.read_text().replace("{ fast = 1, slow = 3, pools = 5 }", "{}")
    words = "[policy]\nmoves_per_host = {}\nmoves_per_link = {}\n"
    cli.config.write_text(f"{text}{words.format(*caps)}")
    meter = Meter(lab)
    with cli.begun("drain", "kvm1", "--yes", "--json") as process:
        try:
            lines = process.communicate(timeout=most_s)[0].splitlines()
        except subprocess.TimeoutExpired as error:
            raise OSError(f"the drain did not end within {most_s:.0f} s") from error
    took = meter.took()
    if process.returncode or not lines:
        told = (folder / "stderr").read_text()[-600:]
        raise OSError(f"the drain ended with {process.returncode}: {told}")
    moves = json.loads(lines[-1])["moves"]
    if {move["uuid"] for move in moves} != set(guests.values()):
        raise OSError(f"{len(moves)} moves for {len(guests)} guests")
    if wrong := astray(lab, {move["uuid"]: move["to"] for move in moves}):
        raise OSError(wrong)
    cli("uncordon", "kvm1")
    return took


def reason(took: Took, rival: Took) -> str:
    """Why it is not sooner, as measured."""
    told = [f"the link alone needs {took.link_s:.0f} s for what was sent"]
    cores = os.cpu_count() or 1
    told.append(f"{cores} cores were {took.busy:.0%} busy with it, {rival.busy:.0%} with the rival")
    return "; ".join(told)


def rows(table: Table, lab: LabFleet, folder: Path) -> None:
    """The rival first, then ours with each of the caps, the guests brought home in between."""
    home = lab.host("kvm1")
    spec = {"shared": True, "disk_mib": 4, "nic": False, "memory_mib": 64}
    names = [f"small{number:02}" for number in range(GUESTS)]
    guests = {n: lab.define_guest(GuestSpec(n, **spec), on="kvm1") for n in names}  # type: ignore[arg-type]
    with limited(lab, MBIT):
        rival = one_by_one(lab, guests)
    table.note(
        f"{MBIT:g} Mbit/s each host; one by one: {rival.wall_s / GUESTS:.1f} s a guest, of which "
        f"{rival.link_s / GUESTS:.1f} s fill the link"
    )
    for caps in CAPS:
        bring_home(lab, home)
        with limited(lab, MBIT):
            took = drained(lab, guests, folder, caps, max(DRAIN_S, 2 * rival.wall_s))
        beside = Beside(RIVAL, rival.wall_s)
        table.note(f"all {GUESTS} run on the host of the plan and nowhere else")
        table.row(
            f"{NAME}, {caps[0]} at a time", took.wall_s, "s", beside=beside, aim=AIM,
            reason=reason(took, rival),
        )  # fmt: skip


if __name__ == "__main__":
    print_rows(NAME, 3, rows)
