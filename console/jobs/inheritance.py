"""Jobs this console did not begin: those of dead consoles to offer, of live ones to show."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from console.jobs.owner import owner_alive
from console.jobs.recovery import read_left
from console.jobs.work import Tools
from console.policy.recovery import judge
from drivers.errors import DriverError
from drivers.model.job import Job, JobState, StepRun

_WATCH_S = 5.0
"""How often other consoles' jobs and unreachable hosts are looked at again."""


class Inheritance:
    """Finds, re-reads and watches the unfinished jobs of other consoles."""

    def __init__(self, tools: Tools, owner: str) -> None:
        self._tools = tools
        self._owner = owner
        self._watch: asyncio.Task[None] | None = None
        self._taken = False

    async def take(self) -> tuple[Job, ...]:
        """Show every unfinished job, judge the dead ones', and watch the rest.

        A journal that cannot be read or written now (a busy machine, a writer that changes) is
        asked again by the watch: what a dead console left must not stay unseen.
        """
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_watching())
        return await self._take()

    async def _take(self) -> tuple[Job, ...]:
        taken = [await self._look(job) for job in await self._tools.journal.recorded()]
        self._taken = True
        return tuple(job for job in taken if job is not None)

    async def settle(self, job_id: str, words: str = "") -> None:
        """Nothing more is offered for this job."""
        job = self._tools.journal.get(job_id)
        if job is not None and job.followup:
            outcome = words or job.outcome
            await self._tools.journal.write(replace(job, followup=(), outcome=outcome))

    async def stop(self) -> None:
        """End the watch."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _look(self, job: Job) -> Job | None:
        mine = job.owner == self._owner
        if mine or (job.state.ended and job.state is not JobState.INTERRUPTED):
            return None
        if job.state is JobState.INTERRUPTED:
            return await self._judge(job) if job.followup else None
        if owner_alive(job.owner) is False:
            return await self._judge(job)
        self._tools.journal.show(job)
        return job

    async def _judge(self, job: Job) -> Job:
        finding = judge(job, await read_left(self._tools, job))
        judged = replace(
            job,
            state=finding.state,
            steps=tuple(_stopped(run, finding.state) for run in job.steps),
            outcome=finding.outcome,
            followup=finding.followup,
            facts={**job.facts, "unread": "" if finding.read else "yes"},
            ended_at=job.ended_at or self._tools.clock(),
            progress=None,
        )
        if judged != job:
            await self._tools.journal.write(judged)
        else:
            self._tools.journal.show(job)
        return judged

    async def _keep_watching(self) -> None:
        while True:
            await self._tools.sleep(_WATCH_S)
            try:
                await self._again()
            except DriverError:
                continue  # the journal does not answer now; the next look may find it well

    async def _again(self) -> None:
        if not self._taken:
            await self._take()
        shown = [j for j in self._tools.journal.jobs if j.owner != self._owner]
        if any(not job.state.ended for job in shown):
            ids = {job.id for job in shown if not job.state.ended}
            for job in await self._tools.journal.recorded():
                if job.id in ids and await self._look(job) is None:
                    self._tools.journal.show(job)
        for job in shown:
            if job.facts.get("unread") and job.followup:
                await self._judge(job)


def _stopped(run: StepRun, state: JobState) -> StepRun:
    if run.state is JobState.RUNNING:
        return replace(run, state=state)
    return run
