"""A VM that arrived although its call failed: its old disk, planned to go or kept, is offered."""

from __future__ import annotations

import pytest

from console.policy.plans import make_plan
from console.policy.recovery import DISMISS, FINISH
from drivers.model.job import Action, JobState, Plan, Request
from drivers.model.kept import keeps_copies
from tests.console.jobworld import UUID, Console, World, web1
from tests.console.test_jobs_survive import check, ended, run, runner, settled

OLD = ("kvm1", "/warm/web1.raw")


def copying(world: World, **options: str) -> Plan:
    """A migration that copies the VM's disk."""
    request = Request(Action.MIGRATE, UUID, "kvm2", {"mode": "p2p", **options})
    return make_plan(world.snapshot(), request, now=world.now, plan_id="plan1")


def lossy() -> World:
    """Each migration ends with its target's answer lost."""
    world = web1()
    world.loses_end = True
    return world


async def finished(world: World) -> None:
    """Another console finishes what is offered: the old disk goes, the new one is in use."""
    jobs = runner(Console(world), "me@nowhere.invalid.:0:2")
    await jobs.recover()
    (job,) = (j for j in jobs.jobs if FINISH in j.followup)
    (plan,) = await jobs.followup(job.id, FINISH)
    assert plan.refusal is None, plan.refusal
    done = await ended(jobs, await jobs.submit(plan))
    assert done.state is JobState.DONE, (done.problem, done.outcome)
    await settled(jobs, job.id)
    await jobs.stop()
    assert OLD not in world.volumes
    check(world)


async def test_the_old_disk_that_is_kept_can_be_deleted_later() -> None:
    """As after a migration whose end was heard."""
    world = lossy()
    assert OLD in world.volumes
    job = await run(Console(world), copying(world))
    assert job is not None
    assert keeps_copies(job), (job.state, job.followup, job.outcome)
    assert OLD in world.volumes
    await finished(world)


async def test_the_old_disk_that_was_to_go_is_still_offered() -> None:
    """The job is not done while what its plan deletes is there."""
    world = lossy()
    job = await run(Console(world), copying(world, remove_source="yes"))
    assert job is not None
    assert job.state is JobState.INTERRUPTED, job.outcome
    assert job.followup == (FINISH, DISMISS)
    assert f"still on kvm1: {OLD[1]}" in job.outcome
    await finished(world)


@pytest.mark.parametrize("options", [{}, {"remove_source": "yes"}])
async def test_an_end_that_was_heard_is_as_before(options: dict[str, str]) -> None:
    world = web1()
    job = await run(Console(world), copying(world, **options))
    assert job is not None
    assert job.state is JobState.DONE
    assert (OLD in world.volumes) is not bool(options)
    check(world)
