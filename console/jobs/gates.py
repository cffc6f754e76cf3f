"""How many jobs may press on a host, a link, a site and the whole fleet at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from console.bulkheads import ALL, Bulkheads, Gate
from console.policy.bounds import Bounds
from drivers.model.job import Action, Plan

_HEAVY = frozenset({Action.MIGRATE, Action.TIER})


class Gates:
    """Lets jobs pass while their hosts, link and sites have room.

    Args:
        bounds: How much is done at a time.
        site_of: The site of a host; empty for none.
        memory_of: Bytes of memory of a VM; None where it is not known.
    """

    def __init__(
        self,
        bounds: Bounds,
        site_of: Callable[[str], str],
        memory_of: Callable[[str], int | None] = lambda _uuid: None,
    ) -> None:
        self._bounds = bounds
        self._site_of = site_of
        self._memory_of = memory_of
        self._light = Bulkheads()
        self._heavy = Bulkheads()

    @asynccontextmanager
    async def passing(self, plan: Plan, given_up: asyncio.Event) -> AsyncIterator[None]:
        """Wait for room for this plan; a migration needs it at both of its ends.

        Args:
            given_up: Once set, it waits no more: there is nothing to be done but to say so.
        """
        heavy = plan.request.action in _HEAVY
        gates = self._heavy if heavy else self._light
        light: dict[Gate, int] = {("host", plan.host): self._bounds.jobs_per_host}
        needs = self._moving(plan) if heavy else light
        turn = asyncio.create_task(gates.enter(needs))
        end = asyncio.create_task(given_up.wait())
        try:
            await asyncio.wait((turn, end), return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                turn.cancel()
            yield
        finally:
            end.cancel()
            if not turn.done():
                turn.cancel()
            elif not turn.cancelled():
                gates.leave(needs)

    def _moving(self, plan: Plan) -> dict[Gate, int]:
        """Large guests are counted among themselves, and along with the small ones."""
        bounds, hosts = self._bounds, [plan.host]
        large = not self._is_small(plan)
        per_host = max(bounds.small_per_host, bounds.moves_per_host)
        per_link = max(bounds.small_per_link, bounds.moves_per_link)
        needs: dict[Gate, int] = {ALL: bounds.moves}
        if plan.request.action is Action.MIGRATE:
            hosts.append(plan.request.target)
            needs["link", *hosts] = per_link
            if large:
                needs["large on link", *hosts] = bounds.moves_per_link
        for host in hosts:
            needs["host", host] = per_host
            if large:
                needs["large on host", host] = bounds.moves_per_host
            if site := self._site_of(host):
                needs["site", site] = bounds.moves_per_site
        return needs

    def _is_small(self, plan: Plan) -> bool:
        """Whether a migration copies no disk and little memory."""
        memory = self._memory_of(plan.request.uuid)
        copies = any(step.args.get("copy") for step in plan.steps)
        light = plan.request.action is Action.MIGRATE and not copies
        return light and memory is not None and memory <= self._bounds.small
