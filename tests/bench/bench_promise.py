"""A guest that writes faster than its link carries: by virsh alone, then under a profile.

``virsh migrate --live`` is given ten minutes, or a minute and a half with ``--quick``, where that
it would never end is read off its own figures: with more bytes changed a second than sent, what is
left does not shrink. Then the same guest goes over the same link by ``virsh migrate --postcopy``,
switched by hand, and home again over the whole link; and at last under a profile that promises an
end and a longest pause. How long the guest stood still is told by libvirt, and seen by the numbers
that it writes to its disk ten times a second.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from drivers.lab.fleet import LabFleet
from drivers.lab.guests import wait_for_count
from drivers.lab.host import LabHost
from drivers.lab.model import GuestSpec
from drivers.lab.processes import wait_until
from tests.bench.link import (
    MIB,
    astray,
    begin_virsh,
    bring_home,
    job_figures,
    limited,
    migrate_words,
    print_rows,
)
from tests.bench.table import Beside, Table, below
from tests.lab.e2e_cli import Cli

QUICK = "NOVACRON_BENCH_QUICK"
"""Set, the rival is given a part of its ten minutes only."""
WAIT_S = 90.0 if os.environ.get(QUICK) else 600.0
SWITCH_PASS = 3
"""By hand the switch is made when this pass begins: two have shown that it does not end."""
MBIT = 24.0
DIRTY_MIB_S = 48
COUNT_MS = 100
FINISH_S = 180
PAUSE_MS = 500
PAGE = 4096
LOOK_S = 0.005
PROFILE = f"""[profiles.promise]
post_copy = true
finish_within = {FINISH_S}
downtime_ms = 300
longest_downtime_ms = {PAUSE_MS}
levers = ["downtime", "post-copy"]
"""
FELT = "after post-copy each page the guest needs is fetched over the link, behind the rest"
NAME = "write-heavy guest"
GUEST = "heavy"


@dataclass(frozen=True, slots=True)
class Kept:
    """How the promise was kept: seconds, libvirt's pause (ms) if it tells one, levers pulled."""

    seconds: float
    pause_ms: float | None
    pulled: str


@dataclass(frozen=True, slots=True)
class Rival:
    """How far virsh came.

    Attributes:
        seconds: Until its end, or what its figures tell of one; inf for never.
        told: Those figures.
    """

    seconds: float
    told: str


def by_virsh(source: LabHost, target: LabHost) -> Rival:
    """Let virsh try, read its figures and abort it.

    Raises:
        OSError: It ended otherwise than by arriving or by the abort.
    """
    process = begin_virsh(source, *migrate_words(GUEST, target))
    try:
        process.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        found = _outlook(job_figures(source, GUEST))
        source.virsh("domjobabort", GUEST, check=False)
        process.communicate(timeout=60.0)
        return found
    finally:
        process.kill()
    raise OSError(f"virsh ended within {WAIT_S:.0f} s: {process.communicate()[1][-300:]}")


def _outlook(figures: dict[str, float]) -> Rival:
    """When it would end, by the last of its figures."""
    rate = figures.get("Memory bandwidth", 0.0)
    dirty = figures.get("Dirty rate", 0.0) * figures.get("Page size", PAGE)
    left = figures.get("Memory remaining", 0.0)
    told = (
        f"virsh after {WAIT_S:.0f} s: pass {figures.get('Iteration', 0):.0f}, {left / MIB:.0f} MiB "
        f"left, {rate / MIB:.1f} MiB/s sent, {dirty / MIB:.1f} MiB/s changed by the guest"
    )
    return Rival(WAIT_S + left / (rate - dirty) if rate > dirty else math.inf, told)


def switched_by_hand(source: LabHost, target: LabHost) -> None:
    """``virsh migrate --postcopy``, and ``virsh migrate-postcopy`` once it is seen not to end.

    Raises:
        OSError: It did not arrive.
    """
    verb, live, *words = migrate_words(GUEST, target)
    process = begin_virsh(source, verb, live, "--postcopy", "--p2p", *words)
    try:
        if not wait_until(lambda: _passes(source) >= SWITCH_PASS, 120.0):
            raise OSError(f"virsh with post-copy was seen in no pass {SWITCH_PASS}")
        source.virsh("migrate-postcopy", GUEST)
        told = process.communicate(timeout=FINISH_S)[1]
    finally:
        process.kill()
    if process.returncode:
        raise OSError(f"virsh with post-copy ended with {process.returncode}: {told[-300:]}")


