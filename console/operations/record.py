"""One operation as recorded: every change is durable before it is acted on, and told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from console.jobs.tracing import Trace
from console.operations.tools import Desk
from console.policy.drain.words import progress_words
from drivers.errors import Gone
from drivers.model.event import Event, EventKind, Severity
from drivers.model.job import Job
from drivers.model.operation import MoveRun, MoveState, Operation
from drivers.model.problem import Problem


class Record:
    """What is written and said of one operation that this console owns.

    Attributes:
        trace: Times of what is done outside of its jobs; written with each change.
    """

    def __init__(self, desk: Desk, operation_id: str, trace: Trace) -> None:
        self._desk = desk
        self.trace = trace
        self._id = operation_id
        self._told = ""

    @property
    def operation(self) -> Operation:
        """As it stands; Gone when it is not recorded."""
        found = self._desk.book.get(self._id)
        if found is None:
            raise Gone("this operation is not recorded", proof=self._id)
        return found

    @property
    def moving(self) -> dict[str, str]:
        """VM UUID to target of what is on its way."""
        runs = self.operation.runs
        return {r.move.uuid: r.move.target for r in runs if r.state is MoveState.RUNNING}

    def in_state(self, *states: MoveState) -> list[MoveRun]:
        """Its moves in these states, in order."""
        return [r for r in self.operation.runs if r.state in states]

    async def job(self, ticket: str) -> Job | None:
        """The job of a ticket, as this session knows it, else as the journal holds it."""
        known = next((j for j in self._desk.jobs.jobs if j.plan.id == ticket), None)
        if known is not None:
            return known
        recorded = await self._desk.book.jobs()
        return next((j for j in recorded if j.plan.id == ticket), None)

    async def change(self, change: Callable[[Operation], Operation]) -> Operation:
        """Change it as it stands; how far it is is told along."""

        def told(operation: Operation) -> Operation:
            changed = change(operation)
            if not changed.state.ended:
                changed = replace(changed, outcome=progress_words(changed))
            if changed == operation:
                return operation
            return replace(changed, trace=self.trace.spans)

        return await self._desk.book.change(self._id, told, self._desk.owner)

    async def put(self, run: MoveRun) -> None:
        """Replace the move of that id."""

        def put(operation: Operation) -> Operation:
            runs = tuple(run if r.move.id == run.move.id else r for r in operation.runs)
            return replace(operation, runs=runs)

        await self.change(put)

    async def mark(
        self, run: MoveRun, state: MoveState, note: str, ticket: str | None = None
    ) -> None:
        """Say how a move stands; its ticket stays unless another one is given."""
        ended = self._desk.clock() if state.ended else None
        kept = run.ticket if ticket is None else ticket
        await self.put(replace(run, state=state, note=note, ended_at=ended, ticket=kept))

    def complain(self, problem: Problem) -> None:
        """Tell what keeps it from going on, once."""
        if problem.what != self._told:
            self._told = problem.what
            self.tell(str(problem), bad=True)

    def tell(self, words: str, *, bad: bool = False) -> None:
        """An event about it."""
        plan = self.operation.plan
        text = f"{plan.kind.value} of {plan.host}: {words}"
        severity = Severity.WARN if bad else Severity.INFO
        event = Event(self._desk.clock(), EventKind.ACTION, plan.host, text, severity=severity)
        self._desk.on_events((event,))
