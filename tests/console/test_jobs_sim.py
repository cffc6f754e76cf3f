"""Jobs on the simulated fleet: what a person without hypervisors can try."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from console.jobs.runner import JobRunner
from console.policy.plans import make_plan
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, HostSpec, Link, LinkState, Protect
from drivers.model.job import Action, JobState, Request
from drivers.model.vm import VmState
from drivers.sim.driver import SimDriver
from drivers.sim.fleet import SimFleet
from tests.console.jobworld import Console, MemoryStore, World, nothing_to_read


class Clock:
    """Stands still but while somebody waits on it: minutes of copying take no time."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def picture(drivers: dict[str, SimDriver], now: float) -> FleetSnapshot:
    hosts = []
    for name, driver in drivers.items():
        facts = await driver.connect()
        reading = await driver.read_slow()
        vms = tuple(replace(vm, slow_at=now) for vm in reading.vms)
        pools = tuple(replace(p, at=now) for p in await driver.read_pools())
        spec: HostSpec = replace(driver.spec, protect=Protect.RW)
        hosts.append(
            Host(spec, Link(LinkState.UP), facts, None, vms, pools, slow_at=now, pools_at=now,
                 simulated=True)
        )  # fmt: skip
        assert name == driver.spec.name
    return FleetSnapshot(now, 1, tuple(hosts), simulated=True)


@pytest.mark.parametrize("action", [Action.PAUSE, Action.TIER])
async def test_a_simulated_vm_obeys_like_a_real_one(action):
    """The same plans and jobs end DONE and verified on make-believe hosts."""
    clock = Clock()
    fleet = SimFleet(2, 12, seed=3, clock=clock, pace=0.0)
    drivers = {spec.name: fleet.driver(spec) for spec in fleet.specs()}
    snapshot = await picture(drivers, clock())
    store = MemoryStore(Console(World()))
    jobs = JobRunner(
        drivers, store, snapshot=lambda: snapshot, publish=lambda _j: None,  # type: ignore[arg-type]
        on_events=lambda _e: None, nudge=lambda _h: None,
        read_anew=nothing_to_read, clock=clock, owner="me@:0:1",
        sleep=clock.sleep,
    )  # fmt: skip
    plans = []
    for vm in snapshot.vms():
        if vm.state is not VmState.RUNNING:
            continue
        host = snapshot.host(vm.host)
        assert host is not None
        for pool in host.pools if action is Action.TIER else (None,):
            request = Request(action, vm.uuid, pool.name if pool else "", {"disk": "vda"})
            plans.append(make_plan(snapshot, request, now=clock(), plan_id="p"))
    plan = next(p for p in plans if p.refusal is None)
    job_id = await jobs.submit(plan)
    async with asyncio.timeout(60):
        while not next(j for j in jobs.jobs if j.id == job_id).state.ended:  # noqa: ASYNC110
            await asyncio.sleep(0)
    job = jobs.jobs[0]
    assert job.state is JobState.DONE, (job.problem, job.outcome)
    await jobs.stop()
