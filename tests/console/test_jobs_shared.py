"""A volume on shared storage goes only when every host that reaches it was asked just before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.policy.plans import make_plan
from drivers.errors import Unreachable
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Job, JobState, Request
from drivers.model.vm import VmState
from drivers.protocol import SlowReading
from tests.console.jobworld import UUID, Console, Domain, World
from tests.console.jobworld_driver import WorldDriver
from tests.console.test_jobs_survive import ended, runner

PATH = "/warm/web1.raw"


class SharedWorld(World):
    """The pools lie on a file server; what the poller knows of kvm2's VMs is from long ago."""

    kind = "netfs"

    def snapshot(self) -> FleetSnapshot:
        """The picture without what has happened on kvm2 since."""
        seen = super().snapshot()
        hosts = [
            replace(h, pools=tuple(replace(p, kind=self.kind) for p in h.pools)) for h in seen.hosts
        ]
        return replace(seen, hosts=(hosts[0], replace(hosts[1], vms=())))


def off_world() -> SharedWorld:
    world = SharedWorld()
    world.domains[("kvm1", UUID)] = Domain("web1", VmState.OFF, PATH)
    world.volumes[("kvm1", PATH)] = "data"
    return world


async def delete(world: SharedWorld) -> Job:
    request = Request(Action.DELETE, UUID, "", {"volumes": PATH})
    plan = make_plan(world.snapshot(), request, now=world.now, plan_id="p")
    assert plan.refusal is None
    jobs = runner(Console(world), "me@:0:1")
    job = await ended(jobs, await jobs.submit(plan))
    await jobs.stop()
    return job


async def test_a_user_that_the_poller_has_not_seen_yet_keeps_the_volume():
    """Another host's VM was given the disk a moment ago: the fresh reading finds it."""
    world = off_world()
    world.domains[("kvm2", "u2")] = Domain("db1", VmState.RUNNING, PATH)
    job = await delete(world)
    assert job.state is JobState.FAILED
    assert ("kvm1", PATH) in world.volumes
    assert job.problem is not None
    assert "used by db1 on kvm2" in job.problem.proof


@pytest.mark.parametrize(("kind", "kept"), [("netfs", True), ("dir", False)])
async def test_a_host_that_cannot_be_read_keeps_shared_volumes_alone(kind, kept, monkeypatch):
    """What a silent host cannot reach is deleted; what it may use stays, and the note says so."""
    world = off_world()
    world.kind = kind
    read = WorldDriver.read_slow

    async def deaf(self: WorldDriver) -> SlowReading:
        if self.name == "kvm2":
            raise Unreachable("kvm2 does not answer")
        return await read(self)

    monkeypatch.setattr(WorldDriver, "read_slow", deaf)
    job = await delete(world)
    assert (("kvm1", PATH) in world.volumes) is kept
    if kept:
        assert job.problem is not None
        assert "kvm2 cannot be read" in job.problem.proof
