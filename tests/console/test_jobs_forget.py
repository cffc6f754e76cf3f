"""A VM that has arrived is known to its target alone, also where a daemon died before it forgot."""

from __future__ import annotations

import pytest

from console.policy.plans import make_plan
from console.policy.recovery import DISMISS, FINISH
from drivers.model.job import Action, JobState, Plan, Request
from drivers.model.vm import VmState
from tests.console.jobworld import UUID, Console, World, web1
from tests.console.test_jobs_survive import CALLS, check, ended, run, runner, settled


def forgetful() -> World:
    """A migration ends here with the definition still on its source."""
    world = web1()
    world.forgets = False
    return world


def move(world: World, **options: str) -> Plan:
    request = Request(Action.MIGRATE, UUID, "kvm2", {"mode": "p2p", **options})
    return make_plan(world.snapshot(), request, now=world.now, plan_id="plan1")


async def test_the_source_is_made_to_forget_it() -> None:
    """As the plan said, and the job tells that it had to."""
    world = forgetful()
    job = await run(Console(world), move(world))
    assert job is not None
    assert job.state is JobState.DONE, (job.problem, job.outcome)
    assert "kvm1 still knew it, and has forgotten it now" in job.outcome
    check(world)


async def test_a_definition_that_was_to_stay_stays() -> None:
    """The job tells what that may lead to."""
    world = forgetful()
    job = await run(Console(world), move(world, keep_source="yes"))
    assert job is not None
    assert job.state is JobState.DONE, (job.problem, job.outcome)
    assert world.domains[("kvm1", UUID)].state is VmState.OFF
    assert "kvm1 still knows it (as was asked)" in job.outcome


async def test_the_state_of_a_tpm_is_not_thrown_away() -> None:
    """To forget such a VM would delete what its TPM keeps, which its target may use."""
    world = forgetful()
    world.tpm = "emulator"
    job = await run(Console(world), move(world))
    assert job is not None
    assert job.state is JobState.DONE, (job.problem, job.outcome)
    assert ("kvm1", UUID) in world.domains
    assert "kvm1 still knows it (the state of its TPM may be shared" in job.outcome


async def test_the_only_stored_definition_is_not_thrown_away() -> None:
    """Its target would not know it any more once it is shut down."""
    world = forgetful()
    world.persists = False
    job = await run(Console(world), move(world))
    assert job is not None
    assert job.state is JobState.DONE, (job.problem, job.outcome)
    assert ("kvm1", UUID) in world.domains
    assert "kvm1 still knows it, and kvm2 forgets it once it is off: define it" in job.outcome


async def test_a_source_that_cannot_forget_it_is_named() -> None:
    """The VM has arrived all the same: the job is done, and says what is left to do."""
    world = forgetful()
    console = Console(world)

    def refuse(count: int, name: str) -> None:
        if name == "undefine":
            console.at, console.mode = count, "fail"

    console.on_call = refuse
    job = await run(console, move(world))
    assert job is not None
    assert job.state is JobState.DONE, (job.problem, job.outcome)
    assert "kvm1 still knows it (injected failure)" in job.outcome


@pytest.mark.parametrize("mode", ["kill", "kill-after"])
async def test_the_next_console_makes_it_forget(mode: str) -> None:
    """Killed at any call once it has arrived: it is open, its end says what it does, and does."""
    finished = 0
    for number in range(1, CALLS):
        world = forgetful()
        console = Console(world, number, mode)
        await run(console, move(world), owner="me@:0:1")
        while world.moves:
            world.tick(1)
        if not console.dead or ("kvm2", UUID) not in world.domains:
            continue
        jobs = runner(Console(world), "me@nowhere.invalid.:0:2")
        for job in await jobs.recover():
            if ("kvm1", UUID) not in world.domains:
                continue
            assert job.followup == (FINISH, DISMISS), (number, job.outcome)
            assert "kvm1 still knows it" in job.outcome
            (plan,) = await jobs.followup(job.id, FINISH)
            assert "kvm1 forgets it" in plan.effects
            assert any("undefine" in step.virsh for step in plan.steps)
            done = await ended(jobs, await jobs.submit(plan))
            assert done.state is JobState.DONE, (number, done.problem, done.outcome)
            await settled(jobs, job.id)
            finished += 1
        await jobs.stop()
        check(world)
    assert finished
