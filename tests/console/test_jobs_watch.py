"""What one console sees of the jobs of others while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from console.jobs.owner import this_owner
from console.jobs.runner import JobRunner
from drivers.model.job import Action, Job, JobState
from tests.console.jobworld import Console, World, web1
from tests.console.test_jobs_admission import interrupted
from tests.console.test_jobs_survive import ended, plan_of, runner

DEAD = "me@:0:9"


async def sees(
    jobs: JobRunner, console: Console, wanted: Callable[[tuple[Job, ...]], bool]
) -> None:
    """Let the watch look until it shows what is wanted."""
    async with asyncio.timeout(60):
        while not wanted(jobs.jobs):
            console.look.set()
            await asyncio.sleep(0)


async def begun_elsewhere(world: World, owner: str) -> Job:
    """A job that another console has under way."""
    left = await interrupted(world)
    world.journal[left.id] = replace(left, owner=owner)
    return world.journal[left.id]


async def test_what_another_console_begins_is_shown_while_it_runs_and_when_it_ends():
    """The watch finds a job that was begun after the start, and shows its end."""
    world = web1()
    console = Console(world)
    jobs = runner(console, "me@:0:1")
    assert await jobs.recover() == ()
    theirs = await begun_elsewhere(world, this_owner())
    await sees(jobs, console, lambda shown: shown == (theirs,))
    done = replace(theirs, state=JobState.DONE, outcome="moved")
    world.journal[theirs.id] = done
    await sees(jobs, console, lambda shown: shown == (done,))
    await jobs.stop()


async def test_a_console_that_dies_beside_us_leaves_its_job_to_us():
    """No new start is needed: the hosts are read, and what can be done is offered."""
    world = web1()
    console = Console(world)
    jobs = runner(console, "me@:0:1")
    theirs = await begun_elsewhere(world, this_owner())
    assert await jobs.recover() == (theirs,)
    world.journal[theirs.id] = replace(theirs, owner=DEAD)
    await sees(jobs, console, lambda shown: "undo" in shown[0].followup)
    (plan,) = await jobs.followup(theirs.id, "undo")
    assert (await ended(jobs, await jobs.submit(plan))).state is JobState.DONE
    assert world.intact() == ""
    await jobs.stop()


async def test_an_offer_that_another_console_settled_goes():
    """Both offer it; one finishes; the other's list says so at its next look."""
    world = web1()
    left = await interrupted(world)
    first, second = Console(world), Console(world)
    us, them = runner(first, "me@:0:1"), runner(second, "me@:0:2")
    await us.recover()
    await them.recover()
    (plan,) = await them.followup(left.id, "undo")
    await ended(them, await them.submit(plan))
    await sees(us, first, lambda shown: not any(job.followup for job in shown))
    judged = next(job for job in us.jobs if job.id == left.id)
    assert "settled by" in judged.outcome
    await us.stop()
    await them.stop()


async def test_leaving_keeps_a_managed_migration_open():
    """It is aborted cleanly as the console closes, and the next one offers it again."""
    world = web1()
    console = Console(world)
    jobs = runner(console, "me@:0:1")
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_call(_number: int, name: str) -> None:
        if name == "migrate":
            loop.call_soon(begun.set)

    console.on_call = on_call
    job_id = await jobs.submit(plan_of(world, Action.MIGRATE, "kvm2"))
    await begun.wait()
    await jobs.stop()
    left = world.journal[job_id]
    assert left.state is JobState.INTERRUPTED
    assert "retry" in left.followup
    assert world.moves == {}
    assert world.intact() == ""
    later = runner(Console(world), "me@:0:2")
    (job,) = await later.recover()
    assert job.state is JobState.INTERRUPTED
    assert "retry" in job.followup
    (again,) = await later.followup(job_id, "retry")
    assert (await ended(later, await later.submit(again))).state is JobState.DONE
    assert [host for host, _ in world.domains] == ["kvm2"]
    await later.stop()
