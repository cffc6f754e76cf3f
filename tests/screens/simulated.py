"""A simulated fleet read once, with a clock that stands still."""

from __future__ import annotations

import asyncio
from functools import cache

from console.merge import Picture, with_fast, with_pools, with_slow
from drivers.errors import DriverError
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, HostSpec, Link, LinkState
from drivers.sim.fleet import SimFleet
from tests.screens.fleets import NOW

HOSTS, VMS = 6, 40


@cache
def simulated_fleet() -> FleetSnapshot:
    """Every host read as the poller reads it."""
    fleet = SimFleet(HOSTS, VMS, clock=lambda: NOW, pace=0)

    async def read() -> tuple[Host, ...]:
        return tuple([await _host(fleet, spec) for spec in fleet.specs()])

    return FleetSnapshot(at=NOW, hosts=asyncio.run(read()), simulated=True)


async def _host(fleet: SimFleet, spec: HostSpec) -> Host:
    driver = fleet.driver(spec)
    try:
        facts = await driver.connect()
        link = Link(LinkState.UP, since=NOW - 3600.0, rtt_ms=1.5)
        picture = with_slow(Picture(Host(spec, link, facts=facts)), await driver.read_slow())
        picture = with_fast(picture, await driver.read_fast())
        return with_pools(picture, await driver.read_pools(), NOW).host
    except DriverError as error:
        return Host(spec, Link(LinkState.DOWN, since=NOW - 90.0, problem=error.problem))
    finally:
        await driver.close()