def _passes(source: LabHost) -> float:
    return job_figures(source, GUEST).get("Iteration", 0.0)


class Watch:
    """Looks at a guest's counter on its disk, and keeps how long it stood still at most."""

    def __init__(self, image: Path) -> None:
        self._image = image
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.longest_ms = 0.0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        seen, since = self._newest(), time.monotonic()
        while not self._ended.wait(LOOK_S):
            now, newest = time.monotonic(), self._newest()
            if newest != seen:
                self.longest_ms = max(self.longest_ms, (now - since) * 1000)
                seen, since = newest, now

    def _newest(self) -> bytes:
        with self._image.open("rb") as stream:
            return stream.read(512)


def under_promise(lab: LabFleet, folder: Path, uuid: str) -> Kept:
    """Migrate it by the profile.

    Raises:
        OSError: It did not arrive, or lost a write.
    """
    cli = Cli(folder, lab.specs())
    cli.config.write_text(cli.config.read_text() + PROFILE)
    done = cli("migrate", GUEST, "--to", "kvm2", "--profile", "promise", "--yes", "--json")
    if done.status:
        raise OSError(f"it ended with {done.status}: {done.err[-300:]} {done.out[-300:]}")
    if wrong := astray(lab, {uuid: "kvm2"}):
        raise OSError(wrong)
    count = lab.counter(GUEST).newest
    if not wait_until(lambda: lab.counter(GUEST).newest > count, 60.0):
        raise OSError(f"the guest writes no more: it stands at {count}")
    if lost := lab.counter(GUEST).lost:
        raise OSError(f"writes were lost: {lost}")
    told = cli("jobs", "show", done.last()["job"], "--json").json()
    facts = told["facts"]
    figures = json.loads(facts.get("figures", "{}"))
    seconds = told["ended_at"] - told["started_at"]
    return Kept(seconds, figures.get("downtime_ms"), str(facts.get("pulled", "none")))


def rows(table: Table, lab: LabFleet, folder: Path) -> None:
    """The rival, then the promise."""
    source, target = lab.host("kvm1"), lab.host("kvm2")
    spec = GuestSpec(
        GUEST, shared=True, disk_mib=16, memory_mib=128, dirty_mib_s=DIRTY_MIB_S,
        write_counter=True, counter_ms=COUNT_MS,
    )  # fmt: skip
    uuid = lab.define_guest(spec, on="kvm1")
    wait_for_count(source.disk_file(GUEST), 20, 120.0)
    with limited(lab, MBIT):
        with Watch(lab.store.image(GUEST)) as before:
            rival = by_virsh(source, target)
        table.note(f"{MBIT:g} Mbit/s is {MBIT * 1e6 / 8 / MIB:.1f} MiB/s; {rival.told}")
        if wrong := astray(lab, {uuid: "kvm1"}):
            raise OSError(f"after virsh was aborted: {wrong}")
        with Watch(lab.store.image(GUEST)) as by_hand:
            switched_by_hand(source, target)
    bring_home(lab, source)
    with limited(lab, MBIT), Watch(lab.store.image(GUEST)) as during:
        kept = under_promise(lab, folder, uuid)
    table.note(f"pulled: {kept.pulled}; it runs on the target alone, and no write of it is lost")
    beside = Beside("virsh migrate --live", rival.seconds)
    table.row(
        f"{NAME}, until it has arrived", kept.seconds, "s", beside=beside, aim=below(FINISH_S)
    )
    if kept.pause_ms is None:
        table.skip(f"{NAME}, pause for the switch", "libvirt kept none of this migration")
    else:
        table.row(f"{NAME}, pause for the switch", kept.pause_ms, aim=below(PAUSE_MS))
    table.note(f"longest between two writes at the source under virsh: {before.longest_ms:.0f} ms")
    still = Beside("virsh, switched by hand", by_hand.longest_ms)
    table.row(
        f"{NAME}, longest between two writes", during.longest_ms, beside=still,
        aim=below(PAUSE_MS), reason=FELT if "post-copy" in kept.pulled else "",
    )  # fmt: skip


if __name__ == "__main__":
    print_rows(NAME, 2, rows)
