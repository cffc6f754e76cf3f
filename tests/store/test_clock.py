"""What is too old is judged by time that has passed, whatever the wall clock says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from store.recorder import Recorder
from store.ring import Ring
from store.sample import pack
from store.settings import DAY, HOUR, StoreSettings, ticks
from tests.store.conftest import Clock
from tests.store.fleet import T0, make_host, make_vm


class Desk:
    """A recorder driven by hand, and the hours it has."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.clock = clock
        self.boot = "first"
        self.settings = StoreSettings(
            clock=clock, ticks=clock.ticks, boot=lambda: self.boot, free_bytes=0, raw_s=6 * HOUR
        )
        self.recorder = Recorder(path, self.settings, Ring(100_000))
        self.recorder.open()

    def sample(self) -> None:
        """One sample of one VM, committed; what is due is packed."""
        at = self.clock.now
        batch = pack(at, make_host("kvm1", at, (make_vm(1, "kvm1", at),)))
        assert batch is not None
        self.recorder.ring.put("test", [batch])
        self.recorder.step()

    def record(self, hours: int) -> None:
        """So many hours, two samples an hour."""
        for _ in range(2 * hours):
            self.clock.now += 1800
            self.sample()

    def restart(self, *, boot: str = "first") -> None:
        """End this process and begin another on the same file."""
        self.recorder.close()
        self.boot = boot
        self.recorder = Recorder(self.recorder.path, self.settings, Ring(100_000))
        self.recorder.open()

    def rows(self, table: str = "hist", before: float = 4e9) -> int:
        """Rows of a table of VMs from before a time."""
        with self.recorder.database.cursor() as cursor:
            text = f"SELECT count(*) FROM rec.vm_{table} WHERE ts < ?"  # noqa: S608
            found = cursor.execute(text, [before]).fetchone()
        assert found is not None
        return int(found[0])

    def weights(self, table: str) -> int:
        """Samples behind all means of a table of VMs."""
        with self.recorder.database.cursor() as cursor:
            found = cursor.execute(f"SELECT sum(n) FROM rec.vm_{table}").fetchone()  # noqa: S608
        assert found is not None
        return int(found[0])


@pytest.fixture
def desk(path: Path, clock: Clock) -> Iterator[Desk]:
    made = Desk(path, clock)
    yield made
    made.recorder.close()


def test_a_jump_forward_deletes_nothing_and_is_told(desk: Desk, clock: Clock) -> None:
    """A year ahead by mistake: not one row goes, and a warning says what the clock did."""
    desk.record(4)
    before = clock.now
    clock.jump(365 * DAY)
    desk.record(2)
    assert (desk.rows(before=before + 1), desk.rows("1m", before + 1)) == (8, 8)
    assert "the clock jumped 365 d forward" in desk.recorder.warning


def test_deleting_goes_on_hour_by_hour_meanwhile(desk: Desk, clock: Clock) -> None:
    """What has really become too old still goes at its usual pace: one hour an hour."""
    desk.record(7)
    before = clock.now
    clock.jump(365 * DAY)
    desk.sample()
    had = desk.rows(before=before)
    assert had >= 12
    for _ in range(3):
        desk.record(1)
        left = desk.rows(before=before)
        assert had - 2 <= left <= had
        had = left
    assert had <= 10


def test_a_clock_set_right_again_is_believed_at_once(desk: Desk, clock: Clock) -> None:
    """The warning goes, and no sample of the time before, within or after the jump is lost."""
    desk.record(2)
    clock.jump(90 * DAY)
    desk.record(2)
    clock.jump(-90 * DAY)
    desk.sample()
    assert desk.recorder.warning == ""
    desk.record(1)
    assert desk.rows("hist") + desk.rows("live") == 4 + 4 + 1 + 2
    assert desk.weights("1m") == desk.weights("1h") == desk.rows("hist")


