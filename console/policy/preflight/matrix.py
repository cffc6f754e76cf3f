"""Any VMs against any targets: one cell each, by the same checks as a single migration."""

from __future__ import annotations

from collections.abc import Sequence

from console.policy.migration import target_fit
from console.policy.preflight.grounds import NO_GROUNDS, Grounds
from console.policy.subject import Subject, find
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Check, TargetFit, Verdict
from drivers.model.matrix import Cell, Matrix, Row, worst
from drivers.model.problem import Problem


def preflight(
    snapshot: FleetSnapshot,
    uuids: Sequence[str],
    targets: Sequence[str],
    *,
    now: float,
    grounds: Grounds = NO_GROUNDS,
) -> Matrix:
    """One cell a VM and target, in the order given; a VM's own host is no target for it."""
    rows = tuple(_row(snapshot, uuid, targets, now, grounds) for uuid in uuids)
    return Matrix(now, tuple(targets), rows)


def _row(
    snapshot: FleetSnapshot, uuid: str, targets: Sequence[str], now: float, grounds: Grounds
) -> Row:
    subject = find(snapshot, uuid)
    if isinstance(subject, Problem):
        gone = Check("vm", Verdict.BLOCKED, subject.what, subject.proof, subject.fix)
        fits = (TargetFit(name, False, "", (gone,)) for name in targets)
        return Row(uuid, uuid, "", tuple(Cell(fit.target, Verdict.BLOCKED, fit) for fit in fits))
    cells = tuple(_cell(subject, name, now, grounds) for name in targets)
    return Row(uuid, subject.vm.name, subject.host.name, cells)


def _cell(subject: Subject, name: str, now: float, grounds: Grounds) -> Cell:
    if name == subject.host.name:
        return Cell(name, Verdict.OK, None)
    host = subject.snapshot.host(name)
    if host is None:
        text = f"there is no host {name} in this fleet"
        names = ", ".join(h.name for h in subject.snapshot.hosts)
        check = Check("target", Verdict.BLOCKED, text, f"its hosts: {names}")
        return Cell(name, Verdict.BLOCKED, TargetFit(name, False, "", (check,)))
    fit = target_fit(subject, host, now=now, grounds=grounds)
    return Cell(name, worst(fit.reasons), fit)
