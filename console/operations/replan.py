"""The rest of an operation, planned anew when a target died, is full, or is not wanted."""

from __future__ import annotations

from dataclasses import replace

from console.operations.tools import PLAN_AGE_S, Desk
from console.policy.drain.inverse import plan_rest
from console.policy.drain.layout import Wishes
from console.policy.drain.plan import plan_drain
from console.policy.drain.units import PAUSED_RISK
from console.policy.preflight.grounds import Grounds
from drivers.model.fleet import FleetSnapshot
from drivers.model.operation import (
    Choice,
    Move,
    MoveRun,
    MoveState,
    MoveVerb,
    Operation,
    OperationKind,
    OperationPlan,
    Stuck,
)

WAITING = (MoveState.PENDING, MoveState.BLOCKED)
"""States of moves that another plan may change."""


async def grounds_of_rest(desk: Desk, operation: Operation, *more: str) -> Grounds:
    """What the waiting VMs, and ``more``, are judged by on every host that was not ruled out."""
    waiting = [
        r.move.uuid
        for r in operation.runs
        if r.state in WAITING and r.move.verb is MoveVerb.MIGRATE
    ]
    waiting += [uuid for uuid in more if uuid not in waiting]
    names = [h.name for h in desk.snapshot().hosts if h.name not in operation.shut]
    ends = names if waiting else ()
    # Older answers do: each step is checked again by fresh ones, and they are asked every second.
    return await desk.grounds(waiting, ends, home_of(operation), age_s=PLAN_AGE_S)


def home_of(operation: Operation) -> str:
    """The host whose own cordon is no hurdle, because its VMs come home."""
    return "" if operation.plan.kind is OperationKind.DRAIN else operation.plan.host


def planned_anew(
    desk: Desk,
    operation: Operation,
    snapshot: FleetSnapshot,
    grounds: Grounds,
) -> Operation:
    """The operation with new targets for the VMs that still wait; the same when nothing changes.

    What moves now goes on, what is done stays done, and VMs that were not part of it stay out. A
    VM without a place is blocked with the reason: it is neither dropped nor shut down.
    """
    waiting = [r for r in operation.runs if r.state in WAITING]
    if not waiting:
        return operation
    plan = _rest(desk, operation, snapshot, grounds)
    if plan.refusal is not None:
        return operation
    moves = {m.uuid: m for m in plan.moves}
    stuck = {s.uuid: s for s in plan.stuck}
    runs = tuple(
        _again(run, moves.get(run.move.uuid), stuck.get(run.move.uuid))
        if run.state in WAITING
        else run
        for run in operation.runs
    )
    return replace(operation, runs=runs)


def _rest(
    desk: Desk, operation: Operation, snapshot: FleetSnapshot, grounds: Grounds
) -> OperationPlan:
    kind, host, limits = operation.plan.kind, operation.plan.host, operation.plan.limits
    fits, now = desk.fits(snapshot, grounds), desk.clock()
    wishes = Wishes(
        cordoned=desk.book.cordoned,
        excluded=operation.shut,
        choices=_choices(operation),
        pins=dict(operation.pins),
        moving={
            r.move.uuid: r.move.target
            for r in operation.runs
            if r.state is MoveState.RUNNING and r.move.verb is MoveVerb.MIGRATE
        },
        first_id=_next_id(operation),
    )
    if kind is OperationKind.DRAIN:
        return plan_drain(snapshot, host, fits, limits, wishes, now=now)
    waiting = [r for r in operation.runs if r.state in WAITING]
    return plan_rest(snapshot, kind, host, waiting, fits, limits, wishes, now=now)


def _again(run: MoveRun, move: Move | None, stuck: Stuck | None) -> MoveRun:
    if move is not None:
        if move.paused and not run.move.paused:
            note = f"{move.vm_name} is paused: {PAUSED_RISK}"
            return replace(run, state=MoveState.BLOCKED, note=note)
        if (move.target, move.verb) == (run.move.target, run.move.verb):
            return run
        return MoveRun(replace(move, after=()), tries=run.tries, jobs=run.jobs)
    if stuck is not None and run.move.verb is MoveVerb.MIGRATE:
        return replace(run, state=MoveState.BLOCKED, note=f"{stuck.why.what}: {stuck.why.proof}")
    return run


def _choices(operation: Operation) -> dict[str, Choice]:
    """What was chosen before the start still holds."""
    chosen: dict[str, Choice] = {
        s.uuid: s.choice for s in operation.plan.stuck if s.choice is not Choice.NONE
    }
    for run in operation.runs:
        if run.move.verb is MoveVerb.MIGRATE and run.move.copy_bytes:
            chosen.setdefault(run.move.uuid, Choice.COPY)
        elif run.move.paused:
            chosen.setdefault(run.move.uuid, Choice.MOVE)
    return chosen


def _next_id(operation: Operation) -> int:
    return max((int(r.move.id[1:]) for r in operation.runs), default=0) + 1
