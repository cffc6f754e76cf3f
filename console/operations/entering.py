"""Putting an operation, and what is asked of it, on the ledger before it is on record."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from console.jobs.tracing import Trace
from console.operations.auditing import begun, ended, title_of
from console.operations.tools import Desk
from console.policy.drain.words import progress_words
from drivers.errors import DriverError, Refused
from drivers.model.operation import Operation, OperationPlan, OperationState, WishVerb

_VERBS = {*WishVerb, "dismiss"}
"""What ``novacron jobs`` can ask of an operation too."""


def refuse_unready(plan: OperationPlan) -> None:
    """Raise Refused for a plan that cannot run, or in which a VM still needs a choice."""
    if plan.refusal is not None:
        raise Refused(plan.refusal.what, plan.refusal.proof, plan.refusal.fix)
    if plan.undecided:
        names = ", ".join(s.vm_name for s in plan.undecided)
        wanted = dict.fromkeys(c.value for s in plan.undecided for c in s.choices)
        fix = f"choose for each: {', '.join(wanted)}"
        raise Refused(f"a choice is needed for {names}", plan.undecided[0].why.proof, fix)


async def enter(desk: Desk, operation: Operation, trace: Trace) -> None:
    """On the ledger first, then in the store; where that refuses, the ledger tells it.

    Raises:
        Busy: Another operation of its host is under way.
        Failed: One of the two cannot be written: nothing may be done.
    """
    await desk.auditor.begin(begun(operation, desk.snapshot()))
    first = replace(operation, outcome=progress_words(operation), trace=trace.spans)
    try:
        await desk.book.begin(first)
    except DriverError as error:
        outcome, state = f"Nothing was done: {error.problem.what}.", OperationState.CANCELLED
        await desk.auditor.end(ended(replace(operation, state=state, outcome=outcome)))
        raise


def deed(desk: Desk, operation: Operation, words: str) -> AbstractAsyncContextManager[None]:
    """What is asked of an operation, on the ledger before and after."""
    title = f"{words.capitalize()}: {title_of(operation)}"
    commands = (f"novacron jobs {words} {operation.id}",) if words in _VERBS else ()
    return desk.auditor.deed(title, operation.hosts, job=operation.id, commands=commands)
