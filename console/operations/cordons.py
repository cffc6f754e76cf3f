"""Closing hosts to new VMs, and opening them again, with every deed on the ledger."""

from __future__ import annotations

import shlex

from console.operations.tools import Desk
from console.operations.upgrade_plans import hosts_out_of
from drivers.errors import Gone, Refused
from drivers.model.operation import Cordon, Operation, OperationKind, OperationState


def known_host(desk: Desk, host: str) -> None:
    """Gone when the fleet has no such host."""
    if desk.read().host(host) is None:
        names = ", ".join(h.name for h in desk.read().hosts)
        what, fix = f"there is no host {host} in this fleet", "see `novacron hosts`"
        raise Gone(what, f"it has: {names}", fix)


async def close_host(desk: Desk, host: str, reason: str) -> None:
    """Let no VM move there."""
    known_host(desk, host)
    cordon = Cordon(host, desk.clock(), desk.actor, reason)
    words = shlex.join(["novacron", "cordon", host, *(("--reason", reason) if reason else ())])
    async with desk.auditor.deed(f"Cordon {host}", (host,), commands=(words,)):
        await desk.book.cordon(cordon)


def refuse_open(desk: Desk, host: str) -> None:
    """Refused while a drain or an upgrade under way has the host out."""
    known_host(desk, host)
    for operation in desk.book.operations:
        plan = operation.plan
        draining = plan.kind is OperationKind.DRAIN and plan.host == host
        if (draining and not operation.state.ended) or host in hosts_out_of(operation):
            fix = f"cancel it first: novacron jobs cancel {operation.id}"
            raise Refused(f"{host} is being drained", operation.id, fix)


async def open_host(desk: Desk, host: str) -> bool:
    """Let VMs move there again; False, and nothing on the ledger, where they may already."""
    if all(c.host != host for c in desk.book.cordons):
        return False
    words = (f"novacron uncordon {host}",)
    async with desk.auditor.deed(f"Uncordon {host}", (host,), commands=words):
        await desk.book.uncordon(host)
    return True


async def closed_as_meant(desk: Desk, operation: Operation) -> None:
    """Close or open the host of an operation whose console ended before it had done so.

    A way back opens only what a drain has closed, not what a person closed since.
    """
    host, cordons = operation.plan.host, {c.host: c for c in desk.book.cordons}
    if operation.state is not OperationState.RUNNING or operation.plan.upgrade is not None:
        return
    if operation.plan.kind is OperationKind.DRAIN:
        if host not in cordons:
            await close_host(desk, host, operation.id)
    elif host in cordons:
        closer = desk.book.get(cordons[host].reason)
        if closer is not None and closer.plan.host == host:
            await open_host(desk, host)
