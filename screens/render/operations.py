"""Operations beside their jobs: as rows of one table, and in full."""

from __future__ import annotations

import time
from collections.abc import Sequence

from drivers.model.deadletter import dead_jobs, dead_operations, operation_failed_for_good
from drivers.model.job import Job
from drivers.model.kept import keeps_copies, kept_jobs, old_bytes, old_copies
from drivers.model.operation import MoveState, Operation, OperationState
from drivers.model.operation_trace import jobs_of, whole_trace
from screens.columns import Cell, Pen, Row
from screens.format import bar, duration, percent, plural, size
from screens.prose import BLANK, DIM, HEAD, WARN, Para, para
from screens.render.maintenance import operation_text
from screens.render.upgrade import upgrade_arg
from screens.render.waterfall import span_lines

_COUNT = 16
"""Cells for how much is done."""

_TONES = {
    OperationState.RUNNING: "job-running",
    OperationState.PAUSED: "job-interrupted",
    OperationState.CANCELLING: "job-running",
    OperationState.DONE: "job-done",
    OperationState.FAILED: "job-failed",
    OperationState.CANCELLED: "job-cancelled",
}


def operation_title(operation: Operation) -> str:
    """``Drain kvm1``."""
    return f"{operation.plan.kind.value.capitalize()} {operation.plan.host}"


def operation_state(operation: Operation) -> Cell:
    """Its state as a word."""
    alarming = operation_failed_for_good(operation)
    return Cell(operation.state.value, _TONES[operation.state], bold=alarming)


def operation_share(operation: Operation) -> float | None:
    """Share of its moves that are done, 0 to 1; None when it has none."""
    runs = operation.runs
    return sum(r.state is MoveState.DONE for r in runs) / len(runs) if runs else None


def operation_bar(operation: Operation, pen: Pen) -> Cell:
    """How much of it is done."""
    part = operation_share(operation)
    if part is None:
        return Cell("")
    if operation.state.ended:
        done = sum(r.state is MoveState.DONE for r in operation.runs)
        return Cell(f"move {done} of {len(operation.runs)}", "faint")
    return Cell(f"{bar(part, 11, plain=pen.ascii)} {percent(100 * part)}", "busy")


def operation_count(operation: Operation) -> Cell:
    """How much of it is done in numbers: ``7 of 12 moved``, of an upgrade ``1 of 3 hosts``."""
    if operation.stages:
        open_hosts = {s.stage.host for s in operation.stages if s.state is not MoveState.DONE}
        hosts = {s.stage.host for s in operation.stages}
        return Cell(f"{len(hosts - open_hosts)} of {plural(len(hosts), 'host')}", "busy")
    done, of = sum(r.state is MoveState.DONE for r in operation.runs), len(operation.runs)
    if not of:
        return Cell("")
    told = f"{done} of {of} moved"
    return Cell(told if len(told) <= _COUNT else f"{done}/{of} moved", "busy")


def operation_took(operation: Operation, now: float) -> float:
    """Seconds it took, or has taken so far."""
    end = operation.ended_at if operation.ended_at is not None else now
    return max(0.0, end - operation.created_at)


def operation_next(operation: Operation, *, keeps: bool = False) -> Cell:
    """What a person can do, else how far it is."""
    if offers := operation_offers(operation, keeps=keeps):
        return Cell("f: " + ", ".join(offers), "care")
    return Cell(operation.outcome, "faint")


def operation_offers(operation: Operation, *, keeps: bool = False) -> tuple[str, ...]:
    """What may be chosen for one that failed for good, or whose jobs keep old copies."""
    failed = ("retry", "dismiss") if operation_failed_for_good(operation) else ()
    return ("finish", *failed) if keeps else failed


def keeping(jobs: Sequence[Job], operations: Sequence[Operation]) -> frozenset[str]:
    """Ids of the operations that have ended and whose jobs keep old copies."""
    kept = [job for job in jobs if keeps_copies(job)]
    return frozenset(o.id for o in operations if kept and o.state.ended and kept_jobs(o, kept))


