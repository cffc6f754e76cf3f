"""What interrupted migrations left on a dead host, settled as soon as it answers again."""

from __future__ import annotations

from collections.abc import Iterator

from console.operations.begin import Starter
from console.operations.record import Record
from console.operations.tools import Desk
from console.policy.recovery import FINISH, UNDO
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
        self._begun: set[str] = set()

    async def take_back(self) -> None:
        """Begin to settle what each host that answers still holds, once for each connection."""
        for run, job, choice in list(self._open()):
            host = self._desk.snapshot().host(_holder(job, choice))
            if host is None or host_problem(host, self._desk.clock()) is not None:
                continue
            if self._tried.get(job.id) == host.link.since or run.state is MoveState.RUNNING:
                continue
            self._tried[job.id] = host.link.since
            await self._settle(run, job, choice)

    def busy(self) -> bool:
        """Whether something is being settled now."""
        return any(j.id in self._begun and not j.state.ended for j in self._desk.jobs.jobs)

    def words(self) -> str:
        """What is still to be settled, for the end of an operation; empty when nothing is."""
        left = [
            f"what {job.plan.vm_name} left on {_holder(job, choice)} is to be taken back once "
            f"that answers: Jobs offers it"
            for _, job, choice in self._open()
        ]
        return "; ".join(dict.fromkeys(left))

    def _open(self) -> Iterator[tuple[MoveRun, Job, str]]:
        known = {job.id: job for job in self._desk.jobs.jobs}
        for run in self._record.operation.runs:
            for job_id in run.jobs:
                job = known.get(job_id)
                if job is None or job.state is not JobState.INTERRUPTED:
                    continue
                last = job_id == run.jobs[-1]
                choice = FINISH if last and run.state is MoveState.DONE else UNDO
                if choice in job.followup:
                    yield run, job, choice

    async def _settle(self, run: MoveRun, job: Job, choice: str) -> None:
        for plan in await self._desk.jobs.followup(job.id, choice):
            if plan.refusal is not None:
                continue
            words = f"what {job.plan.vm_name} left on {_holder(job, choice)} is taken back"
            if not run.state.ended:
                await self._starter.submit(run, plan, words)
                return
            try:
                self._begun.add(await self._desk.jobs.submit(plan))
            except DriverError as error:
                self._record.complain(error.problem)
            else:
                self._record.tell(words)


def _holder(job: Job, choice: str) -> str:
    """Where something is left: on the source of a migration that arrived, else on its target."""
    return job.plan.host if choice == FINISH else job.plan.request.target
