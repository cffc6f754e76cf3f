"""Beginning the moves of an operation: each is checked anew against readings of just now."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from console.operations.record import Record
from console.operations.replan import WAITING, grounds_of_rest, home_of, planned_anew
from console.operations.tools import Desk
from console.policy.drain.order import over_cap
from console.policy.drain.step import DEAD, step_problem
from console.policy.drain.truth import found_idle
from console.policy.plans import make_plan
from drivers.errors import DriverError, Failed
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Plan, Request
from drivers.model.operation import Move, MoveRun, MoveState, MoveVerb
from drivers.model.problem import Problem

_ACTIONS = {
    MoveVerb.MIGRATE: Action.MIGRATE,
    MoveVerb.SHUTDOWN: Action.SHUTDOWN,
    MoveVerb.START: Action.START,
}

READ_AGE_S = 2.0
"""How old a reading of both ends may be before a move: one that judged the last is enough."""


class Starter:
    """Turns waiting moves of one operation into jobs.

    Attributes:
        stalled: Since when nothing could be begun, by the console's clock; None while things move.
    """

    def __init__(self, desk: Desk, record: Record) -> None:
        self._desk = desk
        self._record = record
        self.stalled: float | None = None

    async def begin(self) -> None:
        """Begin every move that the caps allow and fresh readings admit."""
        looked: dict[str, Move] = {}
        while moves := self._next(looked):
            looked.update((move.id, move) for move in moves)
            with self._record.trace.span("ask the hosts", count=str(len(moves))):
                await self._ask_ahead(moves)
            for move in moves:
                # For each, as to begin the one before may have taken long.
                with self._record.trace.span(f"check {move.vm_name}", fold=True):
                    since = self._desk.clock() - READ_AGE_S
                    snapshot = await self._desk.fresh({move.source, move.target}, since)
                run = next((r for r in self._record.operation.runs if r.move.id == move.id), None)
                if run is not None and self._ready(run, self._running()):
                    await self._try(run, snapshot)
        ends = {end for move in looked.values() for end in (move.source, move.target)}
        if ends and self._record.in_state(MoveState.BLOCKED) and not self._record.moving:
            await self._plan_anew(await self._desk.fresh(ends))

    async def submit(self, run: MoveRun, plan: Plan, note: str) -> None:
        """Record which plan carries a move out, and only then make it a job."""
        self.stalled = None
        started = replace(
            run,
            state=MoveState.RUNNING,
            ticket=plan.id,
            tries=run.tries + 1,
            note=note,
            started_at=run.started_at or self._desk.clock(),
        )
        await self._record.put(started)
        try:
            job_id = await self._desk.jobs.submit(plan)
        except Failed:
            raise  # whether the job was journaled is read in the next round
        except DriverError as error:
            await self._block(started, error.problem)
            return
        await self._record.put(replace(started, jobs=(*started.jobs, job_id)))

    async def rule_out(self, target: str) -> None:
        """A dead target takes none of the rest."""
        operation = self._record.operation
        if target not in operation.excluded:
            words = f"{target} does not answer: the rest is planned without it"
            self._record.tell(words, bad=True)
            await self._record.change(lambda o: replace(o, excluded=(*o.excluded, target)))
            await self._plan_anew(self._desk.snapshot())

    def _next(self, looked: Container[str]) -> list[Move]:
        """Moves that may begin side by side, of those that were not looked at in this round."""
        found: list[Move] = []
        running = self._running()
        for run in self._record.operation.runs:
            if run.move.id not in looked and self._ready(run, [*running, *found]):
                found.append(run.move)
        return found

    async def _ask_ahead(self, moves: Sequence[Move]) -> None:
        """Ask at once what each of these is judged by: it is remembered for the few seconds that
        an answer counts as new, and what has grown older is asked again for the move itself."""
        moved = [move for move in moves if move.verb is MoveVerb.MIGRATE]
        if len(moved) > 1:
            uuids, targets = [m.uuid for m in moved], [m.target for m in moved]
            await self._desk.grounds(uuids, targets, home_of(self._record.operation))

    def _ready(self, run: MoveRun, running: Sequence[Move]) -> bool:
        """Whether a move waits for nothing any more, and has room beside the others."""
        operation = self._record.operation
        done = {r.move.id for r in operation.runs if r.state is MoveState.DONE}
        waits = run.state in WAITING and set(run.move.after) <= done
        return waits and not over_cap(run.move, running, operation.plan.limits)

    def _running(self) -> list[Move]:
        return [r.move for r in self._record.in_state(MoveState.RUNNING)] + self._foreign()

    def _foreign(self) -> list[Move]:
        """Migrations that are not of this operation press on the same hosts."""
        own = {r.ticket for r in self._record.operation.runs}
        return [
            Move(j.id, MoveVerb.MIGRATE, j.plan.request.uuid, j.plan.vm_name, j.plan.host,
                 j.plan.request.target)
            for j in self._desk.jobs.jobs
            if not j.state.ended and j.plan.request.action is Action.MIGRATE
            and j.plan.id not in own
        ]  # fmt: skip

    async def _try(self, run: MoveRun, snapshot: FleetSnapshot) -> None:
        desk, operation, move = self._desk, self._record.operation, run.move
        idle = found_idle(snapshot, move, now=desk.clock())
        if idle.state is not MoveState.PENDING:
            await self._record.mark(run, idle.state, idle.note)
            return
        home = home_of(operation)
        moved = (move.uuid,) if move.verb is MoveVerb.MIGRATE else ()
        grounds = await desk.grounds(moved, (move.target,) if moved else (), home)
        # To ask may have taken long: what was read before it could count as old by now.
        since = desk.clock() - READ_AGE_S
        snapshot = await desk.fresh({move.source, move.target}, since)
        problem = step_problem(
            snapshot,
            move,
            desk.fits(snapshot, grounds),
            operation.plan.limits,
            cordoned=[h for h in desk.book.cordoned if h != home],
            moving=self._record.moving,
            now=desk.clock(),
        )
        if problem is None:
            chosen = operation.plan.profile.options
            request = Request(_ACTIONS[move.verb], move.uuid, *_target(move, chosen))
            ticket = f"{operation.id}.{move.id}.{run.tries + 1}"
            plan = make_plan(snapshot, request, now=desk.clock(), plan_id=ticket, grounds=grounds)
            problem = plan.refusal
            if problem is None:
                await self.submit(run, plan, "")
                return
        if problem.code in DEAD and move.target != operation.plan.host:
            await self.rule_out(move.target)
        await self._block(run, problem)

    async def _block(self, run: MoveRun, problem: Problem) -> None:
        proof = f" ({problem.proof})" if problem.proof else ""
        note = problem.what + proof
        if (run.state, run.note, run.ticket) != (MoveState.BLOCKED, note, ""):
            await self._record.put(replace(run, state=MoveState.BLOCKED, ticket="", note=note))

    async def _plan_anew(self, snapshot: FleetSnapshot) -> None:
        grounds = await grounds_of_rest(self._desk, self._record.operation)
        await self._record.change(lambda o: planned_anew(self._desk, o, snapshot, grounds))


def _target(move: Move, chosen: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Target and options of the request behind a move; its groups are kept by the operation."""
    if move.verb is not MoveVerb.MIGRATE:
        return "", {}
    return move.target, {**chosen, "groups": "kept"}