def kept_words(kept: Sequence[Job]) -> str:
    """``12 old copies kept on kvm1, 480G``."""
    count = sum(len(old_copies(job)) for job in kept)
    hosts = ", ".join(dict.fromkeys(job.plan.host for job in kept))
    some = "1 old copy" if count == 1 else f"{count} old copies"
    room = sum(old_bytes(job) for job in kept)
    return f"{some} kept on {hosts}" + (f", {size(room)}" if room else "")


def kept_line(operation: Operation, kept: Sequence[Job]) -> str:
    """``drain of kvm1: 12 old copies kept on kvm1, 480G: f in Jobs (ID)``."""
    plan = operation.plan
    what = f"{plan.kind.value} of {plan.host}: {kept_words(kept)}"
    return f"{what}: f in Jobs{_later(operation)} ({operation.id})"


def _later(operation: Operation) -> str:
    return "" if operation.state.ended else " once it has ended"


def place_of(operation: Operation) -> tuple[str, str]:
    """(view, argument) of the screen on which it is steered."""
    upgrade = operation.plan.upgrade
    if upgrade is not None:
        return "upgrade", upgrade_arg(upgrade.names, upgrade.rules.name)
    return "maintenance", operation.plan.host


def task_rows(jobs: Sequence[Job], operations: Sequence[Operation], *, failed: bool) -> list[Row]:
    """Operations with their jobs below them, and single jobs; what is under way comes first.

    Args:
        failed: Only what failed for good.
    """
    if failed:
        tasks: list[Job | Operation] = [*dead_operations(operations), *dead_jobs(jobs, operations)]
        return [Row(t.id, t) for t in sorted(tasks, key=lambda t: -t.created_at)]
    below = {operation.id: jobs_of(operation, jobs) for operation in operations}
    held = {job.id for mine in below.values() for job in mine}
    single: list[Job | Operation] = [job for job in jobs if job.id not in held]
    rows = []
    for task in sorted([*operations, *single], key=_rank):
        rows.append(Row(task.id, task))
        rows += [Row(job.id, job) for job in reversed(below.get(task.id, ()))]
    return rows


def running_rows(jobs: Sequence[Job], operations: Sequence[Operation], most: int) -> list[Row]:
    """So many of what is under way: operations, those that pause too, then jobs; newest first."""
    tasks: list[Job | Operation] = [*operations, *jobs]
    going = [task for task in tasks if not task.state.ended]
    going.sort(key=lambda task: (isinstance(task, Job), -task.created_at))
    return [Row(task.id, task) for task in going[:most]]


def held_jobs(jobs: Sequence[Job], operations: Sequence[Operation]) -> frozenset[str]:
    """Ids of the jobs that belong to an operation."""
    return frozenset(job.id for operation in operations for job in jobs_of(operation, jobs))


def _rank(task: Job | Operation) -> tuple[int, float]:
    if not task.state.ended:
        return 0, -task.created_at
    offers = task.followup if isinstance(task, Job) else operation_offers(task)
    return (1 if offers else 2), -task.created_at


def operation_detail(
    operation: Operation, jobs: Sequence[Job], now: float, *, cells: int, plain: bool
) -> list[Para]:
    """One operation in full: how far it is, each move, and where its time went."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(operation.created_at))
    took = duration(operation_took(operation, now))
    lines = [*operation_text(operation), para(f"since {when}  took {took}", DIM)]
    if kept := kept_jobs(operation, jobs):
        lines += [
            BLANK,
            para(f"{kept_words(kept)}: f shows and deletes them{_later(operation)}", WARN),
        ]
    if operation.runs:
        lines += [BLANK, para("Moves", HEAD)]
    for run in operation.runs:
        move = run.move
        where = f"{move.source} > {move.target}" if move.target != move.source else move.source
        note = f"  {run.note}" if run.note else ""
        lines.append(para(f"{move.vm_name}  {where}{note}", label=f"  {run.state.value:<8} "))
    last = operation.ended_at if operation.ended_at is not None else now
    traced = span_lines(
        whole_trace(operation, jobs), operation.created_at, last, cells=cells, plain=plain
    )
    return [*lines, BLANK, *traced] if traced else lines
