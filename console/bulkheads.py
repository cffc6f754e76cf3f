"""Limits on what is done at a time, by compartment: one that is full holds up nobody else.

All that one thing needs is taken at once or not at all, so nothing is held while waiting for more,
and whoever waits lets those pass that need other compartments.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

Gate = tuple[str, ...]
"""A compartment, such as ``("site", "fra")``; ``ALL`` is the whole."""

ALL: Gate = ("all",)


@dataclass(eq=False, slots=True)
class _Waiting:
    needs: Mapping[Gate, int]
    own: Gate | None
    rank: int
    passed: asyncio.Future[None]


class Bulkheads:
    """Counts who is in which compartment. Used in one event loop."""

    def __init__(self) -> None:
        self._held: Counter[Gate] = Counter()
        self._waiting: list[_Waiting] = []

    async def enter(
        self, needs: Mapping[Gate, int], *, own: Gate | None = None, rank: int = 0
    ) -> None:
        """Wait until there is room in every compartment, and take it.

        Args:
            needs: Compartment to how many it takes.
            own: While nobody is in this one, its first passes although the whole is full.
            rank: Of those that wait the lowest goes first; among equals who came first.
        """
        if self._fits(needs, own):
            self._held.update(needs.keys())
            return
        waiting = _Waiting(needs, own, rank, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            await waiting.passed
        except asyncio.CancelledError:
            if waiting.passed.done() and not waiting.passed.cancelled():
                self.leave(needs)
            else:
                self._waiting.remove(waiting)
            raise

    def leave(self, needs: Mapping[Gate, int]) -> None:
        """Give the room back; those that fit now pass."""
        self._held.subtract(needs.keys())
        self._held = +self._held
        for waiting in sorted(self._waiting, key=lambda w: w.rank):
            # One that gave up is still listed until its task runs again.
            if not waiting.passed.done() and self._fits(waiting.needs, waiting.own):
                self._held.update(waiting.needs.keys())
                self._waiting.remove(waiting)
                waiting.passed.set_result(None)

    def _fits(self, needs: Mapping[Gate, int], own: Gate | None) -> bool:
        alone = own is not None and not self._held[own]
        return all(
            self._held[gate] < room or (gate == ALL and alone) for gate, room in needs.items()
        )
