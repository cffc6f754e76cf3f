"""The rest of an operation, planned anew when a target died or a person wants another one."""

from __future__ import annotations

from dataclasses import replace

from console.operations.tools import Desk
from console.policy.drain.layout import Wishes
from console.policy.drain.plan import plan_drain
from drivers.model.fleet import FleetSnapshot
from drivers.model.operation import (
    Choice,
    Move,
    MoveRun,
    MoveState,
    MoveVerb,
    Operation,
    OperationKind,
    Stuck,
)

_WAITING = (MoveState.PENDING, MoveState.BLOCKED)


def planned_anew(desk: Desk, operation: Operation, snapshot: FleetSnapshot) -> Operation:
    """The operation with new targets for the VMs that still wait; the same when nothing changes.

    What moves now goes on, what is done stays done, and VMs that were not part of it stay out. A
    VM without a place is blocked with the reason: it is neither dropped nor shut down.
    """
    waiting = [r for r in operation.runs if r.state in _WAITING]
    if operation.plan.kind is not OperationKind.DRAIN or not waiting:
        return operation
    plan = plan_drain(
        snapshot,
        operation.plan.host,
        desk.fits(snapshot),
        operation.plan.limits,
        Wishes(
            cordoned=desk.book.cordoned,
            excluded=operation.excluded,
            choices=_choices(operation),
            pins=dict(operation.pins),
            moving={
                r.move.uuid: r.move.target
                for r in operation.runs
                if r.state is MoveState.RUNNING and r.move.verb is MoveVerb.MIGRATE
            },
            first_id=_next_id(operation),
        ),
        now=desk.clock(),
    )
    if plan.refusal is not None:
        return operation
    moves = {m.uuid: m for m in plan.moves}
    stuck = {s.uuid: s for s in plan.stuck}
    runs = tuple(
        _again(run, moves.get(run.move.uuid), stuck.get(run.move.uuid))
        if run.state in _WAITING
        else run
        for run in operation.runs
    )
    return replace(operation, runs=runs)


def _again(run: MoveRun, move: Move | None, stuck: Stuck | None) -> MoveRun:
    if move is not None:
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
        if run.move.verb is MoveVerb.MIGRATE:
            agreed = Choice.COPY if run.move.copy_bytes else Choice.MOVE
            chosen.setdefault(run.move.uuid, agreed)
    return chosen


def _next_id(operation: Operation) -> int:
    return max((int(r.move.id[1:]) for r in operation.runs), default=0) + 1
