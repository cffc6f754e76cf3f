"""The verdict on a live migration, against a pre-copy played through byte by byte."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.policy.convergence import Course, observe, outlook, time_left
from drivers.model.migration import Outlook, Pace
from drivers.model.vm import JobProgress

MIB = 1 << 20
STEP_S = 0.4


@dataclass
class Guest:
    """A guest that rewrites ``working_set`` bytes at ``dirty_bps``, sent at ``rate_bps``."""

    memory: int = 1024 * MIB
    working_set: int = 512 * MIB
    dirty_bps: float = 0.0
    rate_bps: float = 100.0 * MIB
    max_downtime_ms: float = 300.0

    def play(self, passes: int) -> tuple[list[JobProgress], float | None]:
        """Readings each 0.4 s over so many passes, and when QEMU would have switched over."""
        readings, at, done, size = [], 0.0, 0.0, float(self.memory)
        dirty: float | None = None
        for number in range(1, passes + 1):
            length = size / self.rate_bps
            for step in range(max(1, round(length / STEP_S))):
                sent = min(size, step * STEP_S * self.rate_bps)
                readings.append(
                    JobProgress(
                        "copying memory",
                        at + step * STEP_S,
                        done=round(done + sent),
                        total=round(done + size),
                        remaining=round(size - sent),
                        rate_bps=self.rate_bps,
                        dirty_bps=dirty,
                        iteration=number,
                    )
                )
            at, done = at + length, done + size
            changed = min(float(self.working_set), self.dirty_bps * length)
            dirty = changed / length
            if changed / self.rate_bps * 1000 <= self.max_downtime_ms:
                return readings, at + changed / self.rate_bps
            size = changed
        return readings, None


def judge(readings: list[JobProgress], max_downtime_ms: float = 300.0) -> Outlook:
    course = Course()
    for reading in readings:
        course = observe(course, reading)
    return outlook(course, max_downtime_ms=max_downtime_ms)


@pytest.mark.parametrize(
    ("dirty_mib_s", "pace"),
    [
        (20, Pace.CONVERGING),
        (60, Pace.CONVERGING),
        (85, Pace.SLOW),
        (105, Pace.NOT_CONVERGING),
        (400, Pace.NOT_CONVERGING),
    ],
)
def test_low_borderline_and_hopeless_are_called_right_within_three_passes(
    dirty_mib_s: int, pace: Pace
) -> None:
    guest = Guest(memory=2048 * MIB, working_set=2048 * MIB, dirty_bps=dirty_mib_s * MIB)
    readings, _ = guest.play(3)
    seen = judge(readings)
    assert seen.pace is pace, seen
    assert seen.changed_per_sent == pytest.approx(dirty_mib_s / 100, abs=0.05) or (
        dirty_mib_s > 100 and (seen.changed_per_sent or 0) >= 0.97
    )


def looks(guest: Guest, every_s: float, first_s: float) -> list[JobProgress]:
    """Readings at an even pace, wherever in a pass they fall; the dirty rate is not told."""
    begins = [r for r in guest.play(7)[0] if r.remaining and r.remaining + (r.done or 0) == r.total]
    begins = [r for n, r in enumerate(begins) if not n or r.iteration != begins[n - 1].iteration]
    found, at = [], first_s
    while at < begins[-1].at:
        now = next(r for r in reversed(begins) if r.at <= at)
        sent = round((at - now.at) * guest.rate_bps)
        remaining, done = (now.remaining or 0) - sent, (now.done or 0) + sent
        found.append(replace(now, at=at, done=done, remaining=remaining, dirty_bps=None))
        at += every_s
    return found


@given(changed=st.floats(0.5, 1.2), every_s=st.floats(0.1, 2.0), first_s=st.floats(0.0, 2.0))
def test_where_in_a_pass_readings_fall_does_not_matter(
    changed: float, every_s: float, first_s: float
) -> None:
    """What a pass sent before it was first seen is counted to it, and passes missed to none."""
    guest = Guest(
        memory=512 * MIB, working_set=512 * MIB, dirty_bps=changed * 100 * MIB, max_downtime_ms=0
    )
    course = Course()
    for reading in looks(guest, every_s, first_s):
        course = observe(course, reading)
        seen = outlook(course, max_downtime_ms=0)
        if seen.changed_per_sent is not None:
            assert seen.changed_per_sent == pytest.approx(min(changed, 1.0), abs=0.02)


def test_a_small_memory_rewritten_without_end_is_not_called_tame_after_the_first_pass() -> None:
    guest = Guest(memory=2048 * MIB, working_set=100 * MIB, dirty_bps=2000 * MIB)
    two, _ = guest.play(2)
    assert judge(two).pace is Pace.STARTING
    three, switched = guest.play(3)
    assert switched is None
    assert judge(three).pace is Pace.NOT_CONVERGING


def test_what_fits_into_the_pause_converges_however_fast_it_changes() -> None:
    guest = Guest(memory=512 * MIB, working_set=20 * MIB, dirty_bps=2000 * MIB, max_downtime_ms=0)
    readings, _ = guest.play(3)
    assert judge(readings, max_downtime_ms=300).pace is Pace.CONVERGING
    assert judge(readings, max_downtime_ms=50).pace is Pace.NOT_CONVERGING


def test_no_byte_moved_is_a_stall_and_says_since_when() -> None:
    readings, _ = Guest(dirty_bps=20.0 * MIB).play(2)
    last = readings[-1]
    frozen = [
        JobProgress(last.phase, last.at + s, done=last.done, remaining=last.remaining)
        for s in (5.0, 12.0)
    ]
    assert judge([*readings, frozen[0]]).pace is not Pace.STALLED
    stalled = judge([*readings, *frozen])
    assert stalled.pace is Pace.STALLED
    assert "12 s" in stalled.reason


def test_the_figures_of_setting_up_are_not_taken_for_a_pass() -> None:
    """As QEMU tells them: pass 0 with nothing to send, then pass 1 with all memory."""
    setup = JobProgress("setting up", 0.0, done=0, remaining=0, rate_bps=0.0, iteration=0)
    begun = JobProgress(
        "copying memory", 0.4, done=3_363_366, remaining=163_971_072, rate_bps=2_851_993.0,
        dirty_bps=0.0, iteration=1,
    )  # fmt: skip
    seen = judge([setup, begun])
    assert seen.pace is Pace.STARTING
    assert seen.changed_per_sent is None


def test_before_anything_is_measured_nothing_is_claimed() -> None:
    assert judge([]).pace is Pace.STARTING
    assert judge([JobProgress("setting up", 0.0)]).eta_s is None
    readings, _ = Guest(dirty_bps=200.0 * MIB).play(1)
    first = judge(readings[:3])
    assert first.pace is Pace.STARTING
    assert first.changed_per_sent is None
    assert first.eta_s is not None
    assert first.eta_s[1] is None


@given(
    dirty=st.floats(0.0, 0.7),
    memory=st.integers(256, 8192),
    downtime=st.floats(50, 2000),
)
def test_the_band_holds_the_moment_of_the_switch(
    dirty: float, memory: int, downtime: float
) -> None:
    """While a guest changes memory at an even rate, the time foretold is the time it takes."""
    guest = Guest(
        memory=memory * MIB,
        working_set=memory * MIB,
        dirty_bps=dirty * 100 * MIB,
        max_downtime_ms=downtime,
    )
    readings, switched = guest.play(40)
    third = [r for r in readings if (r.iteration or 0) <= 3]
    if switched is None or (third[-1].iteration or 0) < 3:
        return
    seen = judge(third, downtime)
    assert seen.pace is Pace.CONVERGING
    assert seen.eta_s is not None
    low, high = seen.eta_s
    left = switched - third[-1].at
    slack = STEP_S + downtime / 1000
    assert high is not None
    assert low - slack <= left <= high + slack


@given(
    remaining=st.floats(1, 1e12),
    rate=st.floats(1e3, 1e10),
    ratio=st.floats(0, 3),
    downtime=st.floats(0, 10_000),
)
def test_time_left_is_never_less_than_one_send_of_the_rest(
    remaining: float, rate: float, ratio: float, downtime: float
) -> None:
    left = time_left(remaining, remaining, rate, ratio, downtime)
    if left is None:
        assert ratio >= 0.97
    else:
        assert left >= remaining / rate * 0.999
