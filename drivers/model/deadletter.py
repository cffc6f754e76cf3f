"""What failed for good and waits for a person: to be tried again, or to be dismissed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drivers.model.job import Job, JobState
from drivers.model.operation import Operation, OperationState
from drivers.model.operation_trace import jobs_of

RETRIES = "retries"
"""Option of a request: the id of the failed job that it tries again."""

_GOING_ON = frozenset({"finish", "undo", "take-over"})
"""Offers of a job that has not come to its end yet."""


def job_failed_for_good(job: Job) -> bool:
    """Nothing of it is under way or left to be taken back, and nobody has decided about it."""
    failed = job.state in (JobState.FAILED, JobState.INTERRUPTED)
    return failed and bool(job.followup) and not _GOING_ON & set(job.followup)


def operation_failed_for_good(operation: Operation) -> bool:
    """It has failed, or it waits because something in it cannot go on without a person."""
    if operation.state is OperationState.FAILED:
        return not operation.dismissed
    problem = operation.problem
    waits = operation.state is OperationState.PAUSED and problem is not None
    return waits and problem is not None and problem.code != "orphaned"


def dead_operations(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Operations that failed for good, in their order."""
    return tuple(o for o in operations if operation_failed_for_good(o))


def dead_jobs(jobs: Iterable[Job], operations: Iterable[Operation]) -> tuple[Job, ...]:
    """Jobs that failed for good, in their order.

    Those of an operation that has not ended are left out: it tries again, or is itself listed.
    """
    known = tuple(jobs)
    held = {
        job.id
        for operation in operations
        if not operation.state.ended
        for job in jobs_of(operation, known)
    }
    return tuple(j for j in known if job_failed_for_good(j) and j.id not in held)


def tried_before(job: Job, jobs: Mapping[str, Job]) -> tuple[Job, ...]:
    """The failed jobs that led to this one, the newest first, as far as they are known."""
    found: list[Job] = []
    seen = {job.id}
    origin = job.plan.request.options.get(RETRIES, "")
    while (before := jobs.get(origin)) is not None and before.id not in seen:
        found.append(before)
        seen.add(before.id)
        origin = before.plan.request.options.get(RETRIES, "")
    return tuple(found)
