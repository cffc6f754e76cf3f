"""The audit ledger knows of every job before it acts, and how it ended."""

from __future__ import annotations

import asyncio

import pytest

from console.jobs.runner import JobRunner
from drivers.errors import Failed
from drivers.model.audit import Deed
from drivers.model.job import JobState
from tests.console.jobworld import UUID, Console, web1
from tests.console.test_jobs_survive import COLD, MANAGED, plan_of, runner


async def finished(jobs: JobRunner, job_id: str) -> None:
    """Wait until nothing of the job runs any more."""
    async with asyncio.timeout(60):
        await asyncio.gather(*[task for name, task in jobs._tasks.items() if name == job_id])


async def test_a_job_is_on_the_ledger_before_and_after() -> None:
    world = web1()
    action, target, _ = MANAGED
    plan = plan_of(world, action, target)
    jobs = runner(Console(world), "me@here:1:1")
    job_id = await jobs.submit(plan)
    assert [e.deed for e in world.ledger] == [Deed.BEGUN]
    assert world.ledger[0].commands == tuple(s.virsh or s.text for s in plan.steps)
    await finished(jobs, job_id)
    await jobs.stop()
    first, last = world.ledger
    assert last.deed is Deed.ENDED
    assert last.state == JobState.DONE
    assert "web1" in last.outcome
    for entry in (first, last):
        assert (entry.job, entry.vm, entry.hosts) == (job_id, UUID, ("kvm1", "kvm2"))
        assert entry.actor.user


async def test_a_failed_job_says_why_on_the_ledger() -> None:
    world = web1()
    action, target, _ = MANAGED
    plan = plan_of(world, action, target)
    world.freeze()
    del world.domains["kvm1", UUID]
    jobs = runner(Console(world), "me@here:1:1")
    await finished(jobs, await jobs.submit(plan))
    await jobs.stop()
    assert world.ledger[-1].deed is Deed.ENDED
    assert world.ledger[-1].state == JobState.FAILED
    assert "web1" in world.ledger[-1].outcome


async def test_without_the_ledger_nothing_is_done() -> None:
    world = web1(COLD[2])
    world.ledger_full = True
    jobs = runner(Console(world), "me@here:1:1")
    with pytest.raises(Failed, match="audit ledger"):
        await jobs.submit(plan_of(world, COLD[0], COLD[1]))
    await jobs.stop()
    assert world.journal == {}
    assert world.intact() == ""
