"""The job journal: every change is durable in the store before the job acts on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from drivers.errors import Busy, DriverError, Failed, Refused
from drivers.lane import Lane
from drivers.model.audit import Entry
from drivers.model.job import Job
from drivers.model.vm import JobProgress
from store.api import Store, StoreError

T = TypeVar("T")

SEE_RECORDING = "see how recording stands: in the top line, or by `novacron status`"
"""What to do where nothing can be recorded and the store gives no better advice."""

_TRIES = 4
_RETRY_S = 0.5
"""A writer that ends hands the file over within seconds: that long a write is tried again."""

_FINAL: dict[str, type[DriverError]] = {"busy": Busy, "forbidden": Refused}
"""Codes of the store's refusals that no second try changes."""

_KEEP_ENDED = 200
_PUBLISH_S = 0.1


class Journal:
    """All jobs this console shows, written through a lane and published as one tuple."""

    def __init__(
        self,
        store: Store,
        publish: Callable[[tuple[Job, ...]], None],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._store = store
        self._publish = publish
        self._sleep = sleep
        self._lane = Lane("job journal")
        self._jobs: dict[str, Job] = {}
        self._pending: asyncio.TimerHandle | None = None

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, newest first."""
        return tuple(sorted(self._jobs.values(), key=lambda j: (j.created_at, j.id), reverse=True))

    def get(self, job_id: str) -> Job | None:
        """One job by id."""
        return self._jobs.get(job_id)

    async def write(self, job: Job) -> None:
        """Make a job's new state durable, then show it.

        Raises:
            Failed: The journal could not be written; the job must not act.
        """
        await asyncio.shield(self._write(job))

    async def audit(self, entry: Entry, once: bool) -> Entry:
        """Add to the audit ledger; durable when this returns, as the ledger has it.

        Args:
            once: An entry of that deed, job and title that is there already stands.

        Raises:
            Failed: It could not be written; nothing must be done.
        """
        try:
            return await asyncio.shield(
                self._lane.run(lambda: self._store.put_audit(entry, once=once))
            )
        except (StoreError, DriverError) as error:
            problem = error.problem
            raise Failed(problem.what, proof=problem.proof, fix=problem.fix) from error

    async def begin(self, job: Job, beside: tuple[str, ...]) -> None:
        """Make a new job durable, then show it.

        Args:
            beside: Ids of the unfinished jobs of its VM that do not hinder it.

        Raises:
            Busy: Another job of the VM was begun meanwhile; nothing was written.
            Refused: The journal takes jobs from another user only.
            Failed: The journal could not be written; the job must not act.
        """
        await asyncio.shield(self._write(job, beside))

    async def _write(self, job: Job, beside: tuple[str, ...] | None = None) -> None:
        durable = replace(job, progress=None)
        for left in reversed(range(_TRIES)):
            try:
                await self._lane.run(lambda: self._store.put_job(durable, beside))
                break
            except (StoreError, DriverError) as error:
                if known := _FINAL.get(error.problem.code):
                    problem = error.problem
                    raise known(problem.what, problem.proof, problem.fix) from error
                if not left:
                    raise Failed(
                        "the job journal cannot be written, so nothing more is done",
                        proof=error.problem.what,
                        fix=error.problem.fix or SEE_RECORDING,
                    ) from error
            await self._sleep(_RETRY_S)
        self.show(job)

    def show(self, job: Job) -> None:
        """Show a job's state without writing it (read from the store, or unwritable)."""
        self._jobs[job.id] = job
        ended = [j for j in self.jobs if j.state.ended and not j.followup]
        # One that ended just now stays, however long it took: whoever ran it is not done with it.
        for old in sorted(ended, key=lambda j: j.ended_at or 0.0, reverse=True)[_KEEP_ENDED:]:
            del self._jobs[old.id]
        self._tell()

    def show_progress(self, job_id: str, progress: JobProgress) -> None:
        """Show live figures; published at most ten times a second, never written."""
        self._jobs[job_id] = replace(self._jobs[job_id], progress=progress)
        if self._pending is None:
            self._pending = asyncio.get_running_loop().call_later(_PUBLISH_S, self._tell)

    async def recorded(self) -> list[Job]:
        """Jobs as the store holds them: the newest, the unfinished, and what failed undecided."""

        def read() -> list[Job]:
            found = {job.id: job for job in self._store.jobs(limit=_KEEP_ENDED)}
            found.update((job.id, job) for job in self._store.jobs(unfinished=True))
            found.update((job.id, job) for job in self._store.jobs(failed=True))
            return list(found.values())

        return await self._ask(read)

    async def unfinished(self) -> list[Job]:
        """Unfinished jobs of all consoles, as the store holds them."""
        return await self._ask(lambda: self._store.jobs(unfinished=True))

    async def _ask(self, question: Callable[[], T]) -> T:
        try:
            return await self._lane.run(question)
        except StoreError as error:
            raise Failed(
                "the job journal cannot be read", proof=error.problem.what, fix=error.problem.fix
            ) from error

    def close(self) -> None:
        """Let go of the lane; what is queued is still written."""
        if self._pending is not None:
            self._pending.cancel()
        self._lane.close()

    def _tell(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        self._publish(self.jobs)
