"""Whether another console's operation works on a host now: a single move keeps out of its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from drivers.errors import DriverError
from drivers.model.job import Action, Plan
from drivers.model.problem import Problem
from drivers.protocol import HostDriver

LOOK_S = 4.0
"""Seconds a host has to say who holds its lease; one that does not is gone on without."""

LEASED = "leased"
"""Code of the refusal."""

_HEAVY = (Action.MIGRATE, Action.TIER)


class LeaseLook:
    """Looks at the leases of the hosts that a plan moves something on.

    Args:
        drivers: Host name to driver.
        mine: Whether this console itself holds the lease of a host.
    """

    def __init__(self, drivers: Mapping[str, HostDriver], mine: Callable[[str], bool]) -> None:
        self._drivers = drivers
        self._mine = mine

    async def checked(self, plans: Sequence[Plan]) -> tuple[Plan, ...]:
        """The plans; a migration or tier move beside another console's operation is refused."""
        hosts = {host for plan in plans for host in _hosts(plan) if not self._mine(host)}
        told = await asyncio.gather(*(self._holder(host) for host in hosts))
        holders = {host: who for host, who in zip(hosts, told, strict=True) if who}
        return tuple(_refused(plan, holders) for plan in plans)

    async def holders(self) -> dict[str, str]:
        """Host to who holds its lease now, in their words; hosts that tell nobody are left out."""
        told = await asyncio.gather(*(self._holder(host) for host in self._drivers))
        return {host: who for host, who in zip(self._drivers, told, strict=True) if who}

    async def _holder(self, host: str) -> str:
        driver = self._drivers.get(host)
        if driver is None:
            return ""
        try:
            async with asyncio.timeout(LOOK_S):
                return await driver.lease_holder()
        except (DriverError, TimeoutError):
            return ""  # no lease can be had there, so none is held; a dead host is told elsewhere


def _hosts(plan: Plan) -> tuple[str, ...]:
    request = plan.request
    if plan.refusal is not None or request.action not in _HEAVY:
        return ()
    return (plan.host, request.target) if request.action is Action.MIGRATE else (plan.host,)


def _refused(plan: Plan, holders: Mapping[str, str]) -> Plan:
    host = next((host for host in _hosts(plan) if host in holders), None)
    if host is None:
        return plan
    problem = Problem(
        f"{host} is being worked on by another console",
        holders[host],
        "wait until that has ended, or talk to them; `novacron jobs` lists it where the history"
        " is shared, and a dead console's lease ends within a minute",
        LEASED,
    )
    return replace(plan, steps=(), effects=(), refusal=problem)
