"""What cannot be finished or taken back is tried a few times, and then a person is asked."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from console.operations.settle import Settler
from console.policy.drain.truth import TRIES, Found, in_vain
from console.policy.recovery import UNDO
from drivers.errors import TimedOut, Unreachable
from drivers.model.job import Action, Job, JobState, Plan, Request
from drivers.model.operation import Move, MoveRun, MoveState, MoveVerb, OperationState
from drivers.protocol import MigrationSpec
from tests.console.opsworld import OpsConsole, OpsDriver, fleet, uuid_of

PLAN = Plan("p1", Request(Action.MIGRATE, uuid_of(0), "kvm2"), "web0", "kvm1", 0.0, "Migrate web0")
LEFT = Job("j0", PLAN, JobState.INTERRUPTED, followup=(UNDO,), outcome="kvm1 gave no answer")


class Told:
    """A record and a starter that keep what they are told."""

    def __init__(self) -> None:
        self.marks: list[tuple[MoveState, str]] = []
        self.begun: list[str] = []

    async def mark(self, _run: MoveRun, state: MoveState, note: str) -> None:
        self.marks.append((state, note))

    async def submit(self, _run: MoveRun, plan: Plan, _note: str) -> None:
        self.begun.append(plan.id)


async def followed_up(jobs: list[Job]) -> Told:
    """What is done about the last of a move's jobs."""
    told = Told()

    async def followup(_job_id: str, _choice: str) -> tuple[Plan, ...]:
        return (replace(PLAN, id="again"),)

    desk: Any = SimpleNamespace(jobs=SimpleNamespace(jobs=tuple(jobs), followup=followup))
    fakes: Any = told
    move = Move("m1", MoveVerb.MIGRATE, uuid_of(0), "web0", "kvm1", "kvm2")
    run = MoveRun(move, MoveState.RUNNING, jobs=tuple(job.id for job in jobs))
    found = Found(MoveState.RUNNING, "what was left of it is taken back", UNDO)
    await Settler(desk, fakes, fakes)._follow_up(run, jobs[-1], found)
    return told


def tried(times: int) -> list[Job]:
    return [replace(LEFT, id=f"j{number}") for number in range(times + 1)]


async def test_it_is_tried_a_few_times() -> None:
    for times in range(TRIES):
        told = await followed_up(tried(times))
        assert (told.begun, told.marks) == (["again"], [])


async def test_then_the_move_failed_and_says_why() -> None:
    told = await followed_up(tried(TRIES))
    assert told.begun == []
    words = "what was left of it is taken back, 3 times in vain (kvm1 gave no answer): "
    assert told.marks == [(MoveState.FAILED, f"{words}Jobs offers it again")]


async def test_a_daemon_that_does_not_answer_is_named_with_what_helps() -> None:
    """libvirtd may hold a migration's job for good; guests outlive its restart."""
    late = TimedOut("web0 could not be resumed", "libvirt on kvm1 gave no answer in 10 s")
    told = await followed_up([replace(job, problem=late.problem) for job in tried(TRIES)])
    ((state, words),) = told.marks
    assert state is MoveState.FAILED
    assert "3 times in vain (web0 could not be resumed (libvirt on kvm1 gave no answer" in words
    assert words.endswith("if libvirtd on kvm1 hangs, restart it there: its guests run on")


def test_what_came_to_an_end_in_between_counts_anew() -> None:
    jobs = tried(TRIES)
    assert in_vain(jobs)
    assert not in_vain([*jobs[:-2], replace(jobs[-2], state=JobState.FAILED), jobs[-1]])


@pytest.mark.parametrize("said", ["End of file while reading data", "client socket is closed"])
@pytest.mark.parametrize(
    ("breaks", "state"), [(TRIES - 1, OperationState.DONE), (TRIES, OperationState.PAUSED)]
)
async def test_what_a_broken_connection_ended_is_begun_anew(
    monkeypatch: pytest.MonkeyPatch, breaks: int, state: OperationState, said: str
) -> None:
    """A daemon that restarts ends its migrations; the VM runs on where it was, and moves after."""
    migrate, begun = OpsDriver.migrate, 0

    async def migrates(self: OpsDriver, uuid: str, spec: MigrationSpec) -> None:
        nonlocal begun
        begun += 1
        if begun <= breaks:
            raise Unreachable("web0 could not be migrated", said)
        await migrate(self, uuid, spec)

    monkeypatch.setattr(OpsDriver, "migrate", migrates)
    console = OpsConsole(fleet(1))
    plan = await console.operations.plan_drain("kvm1")
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is state, operation
    assert begun == TRIES
    if state is OperationState.PAUSED:
        assert operation.problem is not None
        assert said in operation.problem.what
    await console.close()
