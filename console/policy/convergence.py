"""Whether a live migration will finish: folded from its figures, reading by reading. Pure.

Pre-copy sends memory in passes: each pass sends what the guest changed during the one before. With
bytes changed per byte sent below one the passes shrink, and the guest is switched over once the
rest fits into the allowed downtime; at one or above they never shrink by themselves.

Bytes here are of memory as the guest holds it. Where it is compressed, each byte on the line
carries several of them (``packing``): passes shrink that much faster than the line suggests. QEMU
compares what is left with the line all the same, and so uses less of the allowed downtime.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from console.policy.sizes import size_words
from drivers.model.migration import PACKED, Outlook, Pace
from drivers.model.vm import JobProgress

_WEIGHT = 0.4
"""Share of the newest rate in the average: follows a change within about three readings."""

_SLOW = 0.75
_HOPELESS = 0.97
"""Bytes changed per byte sent from which passes shrink slowly, and from which they do not."""

_STALL_S = 10.0
"""Seconds without a byte moved after which a migration counts as stalled."""


_FIRST_PASSES = 2
"""All memory, and what changed meanwhile."""

_WINDOW_S = 3.0
"""Seconds over which passes are taken together: short ones vary much, one by one."""


_SHRINKING = (Pace.CONVERGING, Pace.SLOW)


@dataclass(frozen=True, slots=True)
class Pass:
    """One round over memory: ``size`` bytes to send when it began, ``done`` bytes sent before.

    Readings fall somewhere into a pass. What it sent before the first of them is known, and part
    of ``size``, where the reading before fell into the pass before: then it is ``exact``.
    """

    number: int
    began_at: float
    size: float
    done: float
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Course:
    """What the readings so far told.

    Attributes:
        newest: The last reading; None before the first.
        rate_bps: Bytes a second on the line, smoothed.
        sent: Bytes of memory sent, as the guest holds them.
        passes: The newest pass and those just before it, oldest first.
        moved_at: When a byte was last seen to move, on the console's clock.
    """

    newest: JobProgress | None = None
    rate_bps: float | None = None
    sent: float = 0.0
    passes: tuple[Pass, ...] = ()
    moved_at: float = 0.0

    @property
    def packing(self) -> float:
        """Bytes of memory that one byte on the line carries."""
        return self.newest.packing if self.newest is not None else 1.0

    @property
    def pace_bps(self) -> float | None:
        """Bytes of memory sent a second."""
        return None if self.rate_bps is None else self.rate_bps * self.packing


def observe(course: Course, reading: JobProgress) -> Course:
    """The course with one more reading; readings come in order of time."""
    last = course.newest
    moved = last is None or reading.done != last.done or reading.remaining != last.remaining
    rate = course.rate_bps
    if reading.rate_bps is not None:
        rate = reading.rate_bps if rate is None else rate + _WEIGHT * (reading.rate_bps - rate)
    wire = (reading.done or 0) - ((last.done or 0) if last is not None else 0)
    sent = course.sent + wire * reading.packing
    return replace(
        course,
        newest=reading,
        rate_bps=rate,
        sent=sent,
        passes=_passes(course, reading, sent),
        moved_at=reading.at if moved else course.moved_at,
    )


def _passes(course: Course, reading: JobProgress, done: float) -> tuple[Pass, ...]:
    passes, number = course.passes, reading.iteration
    remaining = None if reading.remaining is None else float(reading.remaining)
    if not number or remaining is None or (passes and number <= passes[-1].number):
        return passes  # while QEMU sets up it tells of a pass 0, with nothing in it
    last = course.newest
    exact = last is not None and number == (last.iteration or 0) + 1
    if last is not None and exact:
        ended = course.sent + (last.remaining or 0)  # all of the pass before is sent
        sent = max(0.0, done - ended)
        remaining, done = remaining + sent, done - sent
    if number > _FIRST_PASSES:  # the first counts pages that are never sent: they are all zeros
        passes = tuple(p for p in passes if p.number > 1)
    while len(passes) > 1 and reading.at - passes[1].began_at >= _WINDOW_S:
        passes = passes[1:]
    return (*passes, Pass(number, reading.at, remaining, done, exact))


def outlook(course: Course, *, max_downtime_ms: float) -> Outlook:
    """What is to be expected.

    Args:
        course: The readings so far.
        max_downtime_ms: Pause of the guest that QEMU may take for the switch.
    """
    now = course.newest
    if now is None:
        return Outlook(Pace.STARTING, "nothing measured yet")
    still = now.at - course.moved_at
    if now.remaining and still >= _STALL_S:
        return Outlook(Pace.STALLED, f"no byte has moved for {still:.0f} s")
    rate, remaining = course.pace_bps, now.remaining
    if not rate or remaining is None:
        return Outlook(Pace.STARTING, "the rate is not measured yet")
    implied = remaining / rate * 1000
    allowed_ms = max_downtime_ms / course.packing
    ratios = _ratios(course, rate)
    if not ratios:
        least = remaining / rate
        return Outlook(
            Pace.STARTING,
            "how fast the guest changes memory is told after the first pass",
            None,
            implied,
            (least, None),
            implied * course.packing,
        )
    low, high = min(ratios), max(ratios)
    fits = _fits(course, rate, allowed_ms)
    pace = _pace(high, fits=fits)
    reason = f"the rest fits into the allowed pause of {max_downtime_ms:.0f} ms at {_speed(course)}"
    if not fits:
        reason = _reason(course, high)
    if pace in _SHRINKING and not fits and not _proven(course):
        pace, reason = Pace.STARTING, f"{reason}; the next pass tells whether that lasts"
    return Outlook(
        pace,
        reason,
        high,
        implied,
        _band(course, rate, low, high, allowed_ms),
        implied * course.packing,
    )


def _ratios(course: Course, rate: float) -> list[float]:
    """Bytes changed per byte sent: as QEMU measures it, and as the last passes show it."""
    found = []
    now = course.newest
    if now is not None and now.dirty_bps is not None and (now.iteration or 0) > 1:
        found.append(now.dirty_bps / rate)
    shown = _by_passes(course.passes)
    if shown is not None:
        found.append(shown)
    return found


def _by_passes(passes: tuple[Pass, ...]) -> float | None:
    """Bytes changed per byte sent from the beginning of the first to that of the last of these."""
    exact = [p for p in passes if p.exact]
    if len(exact) < 2:
        return None
    before, after = exact[0], exact[-1]
    sent = after.done - before.done
    if sent <= 0:
        return None
    held = sent if before.number == 1 else before.size
    return max(0.0, (sent + after.size - held) / sent)  # what was sent and is not gone was changed


def _proven(course: Course) -> bool:
    """Whether two passes over changed memory were seen.

    The first pass is long: a guest that rewrites a little memory without end looks tame after it.
    """
    return course.passes[-1].number > _FIRST_PASSES if course.passes else False


def _fits(course: Course, rate: float, allowed_ms: float) -> bool:
    """Whether a whole pass fits into the allowed downtime, whatever the guest changes."""
    return bool(course.passes) and course.passes[-1].size / rate * 1000 <= allowed_ms


def _pace(ratio: float, *, fits: bool) -> Pace:
    if ratio < _SLOW or fits:
        return Pace.CONVERGING
    return Pace.SLOW if ratio < _HOPELESS else Pace.NOT_CONVERGING


def _speed(course: Course) -> str:
    """On the line, and what that carries where it is compressed."""
    sends = f"{size_words(round(course.rate_bps or 0.0))}/s"
    return sends if course.packing < PACKED else f"{sends}, compressed {course.packing:.1f} to 1"


def _reason(course: Course, ratio: float) -> str:
    told = f"the guest changes {ratio:.2f} bytes for each byte sent ({_speed(course)})"
    if ratio < _SLOW:
        return f"{told}: each pass is shorter than the last"
    if ratio < _HOPELESS:
        return f"{told}: passes shrink slowly"
    return f"{told}: passes do not shrink"


def _band(
    course: Course, rate: float, low: float, high: float, allowed_ms: float
) -> tuple[float, float | None]:
    remaining = (course.newest.remaining if course.newest else None) or 0
    if _fits(course, rate, allowed_ms):
        return remaining / rate, remaining / rate + allowed_ms / 1000
    size = max(remaining, course.passes[-1].size if course.passes else 0)
    best = time_left(remaining, size, rate, low, allowed_ms)
    worst = time_left(remaining, size, rate, high, allowed_ms)
    return (remaining / rate if best is None else best), worst


def time_left(
    remaining: float, size: float, rate: float, ratio: float, max_downtime_ms: float
) -> float | None:
    """Seconds until the guest runs on the target; None when passes do not shrink.

    Args:
        remaining: Bytes still to send in this pass.
        size: Bytes this pass began with: what changed since its beginning makes the next one.
        rate: Bytes of memory sent a second.
        ratio: Bytes changed per byte sent.
        max_downtime_ms: Allowed pause of the guest, as QEMU reckons it.
    """
    left, following = remaining / rate, size * ratio / rate
    goal = max_downtime_ms / 1000
    if following <= goal:
        return left + following
    if ratio >= _HOPELESS:
        return None
    # Passes of following, following*ratio, ... until one fits into the pause.
    count = max(1, math.ceil(math.log(goal / following) / math.log(ratio))) if goal > 0 else 64
    return left + following * (1 - ratio ** (count + 1)) / (1 - ratio)
