"""Jobs this console did not begin: those of dead consoles to offer, of live ones to show."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from console.jobs.owner import owner_alive
from console.jobs.recovery import judge_left
from console.jobs.work import Tools
from console.policy.recovery import unjudged
from drivers.errors import DriverError, Refused
from drivers.model.deadletter import job_failed_for_good
from drivers.model.job import Job, JobState
from drivers.model.kept import keeps_copies

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

    async def read_again(self, job: Job) -> Job:
        """What the hosts say now of an ended job that they could not be asked about before."""
        return await self._judge(job)

    async def stop(self) -> None:
        """End the watch."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _look(self, job: Job) -> Job | None:
        mine = job.owner == self._owner
        if mine:
            return None
        if job.state.ended and job.state is not JobState.INTERRUPTED:
            if job_failed_for_good(job) or keeps_copies(job):
                self._show(job)  # nobody has decided about it yet
            return None
        if job.state is JobState.INTERRUPTED:
            return await self._judge(job) if job.followup else None
        alive = owner_alive(job.owner)
        if alive is False:
            return await self._judge(job)
        return self._show(job if alive else unjudged(job))

    async def _judge(self, job: Job) -> Job:
        try:
            return await judge_left(self._tools, job)
        except Refused as error:  # a member of the group looks on: who may act is said
            told = f"{job.outcome} {error.problem.what}."
            return self._show(replace(job, outcome=told.strip(), followup=()))

    def _show(self, job: Job) -> Job:
        if self._tools.journal.get(job.id) != job:
            self._tools.journal.show(job)
        return job

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
        open_now = [j for j in await self._tools.journal.unfinished() if j.owner != self._owner]
        for job in open_now:
            await self._look(job)
        ids = {job.id for job in open_now}
        left = {j.id for j in self._tools.journal.jobs if j.id not in ids and self._is_open(j)}
        if left:
            await self._catch_up(left)

    def _is_open(self, job: Job) -> bool:
        """Whether another console may have ended or settled it."""
        return bool(job.followup) if job.state.ended else job.owner != self._owner

    async def _catch_up(self, ids: set[str]) -> None:
        """Show what has become of these jobs; read hosts again that had not answered."""
        for job in await self._tools.journal.recorded():
            if job.id not in ids:
                continue
            if job.facts.get("unread") and job.followup:
                await self._look(job)
            else:
                self._show(job)
