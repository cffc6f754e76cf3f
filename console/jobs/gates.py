"""How many jobs may press on one host at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from drivers.model.job import Action, Plan

HEAVY_PER_HOST = 1
"""Migrations and copies share the host's disks and links: side by side they only slow down."""

LIGHT_PER_HOST = 6
"""Starting many guests at once is what makes a host stall."""

_HEAVY = frozenset({Action.MIGRATE, Action.TIER})


class Gates:
    """Semaphores of each host; a migration passes those of both its ends."""

    def __init__(self) -> None:
        self._heavy: dict[str, asyncio.Semaphore] = {}
        self._light: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def passing(self, plan: Plan) -> AsyncIterator[None]:
        """Wait for room on every host of the plan; gates are passed in name order."""
        heavy = plan.request.action in _HEAVY
        gates, room = (self._heavy, HEAVY_PER_HOST) if heavy else (self._light, LIGHT_PER_HOST)
        hosts = {plan.host}
        if plan.request.action is Action.MIGRATE:
            hosts.add(plan.request.target)
        async with AsyncExitStack() as stack:
            for host in sorted(hosts):
                gate = gates.setdefault(host, asyncio.Semaphore(room))
                await stack.enter_async_context(gate)
            yield
