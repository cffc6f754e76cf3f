"""A drain of many small guests over a slow link, beside ``virsh migrate --live`` one by one.

Both empty the same host of the same running guests over the same link in one run, to the same
number of hosts. Ours is the whole command: it reads the fleet, plans, checks each move anew and
proves each by both hosts. It runs twice: as it comes, without a word of configuration, and by a
profile for slow links, which compresses what is sent. The guests have booted and idle: each only
counts on its disk, which shows that no move lost a write. What the link alone needs for the bytes
that were sent is printed along: no order of moves beats that, which is why fewer bytes do.

Before 9.0 QEMU sends parts of an emulated guest's memory out of date, whoever asks for the move; on
slow links some guest in thirty then crashes. Such guests are named, and count as moved.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drivers.lab.fleet import LabFleet
from drivers.lab.model import GuestSpec
from drivers.lab.processes import wait_until
from tests.bench.link import astray, bring_home, limited, migrate_words, print_rows, sent
from tests.bench.table import Beside, Table, times
from tests.lab.e2e_cli import Cli

GUESTS = int(os.environ.get("NOVACRON_BENCH_GUESTS", "20"))
MEMORY_MIB = 96
"""Of each guest: with less the kernel does not boot, and a guest that starts over and over burns
half a core."""
MBIT = float(os.environ.get("NOVACRON_BENCH_MBIT", "100"))
"""Of each host's link, both ways."""
BOOT_S = 300.0
COUNT_S = 60.0
"""Seconds in which every guest, which counts once a second, has counted."""
DRAIN_S = 300.0
"""Seconds a drain is given, or twice what the rival took."""
AIM = times(0.5)
NAME = f"drain of {GUESTS} guests"
CHOSEN = ('compression = "mt"', "compression_level = 1")
PROFILE = "\n".join(("", "[policy]", 'profile = "slow"', "[profiles.slow]", *CHOSEN, ""))
RIVAL = "virsh migrate --live, one by one"
LAB_PACE = "intervals = { fast = 1, slow = 3, pools = 5 }"
"""What the fleet files of tests say beside what is usual."""


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
    lab: LabFleet, guests: dict[str, str], folder: Path, most_s: float, more: str = ""
) -> Took:
    """``novacron drain``, with every arrival proven by the hosts' own libvirt.

    Args:
        most_s: Seconds it may take.
        more: What the fleet file says beside the hosts.

    Raises:
        OSError: A guest is not where the plan said, or the drain did not end well.
    """
    cli = Cli(folder, lab.specs())
    cli.config.write_text(cli.config.read_text().replace(LAB_PACE, "intervals = {}") + more)
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
    return took


def booted(lab: LabFleet, names: Iterable[str]) -> dict[str, str]:
    """Guests that run on the first host and count: name to UUID.

    Raises:
        OSError: One of them did not begin to count in time.
    """
    guests = {
        name: lab.define_guest(
            GuestSpec(
                name, MEMORY_MIB, shared=True, disk_mib=4, nic=False, write_counter=True
            ),
            on="kvm1",
        )
        for name in names
    }  # fmt: skip
    if not wait_until(lambda: all(lab.counter(name).newest > 1 for name in guests), BOOT_S, 0.5):
        raise OSError(f"the guests did not boot within {BOOT_S:.0f} s")
    return guests


def standing(lab: LabFleet, guests: Iterable[str]) -> str:
    """Guests that count no more, with where they are; empty when all do.

    Raises:
        OSError: A guest lost a write of its counter.
    """
    before = {name: lab.counter(name) for name in guests}
    if lost := [name for name, found in before.items() if found.lost]:
        raise OSError(f"writes were lost: {', '.join(lost)}")
    counts = {name: found.newest for name, found in before.items()}

    def left() -> list[str]:
        return [name for name, at in counts.items() if lab.counter(name).newest <= at]

    wait_until(lambda: not left(), COUNT_S, 0.5)
    return ", ".join(f"{name} on {lab.where(name).name} at {counts[name]}" for name in left())


def words(took: Took) -> str:
    """What kept it busy, as measured."""
    return f"the link alone needs {took.link_s:.1f} s, all cores were {took.busy:.0%} busy"


def reason(took: Took, rival: Took) -> str:
    """Why it is not sooner."""
    return f"{words(took)} ({rival.busy:.0%} with the rival)"


def rows(table: Table, lab: LabFleet, folder: Path) -> None:
    """The rival first, then ours, the guests brought home in between."""
    home = lab.host("kvm1")
    guests = booted(lab, [f"small{number:02}" for number in range(GUESTS)])
    line = shlex.join(["virsh", "-c", home.direct_uri, *migrate_words("small00", lab.hosts[1])])
    table.note(
        f"{GUESTS} booted, idle guests of {MEMORY_MIB} MiB; {MBIT:g} Mbit/s each host and way, no "
        f"round trip added; 2 targets in turn; {os.cpu_count()} cores, guests in emulation"
    )
    table.note(f"the rival, on the host itself: {line}")
    table.note(f"the profile: {', '.join(CHOSEN)}")
    with limited(lab, MBIT):
        rival = one_by_one(lab, guests)
    table.note(f"one by one: {rival.wall_s / GUESTS:.1f} s a guest; {words(rival)}")
    before = standing(lab, guests)
    table.note(f"guests that stand still after it: {before or 'none'}")
    beside = Beside(RIVAL, rival.wall_s)
    for name, more, aim in ((f"{NAME}, as it comes", "", None), (NAME, PROFILE, AIM)):
        bring_home(lab, home)
        with limited(lab, MBIT):
            took = drained(lab, guests, folder, max(DRAIN_S, 2 * rival.wall_s), more)
        table.note(f"drain: {took.wall_s / GUESTS:.1f} s a guest; {words(took)}")
        table.note(f"all {GUESTS} run on the host of the plan and nowhere else")
        after = standing(lab, guests)
        table.note(f"no write was lost; guests that stand still after it: {after or 'none'}")
        table.row(name, took.wall_s, "s", beside=beside, aim=aim, reason=reason(took, rival))


if __name__ == "__main__":
    print_rows(NAME, 3, rows)
