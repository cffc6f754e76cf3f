"""What people want of an operation, as changes of what is recorded."""

from __future__ import annotations

from dataclasses import replace

from drivers.errors import Refused
from drivers.model.operation import (
    MoveState,
    MoveVerb,
    Operation,
    OperationState,
    StageRun,
    WishVerb,
)
from drivers.model.upgrade import StageVerb


def wished(operation: Operation, verb: WishVerb) -> Operation:
    """The operation as somebody wants it; a cancel is not taken back."""
    if verb is WishVerb.CANCEL:
        return replace(operation, state=OperationState.CANCELLING)
    if operation.state is OperationState.CANCELLING:
        return operation
    if verb is WishVerb.PAUSE:
        return replace(operation, state=OperationState.PAUSED)
    return reopened(skipped(operation) if verb is WishVerb.SKIP else operation)


def skipped(operation: Operation) -> Operation:
    """The operation with the stages that failed counted as done, because a person says so.

    A reboot that was skipped is waited for no more.
    """
    stages = tuple(
        replace(r, state=MoveState.DONE, note=f"skipped by a person: {r.note}", boot="")
        if r.state is MoveState.FAILED
        else r
        for r in operation.stages
    )
    return replace(operation, stages=stages)


def given_up(operation: Operation) -> Operation:
    """The operation with all that waits dropped."""
    runs = tuple(
        r if r.state.ended else replace(r, state=MoveState.DROPPED, note="cancelled")
        for r in operation.runs
    )
    return replace(operation, runs=runs)


def reopened(operation: Operation) -> Operation:
    """The operation running again, with what had failed or was blocked to be tried anew.

    Hosts that were ruled out as dead are looked at again: somebody may have mended them.
    """
    runs = tuple(
        replace(r, state=MoveState.PENDING, ended_at=None)
        if r.state in (MoveState.BLOCKED, MoveState.FAILED)
        else r
        for r in operation.runs
    )
    stages = tuple(_stage_reopened(r) for r in operation.stages)
    again = replace(operation, runs=runs, stages=stages, excluded=())
    return replace(again, state=OperationState.RUNNING, problem=None)


def _stage_reopened(run: StageRun) -> StageRun:
    """A drain or return that waits for a person goes on; what failed is begun anew."""
    moves = run.stage.verb in (StageVerb.DRAIN, StageVerb.RETURN)
    if run.state is MoveState.BLOCKED:
        return replace(run, state=MoveState.RUNNING if moves and run.ticket else MoveState.PENDING)
    if run.state is not MoveState.FAILED:
        return run
    ticket = "" if moves else run.ticket
    return replace(run, state=MoveState.PENDING, ended_at=None, ticket=ticket)


def with_pin(operation: Operation, uuid: str, target: str) -> Operation:
    """The operation with a VM that waits, or that failed, meant for one target.

    Raises:
        Refused: It does not wait: it moves, has moved, or was dropped.
    """
    run = next((r for r in operation.runs if r.move.uuid == uuid), None)
    open_ = (MoveState.PENDING, MoveState.BLOCKED, MoveState.FAILED)
    if run is None or run.state not in open_ or run.move.verb is not MoveVerb.MIGRATE:
        raise Refused("that VM does not wait any more", fix="undo its move afterwards")
    again = replace(run, state=MoveState.PENDING, ended_at=None, ticket="")
    runs = tuple(again if r is run else r for r in operation.runs)
    pins = {**dict(operation.pins), uuid: target}
    excluded, barred = (
        tuple(host for host in shut if host != target)
        for shut in (operation.excluded, operation.barred)
    )
    pinned = replace(operation, runs=runs, pins=tuple(pins.items()))
    return replace(pinned, excluded=excluded, barred=barred)
