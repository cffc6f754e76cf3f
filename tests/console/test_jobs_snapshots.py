"""A disk whose image holds snapshots stays where it is."""

from __future__ import annotations

import pytest

from drivers.model.job import Action, JobState
from drivers.model.vm import VmState
from tests.console.jobworld import UUID, Console, web1
from tests.console.test_jobs_survive import ended, plan_of, runner

ME = "me@:0:1"
OLD = ("kvm1", "/warm/web1.raw")


@pytest.mark.parametrize("state", [VmState.RUNNING, VmState.OFF])
async def test_a_vm_with_snapshots_is_not_moved(state: VmState) -> None:
    """The job ends with how many there are and what to do; nothing was made, nothing went."""
    world = web1(state)
    world.domains[("kvm1", UUID)].snapshots = 2
    jobs = runner(Console(world), ME)
    job = await ended(jobs, await jobs.submit(plan_of(world, Action.TIER, "hot")))
    assert job.state is JobState.FAILED
    assert job.problem is not None
    assert "web1 has 2 snapshot(s)" in job.problem.what
    assert "virsh snapshot-list web1" in job.problem.fix
    assert list(world.volumes) == [OLD]
    assert world.domains[("kvm1", UUID)].path == OLD[1]
    await jobs.stop()


@pytest.mark.parametrize("state", [VmState.RUNNING, VmState.OFF])
async def test_a_snapshot_made_meanwhile_keeps_the_old_volume(state: VmState) -> None:
    """It was taken while the copy ran, so the old image may be the only one that holds it."""
    world = web1(state)
    console = Console(world)

    def snapshot(_number: int, name: str) -> None:
        if name in ("block_pivot", "repoint_disk"):
            world.domains[("kvm1", UUID)].snapshots = 1

    console.on_call = snapshot
    jobs = runner(console, ME)
    job = await ended(jobs, await jobs.submit(plan_of(world, Action.TIER, "hot")))
    assert job.state is JobState.DONE
    assert "/warm/web1.raw is kept: web1 has 1 snapshot(s)" in str(job)
    assert OLD in world.volumes
    await jobs.stop()


@pytest.mark.parametrize("state", [VmState.RUNNING, VmState.OFF])
async def test_a_vm_whose_snapshots_cannot_be_counted_is_not_moved(state: VmState) -> None:
    """Not known is not none."""
    world = web1(state)
    world.domains[("kvm1", UUID)].snapshots = None
    jobs = runner(Console(world), ME)
    job = await ended(jobs, await jobs.submit(plan_of(world, Action.TIER, "hot")))
    assert job.state is JobState.FAILED
    assert job.problem is not None
    assert "whether web1 has snapshots is not known" in job.problem.what
    assert list(world.volumes) == [OLD]
    await jobs.stop()
