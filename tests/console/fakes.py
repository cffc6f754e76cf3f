"""Drivers that do exactly what a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

from drivers.errors import DriverError
from drivers.model.event import Event, EventKind
from drivers.model.host import HostFacts, HostLoad, HostSpec
from drivers.model.storage import Pool
from drivers.model.vm import Vm, VmFast, VmState
from drivers.protocol import FastReading, HostDriver, SlowReading
from tests.console.virtual import now

Hook = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """The hook of a healthy driver."""


async def hang() -> None:
    """The hook of a driver that never answers."""
    await asyncio.Event().wait()


def failing(error: DriverError) -> Hook:
    """A hook that raises ``error``."""

    async def fail() -> None:
        raise error

    return fail


class FakeDriver:
    """A host with VMs u0, u1, ...; assign ``on_*`` hooks to make it fail or hang."""

    simulated = False
    route = "fake"

    def __init__(self, name: str, vms: int = 2, **spec: Any) -> None:
        self.spec = HostSpec(name, f"fake:///{name}", **spec)
        self.vms = {f"{name}-u{i}": VmState.RUNNING for i in range(vms)}
        self.stuck: dict[str, float] = {}
        self.on_connect: Hook = nothing
        self.on_slow: Hook = nothing
        self.on_fast: Hook = nothing
        self.on_pools: Hook = nothing
        self.on_ping: Hook = nothing
        self.connects: list[float] = []
        self.slow_reads: list[float] = []
        self.fast_reads: list[float] = []
        self.pool_reads: list[float] = []
        self.pool_refreshes: list[float] = []
        self.fact_reads: list[float] = []
        self.clock_skew_s = 0.0
        self.queue: asyncio.Queue[Event] = asyncio.Queue()

    @property
    def api(self) -> HostDriver:
        return cast(HostDriver, self)

    def emit(self, uuid: str, change: str, text: str = "") -> None:
        """Send an event as libvirt would."""
        self.queue.put_nowait(
            Event(
                now(), EventKind.LIFECYCLE, self.spec.name, text or change, uuid, uuid, "", change
            )
        )

    async def connect(self) -> HostFacts:
        self.connects.append(now())
        self.queue = asyncio.Queue()
        await self.on_connect()
        return HostFacts(hostname=self.spec.name)

    async def close(self) -> None:
        return None

    async def events(self) -> AsyncIterator[Event]:
        while True:
            event = await self.queue.get()
            yield event
            if event.change == "lost":
                return

    async def ping(self) -> float:
        await self.on_ping()
        return 1.0

    async def read_slow(self) -> SlowReading:
        self.slow_reads.append(now())
        vms = tuple(Vm(u, u, self.spec.name, state=s, slow_at=now()) for u, s in self.vms.items())
        await self.on_slow()
        return SlowReading(now(), vms, dict(self.stuck))

    async def read_fast(self) -> FastReading:
        self.fast_reads.append(now())
        await self.on_fast()
        return FastReading(
            now(),
            HostLoad(cpu_pct=10.0),
            {u: VmFast(u, now(), cpu_pct=5.0) for u, s in self.vms.items() if s.active},
            rtt_ms=2.0,
        )

    async def read_pools(self) -> tuple[Pool, ...]:
        self.pool_reads.append(now())
        await self.on_pools()
        return (Pool("hot", self.spec.name, at=now()),)

    async def refresh_pools(self) -> None:
        self.pool_refreshes.append(now())

    async def read_facts(self) -> HostFacts:
        self.fact_reads.append(now())
        return HostFacts(hostname=self.spec.name, clock_skew_s=self.clock_skew_s)
