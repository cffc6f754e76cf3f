"""What migrations to a dead target left there, taken back as soon as it answers again."""

from __future__ import annotations

from collections.abc import Iterator

from console.operations.begin import Starter
from console.operations.record import Record
from console.operations.tools import Desk
from console.policy.recovery import UNDO
from console.policy.subject import host_problem
from drivers.errors import DriverError
from drivers.model.job import Job, JobState
from drivers.model.operation import MoveRun, MoveState


class Leftovers:
    """Looks after the interrupted jobs of one operation's moves."""

    def __init__(self, desk: Desk, record: Record, starter: Starter) -> None:
        self._desk = desk
        self._record = record
        self._starter = starter
        self._tried: dict[str, float] = {}

    async def take_back(self) -> None:
        """Begin to undo what each target that answers still holds, once for each connection."""
        for run, job in list(self._open()):
            host = self._desk.snapshot().host(job.plan.request.target)
            if host is None or host_problem(host, self._desk.clock()) is not None:
                continue
            if self._tried.get(job.id) == host.link.since or run.state is MoveState.RUNNING:
                continue
            self._tried[job.id] = host.link.since
            await self._undo(run, job)

    def words(self) -> str:
        """What is still to be taken back, for the end of an operation; empty when nothing is."""
        left = [
            f"what {job.plan.vm_name} left on {job.plan.request.target} is to be taken back once "
            f"that answers: Jobs offers it"
            for _, job in self._open()
        ]
        return "; ".join(dict.fromkeys(left))

    def _open(self) -> Iterator[tuple[MoveRun, Job]]:
        known = {job.id: job for job in self._desk.jobs.jobs}
        for run in self._record.operation.runs:
            for job_id in run.jobs:
                job = known.get(job_id)
                left = job is not None and job.state is JobState.INTERRUPTED
                if job is not None and left and UNDO in job.followup:
                    yield run, job

    async def _undo(self, run: MoveRun, job: Job) -> None:
        for plan in await self._desk.jobs.followup(job.id, UNDO):
            if plan.refusal is not None:
                continue
            words = f"what {job.plan.vm_name} left on {job.plan.request.target} is taken back"
            if not run.state.ended:
                await self._starter.submit(run, plan, words)
                return
            try:
                await self._desk.jobs.submit(plan)
            except DriverError as error:
                self._record.complain(error.problem)
            else:
                self._record.tell(words)
