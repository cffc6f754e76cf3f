"""An operation's whole trace: what it did itself, and its jobs with all of their calls. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from drivers.model.job import Job
from drivers.model.operation import MoveRun, Operation
from drivers.model.trace import Span


def jobs_of(operation: Operation, jobs: Iterable[Job]) -> tuple[Job, ...]:
    """The jobs that carry out an operation, oldest first.

    They are known by their plan's ticket, also those that a recovery began.
    """
    known = {job_id for run in operation.runs for job_id in run.jobs}
    tickets = {run.ticket for run in operation.runs if run.ticket}
    found = [
        job
        for job in jobs
        if job.id in known or job.plan.id in tickets or job.plan.id.startswith(f"{operation.id}.")
    ]
    return tuple(sorted(found, key=lambda job: (job.created_at, job.id)))


def whole_trace(operation: Operation, jobs: Iterable[Job]) -> tuple[Span, ...]:
    """The operation's own spans and one for each move, its jobs' spans below; in order of time.

    Args:
        operation: As recorded.
        jobs: Any jobs; those of the operation are picked. A move whose job is not among them is
            told by the times that the operation itself recorded.
    """
    mine = {job.id: job for job in jobs_of(operation, jobs)}
    spans = list(operation.trace)
    placed: set[str] = set()
    for run in operation.runs:
        found = [mine[ident] for ident in run.jobs if ident in mine]
        placed.update(job.id for job in found)
        if found:
            for job in found:
                spans += _job_spans(job, _last(spans))
        elif run.started_at is not None:
            spans.append(_move_span(run, _last(spans) + 1))
    for job in mine.values():
        if job.id not in placed:
            spans += _job_spans(job, _last(spans))
    return _in_order(spans)


def _move_span(run: MoveRun, number: int) -> Span:
    move, started = run.move, run.started_at or 0.0
    name = f"{move.verb.value} {move.vm_name}"
    error = run.note if run.state.value == "failed" else ""
    return Span(number, 0, name, started, run.ended_at, error)


def _job_spans(job: Job, before: int) -> list[Span]:
    """A job as one span with its own below, numbered after ``before``."""
    root = before + 1
    request = job.plan.request
    facts = {
        "novacron.job": job.id,
        "novacron.vm.name": job.plan.vm_name,
        "novacron.host": job.plan.host,
        "novacron.target": request.target,
        "novacron.state": job.state.value,
    }
    error = str(job.problem) if job.problem is not None else ""
    whole = Span(
        root,
        0,
        job.plan.title or f"{request.action.value} {job.plan.vm_name}",
        min((s.started_at for s in job.trace if s.name == "checks"), default=job.created_at),
        job.ended_at,
        error,
        attributes={name: text for name, text in facts.items() if text},
    )
    below = [
        replace(span, id=root + span.id, parent=root + span.parent)
        for span in job.trace
        if span.name != "plan shown and confirmed"
    ]
    return [whole, *below]


def _last(spans: list[Span]) -> int:
    return max((span.id for span in spans), default=0)


def _in_order(spans: list[Span]) -> tuple[Span, ...]:
    """Depth first, siblings by time, numbered anew from 1."""
    below: dict[int, list[Span]] = {}
    known = {span.id for span in spans}
    for span in spans:
        parent = span.parent if span.parent in known else 0
        below.setdefault(parent, []).append(span)
    ordered: list[Span] = []

    def visit(parent: int, number: int) -> None:
        for span in sorted(below.get(parent, ()), key=lambda s: (s.started_at, s.id)):
            ordered.append(replace(span, id=len(ordered) + 1, parent=number))
            visit(span.id, ordered[-1].id)

    visit(0, 0)
    return tuple(ordered)
