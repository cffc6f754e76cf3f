"""Waiting for a reading that began after one asked for it: an older one may not show a deed."""

from __future__ import annotations

import asyncio


class Turns:
    """The readings of one lane, for those who wait for the next.

    Used in one event loop. ``begun`` and ``ended`` are told in turn, ``over`` when the lane ends.
    """

    def __init__(self) -> None:
        self._asked: list[asyncio.Future[None]] = []
        self._served: list[asyncio.Future[None]] = []

    def begun(self) -> None:
        """A reading begins: it serves all who asked before."""
        self._served += self._asked
        self._asked = []

    def ended(self) -> None:
        """That reading is shown, or has failed, which no more waiting mends."""
        served, self._served = self._served, []
        for waiting in served:
            if not waiting.done():
                waiting.set_result(None)

    def over(self) -> None:
        """No more readings come: nobody waits for any."""
        self.begun()
        self.ended()

    def next(self) -> asyncio.Future[None]:
        """Done once a reading that begins after this call has ended."""
        waiting = asyncio.get_running_loop().create_future()
        self._asked.append(waiting)
        return waiting
