"""Rates and remaining time of a long copy, smoothed so that a person can read them."""

from __future__ import annotations

from dataclasses import replace

from drivers.model.migration import MemoryCount
from drivers.model.vm import JobProgress

_WEIGHT = 0.4
"""Share of the newest rate in the average: follows a change within about three readings."""

_STALL_S = 60.0
_STALL_SHARE = 0.96
"""A copy is stalled when its best remaining figure is this old and hardly undercut since."""


class Meter:
    """Turns successive figures of one operation into rate, remaining time and a stall warning."""

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._last: tuple[float, int] | None = None
        self._rate: float | None = None
        self._best: tuple[float, int] | None = None
        self._counted: tuple[int | None, MemoryCount] | None = None
        self._plain = self._wire = 0.0

    def update(self, progress: JobProgress) -> JobProgress:
        """The same with smoothed ``rate_bps`` and ``packing``, ``eta_s``, a note when it stalls."""
        rate, packing = self._smooth(progress), self._pack(progress)
        remaining = progress.remaining
        if remaining is None and progress.total is not None and progress.done is not None:
            remaining = max(0, progress.total - progress.done)
        # What the guest changes meanwhile must be sent again: only the rest of the rate counts.
        net = rate * packing - (progress.dirty_bps or 0.0) if rate is not None else 0.0
        eta = remaining / net if remaining is not None and net > 0 else None
        # A daemon's note compares with the mean since the beginning; what is sent of late is known.
        note = "" if progress.memory is not None and net > 0 else progress.note
        total = progress.total
        if total and remaining is not None and progress.done is not None:
            total = max(total, round(progress.done * packing) + remaining)
        return replace(
            progress,
            started_at=progress.started_at or self._started_at,
            total=total,
            remaining=remaining,
            rate_bps=rate,
            eta_s=eta,
            note=note or self._stall(progress, remaining, packing),
            packing=packing,
        )

    def _pack(self, progress: JobProgress) -> float:
        """Bytes of memory that a byte on the line carries, of late; at least 1.

        What is left of a pass shrinks by just what was worked off. From one pass to the next it
        grows by what was changed meanwhile, so there only pages that are counted as sent tell.
        """
        now, last = progress.memory, self._counted
        if now is None:
            return progress.packing
        self._counted = (progress.iteration, now)
        if last is not None:
            before = last[1]
            wire, plain = now.sent - before.sent, now.whole - before.whole
            same = progress.iteration == last[0]
            if same:
                plain = max(plain, before.left - now.left - (now.zeros - before.zeros))
            if wire >= 0 and plain >= 0 and (same or plain >= wire):
                self._plain = plain + (1 - _WEIGHT) * self._plain
                self._wire = wire + (1 - _WEIGHT) * self._wire
        return max(1.0, self._plain / self._wire) if self._wire else progress.packing

    def _smooth(self, progress: JobProgress) -> float | None:
        newest = progress.rate_bps
        if newest is None and progress.done is not None:
            if self._last is not None and progress.at > self._last[0]:
                moved = progress.done - self._last[1]
                newest = moved / (progress.at - self._last[0]) if moved >= 0 else None
            self._last = (progress.at, progress.done)
        if newest is not None:
            old = self._rate
            self._rate = newest if old is None else old + _WEIGHT * (newest - old)
        return self._rate

    def _stall(self, progress: JobProgress, remaining: int | None, packing: float) -> str:
        if remaining is None:
            return ""
        best = self._best
        if best is None or remaining < _STALL_SHARE * best[1]:
            self._best = (progress.at, remaining)
            return ""
        quiet = progress.at - best[0]
        if remaining == 0 or quiet < _STALL_S:
            return ""
        if progress.dirty_bps and self._rate and progress.dirty_bps >= self._rate * packing:
            return f"not converging for {quiet:.0f} s: memory changes faster than it is sent"
        return f"no progress for {quiet:.0f} s"
