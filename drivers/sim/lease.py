"""The lease of a simulated host, kept in the world's memory."""

from __future__ import annotations

import asyncio

from drivers.errors import Busy
from drivers.protocol import HeldLease
from drivers.sim.world import SimHost


def hold(host: SimHost, words: str) -> HeldLease:
    """Take the lease.

    Raises:
        Busy: It is held; says by whom.
    """
    if host.lease:
        raise Busy(
            f"{host.name} is being worked on by another console",
            proof=host.lease,
            fix="wait for it, or talk to them",
        )
    host.lease = words
    lost = asyncio.Event()

    async def release() -> None:
        if not lost.is_set():
            host.lease = ""
        lost.set()

    return HeldLease(lost, release)
