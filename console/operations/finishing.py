"""An operation's jobs from the shared history, and the plans that finish all of them at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from console.policy.recovery import FINISH
from drivers.errors import Refused
from drivers.model.job import Job, Plan
from drivers.model.kept import kept_jobs
from drivers.model.operation import Operation
from drivers.model.operation_trace import jobs_of
from store.api import Store

if TYPE_CHECKING:
    from console.answers import Books

_PAGES = (200, 1000, 10_000)
"""How many of the newest jobs are read: more only where the operation is older than those."""

_AT_ONCE = 8
"""Plans made side by side: each asks the hosts a few questions."""


async def take_up_jobs(books: Books, operation: Operation) -> tuple[Job, ...]:
    """Read an operation's jobs, of whatever console; from then on they are among the shown ones.

    Returns:
        Its jobs, oldest first.
    """

    def read(store: Store) -> tuple[Job, ...]:
        found: list[Job] = []
        for limit in _PAGES:
            found = store.jobs(limit=limit)
            if found and found[-1].created_at < operation.created_at:
                break
        return jobs_of(operation, found)

    runner, recorded = await books.jobs(), await books.ask(read)
    runner.learn(recorded)
    return jobs_of(operation, {j.id: j for j in (*recorded, *runner.jobs)}.values())


async def finish_plans(books: Books, operation: Operation, choice: str) -> tuple[Plan, ...]:
    """A plan for each job of an operation that keeps old copies, as ``finish`` of that job alone.

    Raises:
        Refused: Nothing but ``finish`` is offered for a whole operation, and that only once it
            has ended and while a job keeps something.
    """
    kept = kept_jobs(operation, await take_up_jobs(books, operation))
    if choice != FINISH or not kept or not operation.state.ended:
        raise Refused(
            f"this operation does not offer {choice}",
            proof=f"it is {operation.state}, and {len(kept)} of its jobs keep old copies",
        )
    runner, gate = await books.jobs(), asyncio.Semaphore(_AT_ONCE)

    async def planned(job: Job) -> tuple[Plan, ...]:
        async with gate:
            return await runner.followup(job.id, FINISH)

    found = await asyncio.gather(*(planned(job) for job in kept))
    return tuple(plan for plans in found for plan in plans)
