"""A running poller over fake drivers in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from console.policy.bounds import BOUNDS, Bounds
from console.poller import Poller
from drivers.model.event import Event
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from tests.console.fakes import FakeDriver
from tests.console.virtual import now


class Fleet:
    """A running poller over fake drivers, and everything it published."""

    def __init__(self, *drivers: FakeDriver, bounds: Bounds = BOUNDS, chance: float = 0.0) -> None:
        self.published: list[tuple[float, FleetSnapshot]] = []
        self.events: list[Event] = []
        self.poller = Poller(
            {d.spec.name: d.api for d in drivers},
            lambda snapshot: self.published.append((now(), snapshot)),
            self.events.extend,
            clock=now,
            chance=lambda: chance,
            bounds=bounds,
        )

    def host(self, name: str = "a") -> Host:
        host = self.poller.snapshot.host(name)
        assert host is not None
        return host

    def texts(self, change: str) -> list[str]:
        return [e.text for e in self.events if e.change == change]


@asynccontextmanager
async def watching(
    *drivers: FakeDriver, bounds: Bounds = BOUNDS, chance: float = 0.0
) -> AsyncIterator[Fleet]:
    fleet = Fleet(*drivers, bounds=bounds, chance=chance)
    task = asyncio.create_task(fleet.poller.run())
    try:
        yield fleet
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
