"""Judging the moves whose jobs have ended, by where their VMs are."""

from __future__ import annotations

from console.operations.begin import Starter
from console.operations.record import Record
from console.operations.tools import Desk
from console.policy.drain.truth import Found, found_move, in_vain, vain_words
from console.policy.recovery import DISMISS, FINISH, UNDO
from console.policy.subject import host_problem
from drivers.model.job import Job, JobState
from drivers.model.operation import MoveRun, MoveState, OperationState

_WAITS = "cannot be read: what runs there waits, or ends once the hosts notice"


class Settler:
    """Looks at what runs in one operation."""

    def __init__(self, desk: Desk, record: Record, starter: Starter) -> None:
        self._desk = desk
        self._record = record
        self._starter = starter

    async def settle(self) -> None:
        """Judge every move under way once; those whose jobs go on are left alone."""
        for run in self._record.in_state(MoveState.RUNNING):
            job = await self._record.job(run.ticket)
            if job is None or self._never_begun(job):
                note = "its job had not begun"
                await self._record.mark(run, MoveState.PENDING, note, ticket="")
            elif job.state.ended:
                ends = {run.move.source, run.move.target}
                snapshot = await self._desk.fresh(ends, self._acted_until(job))
                found = found_move(snapshot, run.move, job, now=self._desk.clock(), tries=run.tries)
                await self._take(run, job, found)
            elif job.owner != self._desk.owner:
                await self._desk.jobs.recover()  # it is judged there, if its console is dead
            else:
                await self._tell_waiting(run)

    async def _tell_waiting(self, run: MoveRun) -> None:
        """A migration whose end cannot be read may hang for minutes: say so, until it answers."""
        snapshot, now = self._desk.snapshot(), self._desk.clock()
        hosts = [snapshot.host(name) for name in (run.move.source, run.move.target)]
        silent = [h.name for h in hosts if h is not None and host_problem(h, now) is not None]
        note = f"{' and '.join(silent)} {_WAITS}" if silent else ""
        if run.note != note and (silent or run.note.endswith(_WAITS)):
            await self._record.mark(run, MoveState.RUNNING, note)

    def due(self) -> bool:
        """Whether a job of this operation has ended and waits to be judged."""
        tickets = {run.ticket for run in self._record.in_state(MoveState.RUNNING)}
        return any(j.state.ended and j.plan.id in tickets for j in self._desk.jobs.jobs)

    def _acted_until(self, job: Job) -> float | None:
        """When a job of this console that is done ended its last step: nothing changed since.

        The hosts were read then before it was told as ended, and need not be read again.
        """
        if job.state is not JobState.DONE or job.owner != self._desk.owner:
            return None
        return max((run.ended_at for run in job.steps if run.ended_at is not None), default=None)

    async def _take(self, run: MoveRun, job: Job, found: Found) -> None:
        record = self._record
        if found.dead:
            await self._starter.rule_out(run.move.target)
        if found.followup == DISMISS:
            await self._desk.jobs.followup(job.id, DISMISS)
        elif found.followup:
            await self._follow_up(run, job, found)
            return
        cancelling = record.operation.state is OperationState.CANCELLING
        if cancelling and job.state is JobState.CANCELLED:
            found = Found(MoveState.DROPPED, "cancelled")
        if found.state is not MoveState.RUNNING:
            await record.mark(run, found.state, found.note)
        elif run.note != found.note:
            await record.mark(run, MoveState.RUNNING, found.note)

    async def _follow_up(self, run: MoveRun, job: Job, found: Found) -> None:
        """Finish or take back what an interrupted job left, as a job of its own."""
        known = {known.id: known for known in self._desk.jobs.jobs}
        jobs = [known[job_id] for job_id in run.jobs if job_id in known]
        if in_vain(jobs):
            await self._record.mark(run, MoveState.FAILED, vain_words(jobs, found.note))
            return
        plans, note = await self._desk.jobs.followup(job.id, found.followup), found.note
        ended = any(plan.refusal is not None and plan.refusal.code == "done" for plan in plans)
        if ended and found.followup == FINISH and UNDO in job.followup:
            # It was not known how it stands when that was offered: no migration runs any more.
            plans = await self._desk.jobs.followup(job.id, UNDO)
            note = "its migration has ended: what was left of it is taken back"
        for plan in plans:
            if plan.refusal is not None:
                await self._record.mark(run, MoveState.RUNNING, plan.refusal.what)
            else:
                await self._starter.submit(run, plan, note)

    def _never_begun(self, job: Job) -> bool:
        """Ours by name, yet not among those this console runs: it was journaled and no more."""
        mine = job.owner == self._desk.owner and not job.state.ended
        return mine and all(known.id != job.id for known in self._desk.jobs.jobs)
