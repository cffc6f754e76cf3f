"""What failed for good is listed with its context until it is tried again or dismissed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from console.answers import Answers
from console.jobs.runner import JobRunner
from console.policy.plans import make_plan
from console.policy.preflight.grounds import NO_GROUNDS
from console.policy.recovery import DISMISS, RETRY
from drivers.errors import Refused
from drivers.model.audit import Deed
from drivers.model.deadletter import (
    dead_jobs,
    dead_operations,
    job_failed_for_good,
    operation_failed_for_good,
    tried_before,
)
from drivers.model.job import Action, Job, JobState, Plan, Request
from drivers.model.operation import MoveRun, MoveState, OperationState
from drivers.model.problem import Problem
from drivers.model.vm import VmState
from tests.console.jobworld import UUID, Console, Domain, World, web1
from tests.console.opsworld import OpsConsole, fleet, until
from tests.console.test_jobs_audit import finished
from tests.console.test_jobs_survive import MANAGED, plan_of, runner

ME, OTHER = "me@here:1:1", "me@here:4194304:1"


async def failed(world: World, owner: str = ME, **given: Any) -> tuple[JobRunner, Job]:
    """A migration whose VM is gone when it begins; then the VM is back."""
    action, target, _ = MANAGED
    plan = plan_of(world, action, target)
    world.freeze()
    gone = world.domains.pop(("kvm1", UUID))
    jobs = runner(Console(world), owner, **given)
    job_id = await jobs.submit(plan)
    await finished(jobs, job_id)
    world.domains["kvm1", UUID] = gone
    world.frozen = None
    return jobs, world.journal[job_id]


async def test_a_failed_job_is_listed_with_what_why_and_when() -> None:
    world = web1()
    jobs, job = await failed(world)
    await jobs.stop()
    assert dead_jobs(world.journal.values(), ()) == (job,)
    assert job.problem is not None
    assert job.problem.what
    assert job.plan.checks
    assert job.ended_at


async def test_what_is_tried_again_leaves_the_list_and_keeps_its_history() -> None:
    """The new plan is made anew from all that is read, and says what it tries again."""
    world = web1()
    asked: list[tuple[Request, ...]] = []

    async def anew(requests: tuple[Request, ...]) -> tuple[Plan, ...]:
        asked.append(requests)
        snapshot = world.snapshot()
        return tuple(make_plan(snapshot, r, now=world.now, plan_id="again") for r in requests)

    jobs, job = await failed(world, replanner=anew)
    (plan,) = await jobs.followup(job.id, RETRY)
    assert [r.action for (r,) in asked] == [Action.MIGRATE]
    assert world.journal[job.id] == job
    again = await jobs.submit(plan)
    await finished(jobs, again)
    await jobs.stop()
    assert world.journal[again].state is JobState.DONE
    left = world.journal[job.id]
    assert (left.state, left.followup, left.outcome) == (
        JobState.FAILED, (), f"tried again as {again}",
    )  # fmt: skip
    assert dead_jobs(world.journal.values(), ()) == ()
    assert [j.id for j in tried_before(world.journal[again], world.journal)] == [job.id]


async def test_what_fails_again_is_listed_once_with_what_was_tried() -> None:
    world = web1()
    jobs, job = await failed(world)
    (plan,) = await jobs.followup(job.id, RETRY)
    world.freeze()
    del world.domains["kvm1", UUID]
    again = await jobs.submit(plan)
    await finished(jobs, again)
    await jobs.stop()
    assert [j.id for j in dead_jobs(world.journal.values(), ())] == [again]
    assert [j.id for j in tried_before(world.journal[again], world.journal)] == [job.id]


async def test_what_is_dismissed_is_audited_and_stays_on_record() -> None:
    world = web1()
    jobs, job = await failed(world)
    before = len(world.ledger)
    assert await jobs.followup(job.id, DISMISS) == ()
    await jobs.stop()
    assert dead_jobs(world.journal.values(), ()) == ()
    assert world.journal[job.id] == replace(job, followup=())
    told = world.ledger[before:]
    assert [(e.deed, e.title, e.job) for e in told] == [
        (Deed.BEGUN, f"Dismiss: {job.plan.title}", job.id),
        (Deed.ENDED, f"Dismiss: {job.plan.title}", job.id),
    ]


async def test_the_next_console_shows_what_failed_before_and_decides_about_it() -> None:
    world = web1()
    first, job = await failed(world, OTHER)
    await first.stop()
    shown: list[tuple[Job, ...]] = []
    second = runner(Console(world), ME, publish=shown.append)
    await second.recover()
    assert dead_jobs(shown[-1], ()) == (job,)
    await second.followup(job.id, DISMISS)
    assert dead_jobs(shown[-1], ()) == ()
    await second.stop()


async def test_what_is_still_to_be_finished_has_not_failed_for_good() -> None:
    world = web1()
    jobs, job = await failed(world)
    await jobs.stop()
    for state, offers, dead in (
        (JobState.FAILED, ("retry", "dismiss"), True),
        (JobState.FAILED, ("force-off", "retry", "dismiss"), True),
        (JobState.INTERRUPTED, ("retry", "dismiss"), True),
        (JobState.INTERRUPTED, ("undo", "retry", "dismiss"), False),
        (JobState.INTERRUPTED, ("take-over",), False),
        (JobState.DONE, ("finish", "dismiss"), False),
        (JobState.FAILED, (), False),
    ):
        assert job_failed_for_good(replace(job, state=state, followup=offers)) is dead


async def test_an_operation_that_cannot_go_on_is_listed_instead_of_its_jobs() -> None:
    """Dismissed, it gives up the rest and stays on record."""
    world = fleet(2)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    ident = await console.operations.start(plan)
    world.down |= {"kvm2", "kvm3"}
    operation = await console.ended(ident)
    assert operation.state is OperationState.PAUSED
    assert dead_operations(world.operations.values()) == (operation,)
    well = replace(operation, id="drain-0", state=OperationState.DONE, problem=None, owner="")
    world.operations[well.id] = well
    with pytest.raises(Refused, match="has not failed for good"):
        await console.operations.dismiss(well.id)
    await console.operations.dismiss(ident)
    await until(lambda: world.operations[ident].state is OperationState.CANCELLED)
    assert dead_operations(world.operations.values()) == ()
    assert any(e.title == "Cancel: Drain of kvm1" for e in world.ledger)
    await console.close()


async def test_a_failed_operation_leaves_the_list_once_dismissed() -> None:
    world = fleet(1)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    operation = await console.ended(await console.operations.start(plan))
    broken = replace(operation, state=OperationState.FAILED, problem=Problem("it broke"))
    world.operations[broken.id] = broken
    assert operation_failed_for_good(broken)
    await console.operations.dismiss(broken.id)
    kept = world.operations[broken.id]
    assert (kept.state, kept.dismissed) == (OperationState.FAILED, True)
    assert not operation_failed_for_good(kept)
    assert [e.title for e in world.ledger][-1] == "Dismiss: Drain of kvm1"
    await console.close()


async def test_a_job_of_an_operation_under_way_is_not_listed_by_itself() -> None:
    world = web1()
    jobs, job = await failed(world)
    await jobs.stop()
    console = OpsConsole(fleet(1))
    plan = await console.operations.plan_drain("kvm1")
    operation = await console.ended(await console.operations.start(plan))
    await console.close()
    run = MoveRun(operation.runs[0].move, MoveState.FAILED, jobs=(job.id,))
    under_way = replace(operation, state=OperationState.RUNNING, runs=(run,))
    assert dead_jobs((job,), (under_way,)) == ()
    assert dead_jobs((job,), (replace(under_way, state=OperationState.CANCELLED),)) == (job,)


async def test_a_plan_made_anew_reads_its_hosts_and_remembers_nothing() -> None:
    """Volumes too; the usual preview takes what was gathered a moment ago."""
    world = web1(VmState.RUNNING)
    world.domains["kvm2", "other"] = Domain("other", VmState.RUNNING, "/warm/other.raw")
    read: list[tuple[set[str], bool]] = []
    ages: list[float] = []

    class Polled:
        snapshot = world.snapshot()

        async def read_anew(self, hosts: set[str], *, pools: bool) -> None:
            read.append((hosts, pools))

    class Gathered:
        async def grounds(self, *_ends: object, age_s: float) -> object:
            ages.append(age_s)
            return NO_GROUNDS

    class NoLeases:
        async def checked(self, plans: list[Plan]) -> tuple[Plan, ...]:
            return tuple(plans)

    answers = Answers(
        Polled(), {}, None, Gathered(), NoLeases(),  # type: ignore[arg-type]
        clock=lambda: world.now, submit=None, on_events=print,  # type: ignore[arg-type]
    )  # fmt: skip
    request = Request(Action.MIGRATE, UUID, "kvm2")
    await answers.plan((request,))
    assert read == []
    await answers.plan_anew((request,))
    assert read == [({"kvm1", "kvm2"}, True)]
    assert ages[0] > 0
    assert ages[1] == 0
