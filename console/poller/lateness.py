"""How late this console's own loop runs: what looks like silent hosts may be a starved console."""

from __future__ import annotations

import asyncio
from collections import deque

BEAT_S = 1.0
"""Seconds between two looks."""

SPAN_S = 10.0
"""Seconds over which delays add up: as long as a host is given to answer."""

KEPT_S = 90.0
"""Seconds for which delays are remembered: a host that they took down is not tried again sooner."""

_LEAST_S = 0.2
"""Less is the usual jitter of a busy loop."""


class Lateness:
    """Measures the event loop that ``run`` runs in. Used in that loop alone."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float, float]] = deque()
        """When, seconds late, and those of the last ten seconds added up."""
        self._due = float("inf")

    async def run(self) -> None:
        """Look each second until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._due = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            late = loop.time() - self._due
            if late >= _LEAST_S:
                self._late.append((loop.time(), late, self._added(loop.time(), late)))

    def worst(self) -> float:
        """Seconds late, added up over ten seconds, at most in the last 90; in tenths."""
        now = asyncio.get_running_loop().time()
        while self._late and now - self._late[0][0] > KEPT_S:
            self._late.popleft()
        overdue = now - self._due
        added = self._added(now, overdue) if overdue >= _LEAST_S else 0.0
        return round(max([added, *(total for _, _, total in self._late)]), 1)

    def _added(self, now: float, late: float) -> float:
        return late + sum(one for at, one, _ in self._late if at > now - SPAN_S)
