"""The leases of one operation: which hosts, in whose words, and what it means to lose one."""

from __future__ import annotations

from datetime import UTC, datetime

from console.jobs.tracing import Trace, tracing
from console.operations.tools import Desk
from drivers.errors import Busy
from drivers.model.event import Event, EventKind, Severity
from drivers.model.operation import Operation


def leased_hosts(operation: Operation) -> set[str]:
    """Hosts that an operation works on: its own, and where VMs come from and go to."""
    if operation.plan.upgrade is not None:
        return set(operation.hosts)
    ends = {end for run in operation.runs for end in (run.move.source, run.move.target)}
    return {operation.plan.host, *ends} - {""}


def holder_words(desk: Desk, operation: Operation) -> str:
    """What others are told: who, since when, for what."""
    since = datetime.fromtimestamp(desk.clock(), UTC).strftime("%Y-%m-%d %H:%M UTC")
    plan = operation.plan
    return f"{desk.actor} since {since}: {plan.kind.value} of {plan.host}"


async def take_leases(desk: Desk, operation: Operation, trace: Trace) -> None:
    """Hold all hosts of an operation, or none of them.

    Raises:
        Busy: Another console holds one of them; says who.
    """
    hosts = leased_hosts(operation)
    with tracing(trace), trace.span("leases", hosts=", ".join(sorted(hosts))):
        await desk.leases.take(operation.id, hosts, holder_words(desk, operation))


def tell_taken(desk: Desk, operation: Operation, taken: Busy) -> None:
    """Say that an operation is paused, because somebody else works on one of its hosts."""
    event = Event(
        desk.clock(),
        EventKind.ACTION,
        operation.plan.host,
        f"{operation.id} is paused: {taken.problem.what}",
        detail=str(taken.problem),
        severity=Severity.ERROR,
    )
    desk.on_events((event,))
