"""Whose turn it is to connect: a site whose hosts all time out keeps no other site waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from console.bulkheads import ALL, Bulkheads
from console.policy.bounds import Bounds

HAND_ON_S = 3.0
"""Seconds after which a connection that is still being opened hands its turn on: by then it only
waits, for a host that does not answer or for a person, and costs nothing any more."""


class Connecting:
    """Turns for opening connections.

    Args:
        bounds: How many at a time, in all and to one site.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._gates = Bulkheads()

    @asynccontextmanager
    async def turn(self, site: str, *, failed: bool) -> AsyncIterator[None]:
        """Wait for a turn, which ends with this block or is handed on before.

        Args:
            site: Of the host; hosts without one are a site of their own.
            failed: The last attempt failed: hosts that were not tried yet go first.
        """
        own = ("site", site)
        needs = {own: self._bounds.connects_per_site, ALL: self._bounds.connects}
        await self._gates.enter(needs, own=own, rank=int(failed))
        over = False

        def hand_on() -> None:
            nonlocal over
            if not over:
                over = True
                self._gates.leave(needs)

        timer = asyncio.get_running_loop().call_later(HAND_ON_S, hand_on)
        try:
            yield
        finally:
            timer.cancel()
            hand_on()