def test_a_clock_that_stays_is_believed_after_a_day(desk: Desk, clock: Clock) -> None:
    """Somebody meant it: retention follows, and the file does not grow for ever."""
    desk.record(3)
    before = clock.now
    clock.jump(30 * DAY)
    desk.record(1)
    assert desk.rows(before=before) > 0
    for _ in range(5):
        clock.now += 4 * HOUR
        desk.sample()
        assert desk.recorder.warning
    clock.now += 4 * HOUR
    desk.sample()
    assert desk.rows(before=before) == 0
    assert desk.recorder.warning == ""


def test_a_jump_back_deletes_nothing(desk: Desk, clock: Clock) -> None:
    """Samples land in hours already recorded, and both count."""
    desk.record(5)
    clock.jump(-3 * HOUR)
    desk.record(2)
    assert desk.rows("hist") + desk.rows("live") == 14
    assert "3 h back" in desk.recorder.warning
    assert desk.weights("1m") == desk.weights("1h") == desk.rows("hist")


def test_a_laptop_that_slept_is_no_jump(desk: Desk, clock: Clock) -> None:
    """The count since boot goes on in sleep: what is too old goes, without a word."""
    desk.record(3)
    clock.now += 5 * DAY
    desk.sample()
    assert desk.rows(before=T0 + 4 * HOUR) == 0
    assert desk.rows("1m", T0 + 4 * HOUR) > 0
    assert desk.recorder.warning == ""
    assert abs(ticks() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60


def test_after_three_months_off_the_means_stay_and_samples_go(desk: Desk, clock: Clock) -> None:
    """Hours that were not packed yet are rolled up first; minutes and samples go by their age."""
    desk.record(5)
    last = clock.now
    assert desk.rows("live") > 0
    clock.now += 20 * DAY
    desk.restart(boot="second")
    desk.sample()
    assert desk.rows("hist", last + 1) == 10, "first the clock may still be set"
    assert desk.recorder.warning == ""
    desk.record(2)
    assert desk.rows("hist", last + 1) == 0
    assert desk.rows("1m", last + 1) == 10
    clock.now += 90 * DAY
    desk.restart(boot="third")
    desk.record(2)
    assert desk.rows("1m", last + 1) == 0
    with desk.recorder.database.cursor() as cursor:
        found = cursor.execute("SELECT sum(n) FROM rec.vm_1h WHERE ts <= ?", [last]).fetchone()
    assert found == (10,)


@pytest.mark.parametrize("boot", ["first", "second"])
def test_a_restart_does_not_forget_the_doubt(desk: Desk, clock: Clock, boot: str) -> None:
    """A console started anew under the wrong clock, even after a boot, goes on keeping."""
    desk.record(4)
    before = clock.now
    had = desk.rows()
    clock.jump(365 * DAY)
    desk.sample()
    desk.restart(boot=boot)
    desk.record(3)
    assert desk.rows(before=before) >= had
    assert "365 d forward" in desk.recorder.warning


def test_a_jump_while_nobody_looked_is_noticed(desk: Desk, clock: Clock) -> None:
    """The same boot tells that less time has passed than the wall clock says."""
    desk.record(4)
    before = clock.now
    had = desk.rows()
    desk.recorder.close()
    clock.jump(365 * DAY)
    desk.restart()
    desk.record(2)
    assert desk.rows(before=before) >= had
    assert "365 d forward" in desk.recorder.warning


def test_late_samples_are_counted_once(desk: Desk, clock: Clock) -> None:
    """What another console hands in after its hour was packed still enters the means."""
    desk.record(3)
    at = T0 + 1800.0
    late = make_host("kvm2", at, (replace(make_vm(2, "kvm2", at), cpu_pct=80.0),))
    batch = pack(at, late)
    assert batch is not None
    desk.recorder.ring.put("other", [batch, batch])
    desk.record(2)
    with desk.recorder.database.cursor() as cursor:
        found = cursor.execute(
            "SELECT s.n, s.cpu FROM rec.vm_1h AS s JOIN rec.vm AS v ON v.id = s.vm"
            " WHERE v.name = 'web2'"
        ).fetchall()
    assert found == [(2, 800)]
