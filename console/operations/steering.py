"""What people want of an operation, as changes of what is recorded."""

from __future__ import annotations

from dataclasses import replace

from drivers.model.operation import MoveState, Operation, OperationState, WishVerb


def wished(operation: Operation, verb: WishVerb) -> Operation:
    """The operation as somebody wants it; a cancel is not taken back."""
    if verb is WishVerb.CANCEL:
        return replace(operation, state=OperationState.CANCELLING)
    if operation.state is OperationState.CANCELLING:
        return operation
    if verb is WishVerb.PAUSE:
        return replace(operation, state=OperationState.PAUSED)
    return reopened(operation)


def given_up(operation: Operation) -> Operation:
    """The operation with all that waits dropped."""
    runs = tuple(
        r if r.state.ended else replace(r, state=MoveState.DROPPED, note="cancelled")
        for r in operation.runs
    )
    return replace(operation, runs=runs)


def reopened(operation: Operation) -> Operation:
    """The operation running again, with what had failed or was blocked to be tried anew."""
    runs = tuple(
        replace(r, state=MoveState.PENDING, ended_at=None)
        if r.state in (MoveState.BLOCKED, MoveState.FAILED)
        else r
        for r in operation.runs
    )
    return replace(operation, state=OperationState.RUNNING, problem=None, runs=runs)
