"""Carrying out one operation: round by round, each change recorded before it is acted on."""

from __future__ import annotations

from dataclasses import replace

from console.jobs.tracing import Trace
from console.operations.auditing import ended
from console.operations.begin import Starter
from console.operations.leftovers import Leftovers
from console.operations.record import Record
from console.operations.settle import Settler
from console.operations.steering import given_up, wished
from console.operations.tools import LOOK_S, Desk
from console.policy.drain.words import progress_words
from drivers.errors import Busy, DriverError
from drivers.model.operation import DEFECT, MoveRun, MoveState, Operation, OperationState, WishVerb
from drivers.model.problem import Problem

ROUND_S = 1.0
"""Seconds between two looks at an operation."""

PATIENCE_S = 45.0
"""How long blocked moves are tried again while nothing else moves, before a person is asked."""


class Drive:
    """One operation that this console owns.

    Args:
        trace: Times of what is done outside of its jobs.
        obeyed: How many wishes were obeyed before.
    """

    def __init__(self, desk: Desk, operation_id: str, trace: Trace, obeyed: int = 0) -> None:
        self._desk = desk
        self._id = operation_id
        self._obeyed = obeyed
        self._record = Record(desk, operation_id, trace)
        self._starter = Starter(desk, self._record)
        self._settler = Settler(desk, self._record, self._starter)
        self._leftovers = Leftovers(desk, self._record, self._starter)
        self._over: Operation | None = None

    @property
    def operation(self) -> Operation:
        """As it stands."""
        return self._record.operation

    async def run(self) -> None:
        """Go on until it has ended, or somebody else holds it.

        What cannot be written or read now is tried again: nothing is begun meanwhile.
        """
        self._record.tell("begun")
        while True:
            try:
                if self._over is not None:
                    await self._close(self._over)
                    return
                if await self._round():
                    return
            except Busy:
                return
            except DriverError as error:
                self._record.complain(error.problem)
            except Exception as error:  # noqa: BLE001 - the worker's edge: a defect begins nothing more
                await self._give_up(f"{type(error).__name__}: {error}")
                return
            await self._rest()

    async def _give_up(self, proof: str) -> None:
        """Leave it to a person after a defect, so that nobody waits for what nobody drives."""
        fix = "resume or cancel the operation; what moves now arrives"
        problem = Problem("the console itself failed", proof, fix, DEFECT)
        self._record.complain(problem)
        paused = OperationState.PAUSED
        try:
            await self._record.change(lambda o: replace(o, state=paused, problem=problem))
        except DriverError as error:
            self._record.complain(error.problem)

    async def _rest(self) -> None:
        """Wait for the next look; one of its jobs that ends makes that come early."""
        due = self._settler.due()  # already: it was just looked at, and could not be judged
        until = self._desk.clock() + ROUND_S
        while self._desk.clock() < until and (due or not self._settler.due()):
            await self._desk.sleep(LOOK_S)

    async def _round(self) -> bool:
        """One look; True when the operation has ended."""
        await self._obey()
        await self._settler.settle()
        await self._leftovers.take_back()
        state = self.operation.state
        if state is OperationState.CANCELLING:
            return await self._cancel()
        if state is OperationState.PAUSED:
            return False
        await self._starter.begin()
        return await self._finish()

    async def _obey(self) -> None:
        wishes = (await self._desk.book.wishes(self._id))[self._obeyed :]
        for wish in wishes:
            self._starter.stalled = None
            if wish.verb is WishVerb.RESUME:
                self._record.trace.rest()  # it stood still until now
            await self._record.change(lambda o, verb=wish.verb: wished(o, verb))  # type: ignore[misc]
            self._obeyed += 1

    async def _cancel(self) -> bool:
        """Stop what runs, give up the rest, and end once all is settled."""
        for run in self._record.in_state(MoveState.RUNNING):
            job = await self._record.job(run.ticket)
            if job is not None and not job.state.ended:
                await self._desk.jobs.cancel(job.id)
        if self._record.in_state(MoveState.RUNNING):
            return False
        await self._record.change(given_up)
        await self._end(OperationState.CANCELLED)
        return True

    async def _finish(self) -> bool:
        if self._record.in_state(MoveState.PENDING, MoveState.RUNNING) or self._leftovers.busy():
            return False
        open_ = self._record.in_state(MoveState.BLOCKED, MoveState.FAILED)
        if not open_:
            await self._end(OperationState.DONE)
            return True
        if any(r.state is MoveState.BLOCKED for r in open_):
            now, since = self._desk.clock(), self._starter.stalled
            self._starter.stalled = now if since is None else since
            if now - self._starter.stalled < PATIENCE_S:
                return False
        await self._ask_person(open_[0])
        return False

    async def _ask_person(self, run: MoveRun) -> None:
        """Nothing more can be done without a decision."""
        problem = Problem(
            f"{run.move.vm_name} cannot go on: {run.note}",
            progress_words(self.operation),
            "mend that and resume, give it another target, or cancel the operation",
            "blocked",
        )
        paused = OperationState.PAUSED
        await self._record.change(lambda o: replace(o, state=paused, problem=problem))
        self._record.tell(problem.what, bad=True)

    async def _end(self, state: OperationState) -> None:
        name = self.operation.plan.host
        snapshot = await self._desk.fresh({name})
        host = snapshot.host(name)
        fresh = host is not None and host.slow_at >= self._desk.clock() - 60.0
        running = sum(v.state.active for v in host.vms) if host is not None and fresh else None

        operation = self.operation
        over = replace(operation, state=state, owner="", problem=None, ended_at=self._desk.clock())
        parts = [progress_words(over, running), self._leftovers.words()]
        over = replace(over, outcome=f"{'; '.join(p for p in parts if p)}.")
        # A console that died between the two left an end there, and that one stands.
        told = await self._desk.auditor.end(ended(over), once=True)
        over = replace(over, state=OperationState(told.state), outcome=told.outcome)
        self._over = over
        await self._close(over)

    async def _close(self, over: Operation) -> None:
        """Record an end that the ledger has: where that fails only this is tried again."""
        state, outcome, at = over.state, over.outcome, over.ended_at
        await self._record.change(
            lambda o: replace(o, state=state, outcome=outcome, owner="", problem=None, ended_at=at)
        )
        self._record.tell(f"{state.value}: {outcome}", bad=state is not OperationState.DONE)
