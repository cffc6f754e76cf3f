"""Disks that migrations which copied them left behind, kept until a person says otherwise. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.model.job import Job, JobState
from drivers.model.operation import Operation
from drivers.model.operation_trace import jobs_of

CREATE_VOLUME = "create-volume"
"""The verb of a step that makes the volume for a copy."""

OLD = "old-"
"""Start of the facts that name a volume whose copy a migration made, by its disk."""


def keeps_copies(job: Job) -> bool:
    """It is done, and only what it left behind is still to be deleted."""
    return job.state is JobState.DONE and "finish" in job.followup


def kept_jobs(operation: Operation, jobs: Iterable[Job]) -> tuple[Job, ...]:
    """The jobs of an operation that keep old copies, oldest first."""
    return jobs_of(operation, (job for job in jobs if keeps_copies(job)))


def old_copies(job: Job) -> dict[str, str]:
    """Disk to the path on the source of a volume that this migration, or an older one, copied."""
    told = {k.removeprefix(OLD): path for k, path in job.facts.items() if k.startswith(OLD)}
    made = [step.args for step in job.plan.steps if step.verb == CREATE_VOLUME]
    return told | {args["disk"]: args["old_path"] for args in made if "old_path" in args}


def old_bytes(job: Job) -> int:
    """Bytes that the old copies of this migration may take, as far as its plan tells."""
    made = [step.args for step in job.plan.steps if step.verb == CREATE_VOLUME]
    return sum(int(args.get("capacity", "0")) for args in made if "old_path" in args)
