"""A VM that is off and known to both hosts: whichever disk was written to since is never lost."""

from __future__ import annotations

import pytest

from console.jobs.runner import JobRunner
from drivers.model.job import Action, Job, JobState
from drivers.model.vm import VmState
from tests.console.jobworld import Console, World, web1
from tests.console.test_jobs_survive import ended, plan_of, run, runner

OLD, NEW = ("kvm1", "/warm/web1.raw"), ("kvm2", "/warm/web1.raw")


async def known_to_both() -> World:
    """The console died after the target was told, before the source forgot."""
    whole = web1(VmState.OFF)
    console = Console(whole)
    await run(console, plan_of(whole, Action.MIGRATE, "kvm2"))
    world = web1(VmState.OFF)
    last = console.log.index("forget_here") + 1
    await run(Console(world, last, "kill"), plan_of(world, Action.MIGRATE, "kvm2"), "me@:0:1")
    assert {host for host, _ in world.domains} == {"kvm1", "kvm2"}
    return world


@pytest.mark.parametrize(
    ("choice", "used", "words", "homes"),
    [
        ("finish", OLD, "was written to after it was sent", {"kvm1"}),
        ("undo", NEW, "was used on kvm2", {"kvm1", "kvm2"}),
    ],
)
async def test_what_was_used_meanwhile_is_kept(
    choice: str, used: tuple[str, str], words: str, homes: set[str]
) -> None:
    """Run and shut down again before somebody decides: the newest disk and its definition stay."""
    world = await known_to_both()
    world.written[used] = "later"
    jobs = runner(Console(world), "me@nowhere.invalid.:0:2")
    (left,) = await jobs.recover()
    (plan,) = await jobs.followup(left.id, choice)
    job = await ended(jobs, await jobs.submit(plan))
    await jobs.stop()
    assert job.state is not JobState.DONE
    assert job.problem is not None
    assert words in job.problem.what
    assert {host for host, _ in world.domains} == homes
    assert {host for host, _ in world.volumes} == homes
    assert used in world.volumes


async def test_finishing_deletes_no_original_unasked() -> None:
    """The plan said that the old volume is kept; the way over a dead console keeps that."""
    world = await known_to_both()
    jobs = runner(Console(world), "me@nowhere.invalid.:0:2")
    (left,) = await jobs.recover()
    (plan,) = await jobs.followup(left.id, "finish")
    job = await ended(jobs, await jobs.submit(plan))
    assert job.state is JobState.DONE, (job.problem, job.outcome)
    assert {host for host, _ in world.domains} == {"kvm2"}
    assert set(world.volumes) == {OLD, NEW}
    await finish(jobs, job)
    assert set(world.volumes) == {NEW}


@pytest.mark.parametrize("state", [VmState.OFF, VmState.RUNNING])
async def test_finishing_what_is_done_deletes_the_original(state: VmState) -> None:
    """Nothing else is left to finish then, and the preview names what is deleted."""
    world = web1(state)
    jobs = runner(Console(world), "me@nowhere.invalid.:0:1")
    job = await ended(jobs, await jobs.submit(plan_of(world, Action.MIGRATE, "kvm2")))
    assert set(world.volumes) == {OLD, NEW}
    await finish(jobs, job)
    assert set(world.volumes) == {NEW}


async def finish(jobs: JobRunner, job: Job) -> None:
    """Choose so for a job that is done."""
    assert "finish" in job.followup
    (plan,) = await jobs.followup(job.id, "finish")
    assert f"{OLD[1]} on {OLD[0]} is DELETED" in plan.effects
    done = await ended(jobs, await jobs.submit(plan))
    await jobs.stop()
    assert (done.state, done.followup) == (JobState.DONE, ()), (done.problem, done.outcome)
