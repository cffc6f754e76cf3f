"""Curves for small charts: recorded and live points, spread over equal spans of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

Point = tuple[float, float | None]
"""When (epoch seconds) and how much; None is a gap."""

KEPT = 1800
"""Live points kept a curve: half an hour at one a second."""


class Curves:
    """What was seen since a screen was opened, by metric; a reading is taken once."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[Point]] = {}

    def add(self, at: float, values: Mapping[str, float | None]) -> None:
        """Take the values of one reading; an older or known reading is ignored."""
        for metric, value in values.items():
            line = self._seen.setdefault(metric, deque(maxlen=KEPT))
            if not line or at > line[-1][0]:
                line.append((at, value))

    def points(self, metric: str, before: Iterable[Point] = (), since: float = 0.0) -> list[Point]:
        """Recorded points, then those seen live, none of before ``since``."""
        live = self._seen.get(metric, ())
        start = live[0][0] if live else float("inf")
        kept = [point for point in before if since <= point[0] < start]
        return kept + [point for point in live if point[0] >= since]


def spread(
    points: Iterable[Point], now: float, cells: int, span: float, hold: float
) -> list[float | None]:
    """One value a cell, the newest at the right: the mean of the points in its span of time.

    Args:
        points: Oldest first.
        now: End of the last cell.
        cells: How many.
        span: Seconds a cell.
        hold: Seconds that a point still counts for, so that readings rarer than cells make no
            holes; beyond it a gap stays a gap.
    """
    sums = [0.0] * cells
    counts = [0] * cells
    start = now - cells * span
    last: Point | None = None
    held: list[float | None] = [None] * cells
    for at, value in points:
        if last is not None:
            _hold(held, last, min(at, last[0] + hold), start, span)
        last = (at, value)
        cell = int((at - start) / span) if at < now else cells - 1
        if value is not None and 0 <= cell < cells:
            sums[cell] += value
            counts[cell] += 1
    if last is not None:
        _hold(held, last, min(now, last[0] + hold), start, span)
    return [
        total / number if number else kept
        for total, number, kept in zip(sums, counts, held, strict=True)
    ]


def _hold(held: list[float | None], point: Point, until: float, start: float, span: float) -> None:
    first = max(0, int((point[0] - start) // span) + 1)
    last = min(len(held) - 1, int((until - start) // span))
    for cell in range(first, last + 1):
        held[cell] = point[1]


def total(*values: float | None) -> float | None:
    """Sum of what is known, None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
