"""A simulated fleet whose links break after the switch to post-copy, and a console's jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from console.jobs.runner import JobRunner
from console.policy.plans import make_plan
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Job, Plan, Request
from drivers.model.migration import Lever
from drivers.model.vm import VmState
from drivers.sim.driver import SimDriver
from drivers.sim.fleet import SimFleet
from tests.console.jobworld import Console, MemoryStore, World
from tests.console.test_jobs_sim import Clock, nothing_to_read, picture

OPTIONS = {"mode": "p2p", "post_copy": "yes", "bandwidth_mib": "50"}


@dataclass
class Bench:
    """A simulated fleet, one guest that never converges, and a console's jobs."""

    fleet: SimFleet
    drivers: dict[str, SimDriver]
    jobs: JobRunner
    clock: Clock
    snapshot: FleetSnapshot
    target: str = ""
    store: MemoryStore = field(default_factory=lambda: MemoryStore(Console(World())))

    @property
    def uuid(self) -> str:
        return self.fleet.churning

    def plan(self) -> Plan:
        request = Request(Action.MIGRATE, self.uuid, self.target, OPTIONS)
        return make_plan(self.snapshot, request, now=self.clock(), plan_id="p")

    def job(self, job_id: str) -> Job:
        return next(j for j in self.jobs.jobs if j.id == job_id)

    async def until(self, ready: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not ready():  # noqa: ASYNC110 - the runner's own clock
                await asyncio.sleep(0)

    def console(self, owner: str) -> JobRunner:
        """The jobs of one console; all have the same hosts and history."""
        return JobRunner(
            self.drivers, self.store,  # type: ignore[arg-type]
            snapshot=lambda: self.snapshot, publish=lambda _j: None, on_events=lambda _e: None,
            nudge=lambda _h: None, read_anew=nothing_to_read, clock=self.clock, owner=owner,
            sleep=self.clock.sleep,
        )  # fmt: skip

    async def broken(self) -> Job:
        """Begin, switch over while the link is cut, and wait for the end."""
        job_id = await self.jobs.submit(self.plan())
        await self.until(lambda: (p := self.job(job_id).progress) is not None and p.levers)
        self.fleet.cut(self.target)
        await self.jobs.pull(job_id, Lever.POST_COPY, 0.0)
        await self.until(lambda: self.job(job_id).state.ended)
        return self.job(job_id)

    async def states(self) -> dict[str, tuple[VmState, str]]:
        """Host to (state, reason) of the guest, read now."""
        found = {}
        for name, driver in self.drivers.items():
            for vm in (await driver.read_slow()).vms:
                if vm.uuid == self.uuid:
                    found[name] = (vm.state, vm.reason)
        return found


@asynccontextmanager
async def made_bench() -> AsyncIterator[Bench]:
    """One, whose first console is ended afterwards."""
    clock = Clock()
    fleet = SimFleet(2, 20, seed=3, clock=clock, pace=0.0)
    drivers = {spec.name: fleet.driver(spec) for spec in fleet.specs()}
    made = Bench(fleet, drivers, None, clock, await picture(drivers, clock()))  # type: ignore[arg-type]
    made.jobs = made.console("me@:0:1")
    vm = made.snapshot.vm(made.uuid)
    assert vm is not None
    made.target = next(name for name in drivers if name != vm.host)
    hosts = tuple(
        replace(h, spec=replace(h.spec, peer_uri=f"qemu+ssh://{h.name}/system"))
        for h in made.snapshot.hosts
    )
    made.snapshot = replace(made.snapshot, hosts=hosts)
    yield made
    await made.jobs.stop()
