"""The audit ledger knows of every job before it acts, and how it ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from console.jobs.gates import Gates
from console.jobs.journal import Journal
from console.jobs.runner import JobRunner
from console.policy.bounds import Bounds
from drivers.errors import Failed
from drivers.model.audit import Deed
from drivers.model.job import Action, Job, JobState, Plan, Request
from tests.console.jobworld import UUID, Console, MemoryStore, web1
from tests.console.opsworld import OpsConsole, fleet, until, uuid_of
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


async def test_a_job_that_waits_for_room_is_cancelled_at_once():
    """However long the one before it takes, which goes on; the ledger tells the end."""
    world = fleet(2)
    world.meet = 99  # no migration ever arrives
    console = OpsConsole(world)
    console.jobs._gates = Gates(Bounds(moves_per_host=1), lambda _host: "")
    requests = [Request(Action.MIGRATE, uuid_of(n), "kvm2") for n in range(2)]
    first, second = [await console.jobs.submit(p) for p in await console.planned(tuple(requests))]
    await until(lambda: world.journal[first].state is JobState.RUNNING)
    await console.jobs.cancel(second)
    await until(lambda: (world.ledger[-1].job, world.ledger[-1].state) == (second, "cancelled"))
    assert world.journal[second].state is JobState.CANCELLED
    assert world.journal[first].state is JobState.RUNNING
    assert world.where() == {uuid_of(0): "kvm1", uuid_of(1): "kvm1"}
    await console.close()


async def test_a_job_that_took_long_is_still_known_when_it_ends():
    """However many that began after it have ended before: its runner has yet to tell the end."""
    journal = Journal(MemoryStore(Console(web1())), lambda _jobs: None, asyncio.sleep)
    plan = Plan("p", Request(Action.MIGRATE, UUID, "kvm2"), "web1", "kvm1", 0.0)
    slow = Job("slow", plan, JobState.RUNNING, (), created_at=1.0)
    journal.show(slow)
    for n in range(500):
        at = 2.0 + n
        journal.show(Job(f"j{n}", plan, JobState.DONE, (), created_at=at, ended_at=at))
    journal.show(replace(slow, state=JobState.DONE, ended_at=1000.0))
    assert journal.get("slow") is not None
    assert journal.get("j0") is None
    assert len(journal.jobs) < 300
    journal.close()
