"""What is recorded of operations and cordons, as this console sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from console.jobs.journal import SEE_RECORDING
from console.jobs.owner import owner_alive
from drivers.errors import Busy, DriverError, Failed, Gone
from drivers.lane import Lane
from drivers.model.job import Job
from drivers.model.operation import Cordon, Operation, OperationState, Wish
from drivers.model.problem import Problem
from store.api import Store, StoreError

T = TypeVar("T")

_TRIES = 4
_RETRY_S = 0.5
_SHOWN = 50
_JOBS = 1000

Publish = Callable[[tuple[Operation, ...], tuple[Cordon, ...]], None]


class OperationBook:
    """Operations and cordons, written through a lane and published as they change.

    Args:
        store: Its calls block.
        publish: Called with all operations, newest first, and all cordons.
        sleep: Waits between attempts.
    """

    def __init__(
        self, store: Store, publish: Publish, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._store = store
        self._publish = publish
        self._sleep = sleep
        self._lane = Lane("operations")
        self._lock = asyncio.Lock()
        self._operations: dict[str, Operation] = {}
        self.cordons: tuple[Cordon, ...] = ()
        self._shown: tuple[tuple[Operation, ...], tuple[Cordon, ...]] | None = None

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All that is known, newest first."""
        known = self._operations.values()
        return tuple(sorted(known, key=lambda o: (o.created_at, o.id), reverse=True))

    def get(self, operation_id: str) -> Operation | None:
        """One operation by id."""
        return self._operations.get(operation_id)

    @property
    def cordoned(self) -> dict[str, str]:
        """Host to the words of its cordon."""
        return {c.host: cordon_words(c) for c in self.cordons}

    async def begin(self, operation: Operation) -> None:
        """Make a new operation durable, then show it.

        Raises:
            Busy: Another one of its host is under way.
            Failed: It cannot be written: nothing may be done.
        """
        async with self._lock:
            await asyncio.shield(self._write(operation, None))

    async def change(
        self, operation_id: str, change: Callable[[Operation], Operation], holder: str
    ) -> Operation:
        """Change an operation as it stands, one change at a time, durable on return.

        Args:
            holder: Who owns it as recorded.

        Raises:
            Gone: There is no such operation.
            Busy: Somebody else holds it.
            Failed: It cannot be written: nothing may be done.
        """
        async with self._lock:
            operation = self._operations.get(operation_id)
            if operation is None:
                raise Gone("there is no such operation", operation_id, "see `novacron jobs`")
            changed = change(operation)
            if changed != operation:
                await asyncio.shield(self._write(changed, holder))
            return changed

    async def _write(self, operation: Operation, holder: str | None) -> None:
        for left in reversed(range(_TRIES if holder is not None else 1)):
            try:
                await self._lane.run(lambda: self._store.operations.put(operation, holder))
                break
            except StoreError as error:
                problem = error.problem
                if problem.code == "busy":
                    raise Busy(problem.what, problem.proof, problem.fix) from error
                if not left:
                    raise _unwritable(error) from error
            except DriverError as error:
                if not left:
                    raise _unwritable(error) from error
            await self._sleep(_RETRY_S)
        self._operations[operation.id] = operation
        self._tell()

    async def refresh(self) -> None:
        """Read what other consoles did; raises Failed when that cannot be read."""

        def read() -> tuple[list[Operation], tuple[Cordon, ...]]:
            kept = self._store.operations
            found = {o.id: o for o in kept.recorded(limit=_SHOWN)}
            found.update((o.id, o) for o in kept.recorded(limit=_SHOWN, unfinished=True))
            return list(found.values()), tuple(kept.cordons())

        async with self._lock:
            operations, cordons = await self._ask(read)
            known = {o.id: o for o in operations}
            self._operations, self.cordons = known, cordons
            self._tell()

    async def wishes(self, operation_id: str) -> list[Wish]:
        """What was asked of an operation, oldest first."""
        return await self._ask(lambda: self._store.operations.wishes(operation_id))

    async def wish(self, wish: Wish) -> None:
        """Ask something of an operation, whoever runs it."""
        await self._ask(lambda: self._store.operations.wish(wish))

    async def cordon(self, cordon: Cordon) -> None:
        """Close a host to new VMs."""
        await self._ask(lambda: self._store.operations.cordon(cordon))
        await self.refresh()

    async def uncordon(self, host: str) -> None:
        """Open it again."""
        await self._ask(lambda: self._store.operations.uncordon(host))
        await self.refresh()

    async def jobs(self) -> list[Job]:
        """Jobs as the journal holds them, also ended ones of dead consoles."""

        def read() -> list[Job]:
            found = {job.id: job for job in self._store.jobs(limit=_JOBS)}
            found.update((job.id, job) for job in self._store.jobs(unfinished=True))
            return list(found.values())

        return await self._ask(read)

    def close(self) -> None:
        """Let go of the lane; what is queued is still written."""
        self._lane.close()

    async def _ask(self, question: Callable[[], T]) -> T:
        try:
            return await self._lane.run(question)
        except StoreError as error:
            raise _unwritable(error) from error

    def _tell(self) -> None:
        """Publish what changed; what a dead console left shows as waiting for somebody."""
        shown = (tuple(_as_found(o) for o in self.operations), self.cordons)
        if shown != self._shown:
            self._shown = shown
            self._publish(*shown)


def _as_found(operation: Operation) -> Operation:
    if operation.state.ended or owner_alive(operation.owner) is not False:
        return operation
    problem = Problem(
        "the console that ran it has ended, so nothing goes on by itself",
        operation.owner,
        f"resume it here, or with: novacron jobs resume {operation.id}",
        "orphaned",
    )
    return replace(operation, state=OperationState.PAUSED, problem=problem)


def cordon_words(cordon: Cordon) -> str:
    """Who closed a host, since when and why."""
    reason = f": {cordon.reason}" if cordon.reason else ""
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(cordon.since))
    return f"since {since} by {cordon.by}{reason}"


def _unwritable(error: StoreError | DriverError) -> Failed:
    return Failed(
        "operations cannot be recorded, so nothing more is begun",
        proof=error.problem.what,
        fix=error.problem.fix or SEE_RECORDING,
    )
