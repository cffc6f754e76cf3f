"""What the moves of an operation left behind is finished for all of them at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from console.operations.finishing import finish_plans, take_up_jobs
from console.policy.recovery import FINISH, UNDO
from drivers.errors import Refused
from drivers.model.job import JobState, Plan
from drivers.model.operation import Choice, Operation, OperationState
from screens.base import View
from screens.render.problems import troubles
from tests.console.opsworld import OpsConsole, OpsStore, OpsWorld, fleet, until, uuid_of

VMS = 3


def books(console: OpsConsole) -> Any:
    """The history of a console, and its jobs."""
    store = OpsStore(console.console, console.world)

    async def jobs() -> object:
        return console.jobs

    async def ask(question: Any) -> object:
        return question(store)

    return SimpleNamespace(jobs=jobs, ask=ask)


async def drained() -> tuple[OpsWorld, OpsConsole, Operation]:
    """A host whose VMs went away with their disks, by a console that lives."""
    world = fleet(VMS)
    world.local |= {uuid_of(number) for number in range(VMS)}
    console = OpsConsole(world)
    choices = {uuid_of(number): Choice.COPY for number in range(VMS)}
    plan = await console.operations.plan_drain("kvm1", choices)
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is OperationState.DONE, operation.problem
    return world, console, operation


def old(world: OpsWorld) -> list[str]:
    return [path for host, path in world.volumes if host == "kvm1"]


async def finished(console: OpsConsole, plans: tuple[Plan, ...]) -> None:
    ids = {await console.jobs.submit(plan) for plan in plans}
    await until(lambda: all(j.state.ended for j in console.jobs.jobs if j.id in ids))
    found = [j for j in console.jobs.jobs if j.id in ids]
    assert [j.state for j in found] == [JobState.DONE] * len(ids), [j.problem for j in found]


async def test_one_preview_names_every_file_and_one_answer_deletes_them() -> None:
    """In a console that has not run the jobs itself, which then sees each of them."""
    world, first, operation = await drained()
    kept = old(world)
    assert len(kept) == VMS
    await first.close()
    second = OpsConsole(world, owner="me@nowhere.invalid.:0:2")
    assert second.jobs.jobs == ()
    plans = await finish_plans(books(second), operation, FINISH)
    assert {j.plan.id for j in second.jobs.jobs} == {run.ticket for run in operation.runs}
    effects = [effect for plan in plans for effect in plan.effects]
    for path in kept:
        assert f"{path} on kvm1 is DELETED" in effects
    assert old(world) == kept
    await finished(second, plans)
    assert old(world) == []
    await until(lambda: not any(job.followup for job in second.jobs.jobs))
    with pytest.raises(Refused, match="does not offer finish"):
        await finish_plans(books(second), operation, FINISH)
    await second.close()


async def test_a_console_that_begins_shows_what_others_left_to_finish() -> None:
    """Without anybody asking for that operation."""
    world, first, operation = await drained()
    second = OpsConsole(world, owner="me@nowhere.invalid.:0:2")
    await second.jobs.recover()
    view = View(jobs=second.jobs.jobs, operations=(operation,))
    (told,) = troubles(view)
    assert told.text.startswith(f"drain of kvm1: {VMS} old copies kept on kvm1, ")
    assert f"f in Jobs ({operation.id})" in told.text
    await first.close()
    await second.close()


async def test_only_finish_is_offered_and_only_of_what_has_ended() -> None:
    world, console, operation = await drained()
    with pytest.raises(Refused, match="does not offer undo"):
        await finish_plans(books(console), operation, UNDO)
    going = world.operations[operation.id] = Operation(
        operation.id, operation.plan, OperationState.PAUSED, operation.runs
    )
    with pytest.raises(Refused) as told:
        await finish_plans(books(console), going, FINISH)
    assert "it is paused" in told.value.problem.proof
    await console.close()


async def test_what_does_not_run_on_its_copy_is_left_alone_with_the_reason() -> None:
    """One VM came home by itself since: its old copy is named, kept, and the others go."""
    world, console, operation = await drained()
    (back,) = [run.move for run in operation.runs if run.move.uuid == uuid_of(1)]
    world.domains[("kvm1", back.uuid)] = world.domains.pop((back.target, back.uuid))
    plans = await finish_plans(books(console), operation, FINISH)
    (refused,) = [plan for plan in plans if plan.refusal is not None]
    assert refused.vm_name == "web1"
    problem = refused.refusal
    assert problem is not None
    assert problem.what.endswith("so /warm/web1.raw on kvm1 is kept")
    assert "web1 is running on kvm1" in problem.proof
    await finished(console, tuple(plan for plan in plans if plan.refusal is None))
    assert old(world) == ["/warm/web1.raw"]
    await console.close()


async def test_what_is_known_here_is_not_overwritten_by_what_was_read() -> None:
    """A job may go on between the reading and its showing."""
    _world, console, operation = await drained()
    shown = console.jobs.jobs
    read = await take_up_jobs(books(console), operation)
    assert len(read) == VMS
    assert console.jobs.jobs == shown
    await console.close()
