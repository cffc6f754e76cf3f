"""Carrying out one operation: round by round, each change recorded before it is acted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from console.operations.replan import planned_anew
from console.operations.tools import Desk
from console.policy.drain.order import over_cap
from console.policy.drain.step import DEAD, step_problem
from console.policy.drain.truth import Found, found_idle, found_move
from console.policy.drain.words import progress_words
from console.policy.plans import make_plan
from console.policy.recovery import DISMISS
from drivers.errors import Busy, DriverError, Failed, Gone
from drivers.model.event import Event, EventKind, Severity
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Job, JobState, Plan, Request
from drivers.model.operation import (
    Move,
    MoveRun,
    MoveState,
    MoveVerb,
    Operation,
    OperationKind,
    OperationState,
    WishVerb,
)
from drivers.model.problem import Problem

ROUND_S = 1.0
"""Seconds between two looks at an operation."""

PATIENCE_S = 45.0
"""How long blocked moves are tried again while nothing else moves, before a person is asked."""

_ACTIONS = {
    MoveVerb.MIGRATE: Action.MIGRATE,
    MoveVerb.SHUTDOWN: Action.SHUTDOWN,
    MoveVerb.START: Action.START,
}
_WAITING = (MoveState.PENDING, MoveState.BLOCKED)


class Drive:
    """One operation that this console owns.

    Args:
        obeyed: How many wishes were obeyed before.
    """

    def __init__(self, desk: Desk, operation_id: str, obeyed: int = 0) -> None:
        self._desk = desk
        self._id = operation_id
        self._obeyed = obeyed
        self._stalled: float | None = None
        self._told = ""

    @property
    def operation(self) -> Operation:
        """As it stands."""
        found = self._desk.book.get(self._id)
        if found is None:
            raise Gone("this operation is not recorded", proof=self._id)
        return found

    async def run(self) -> None:
        """Go on until it has ended, or somebody else holds it.

        What cannot be written or read now is tried again: nothing is begun meanwhile.
        """
        self._tell("begun")
        while True:
            try:
                if await self._round():
                    return
            except Busy:
                return
            except DriverError as error:
                self._complain(error.problem)
            except Exception as error:  # noqa: BLE001 - the worker's edge: a defect begins nothing more
                proof = f"{type(error).__name__}: {error}"
                self._complain(Problem("the console itself failed", proof, "resume the operation"))
                return
            await self._desk.sleep(ROUND_S)

    async def _round(self) -> bool:
        """One look; True when the operation has ended."""
        await self._obey()
        await self._settle()
        state = self.operation.state
        if state is OperationState.CANCELLING:
            return await self._cancel()
        if state is OperationState.PAUSED:
            return False
        await self._begin()
        return await self._finish()

    # -- what a person wants ----------------------------------------------------------------

    async def _obey(self) -> None:
        wishes = (await self._desk.book.wishes(self._id))[self._obeyed :]
        for wish in wishes:
            self._stalled = None
            await self._change(lambda o, verb=wish.verb: wished(o, verb))  # type: ignore[misc]
            self._obeyed += 1

    async def _cancel(self) -> bool:
        """Stop what runs, give up the rest, and end once all is settled."""
        for run in self.operation.runs:
            if run.state is MoveState.RUNNING:
                job = await self._job(run.ticket)
                if job is not None and not job.state.ended:
                    await self._desk.jobs.cancel(job.id)
        if any(r.state is MoveState.RUNNING for r in self.operation.runs):
            return False
        await self._change(_given_up)
        await self._end(OperationState.CANCELLED)
        return True

    # -- what runs --------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Judge the moves whose jobs have ended by where their VMs are."""
        for run in self.operation.runs:
            if run.state is not MoveState.RUNNING:
                continue
            job = await self._job(run.ticket)
            if job is None or self._never_begun(job):
                await self._mark(run, MoveState.PENDING, "its job had not begun", ticket="")
            elif job.state.ended:
                snapshot = await self._desk.fresh({run.move.source, run.move.target})
                found = found_move(snapshot, run.move, job, now=self._desk.clock())
                await self._take(run, job, found)
            elif job.owner != self._desk.owner:
                await self._desk.jobs.recover()  # it is judged there, if its console is dead

    async def _take(self, run: MoveRun, job: Job, found: Found) -> None:
        if found.dead:
            await self._rule_out(run.move.target)
        if found.followup == DISMISS:
            await self._desk.jobs.followup(job.id, DISMISS)
        elif found.followup:
            await self._follow_up(run, job, found)
            return
        if self.operation.state is OperationState.CANCELLING and job.state is JobState.CANCELLED:
            found = Found(MoveState.DROPPED, "cancelled")
        if found.state is not MoveState.RUNNING:
            await self._mark(run, found.state, found.note)
        elif run.note != found.note:
            await self._mark(run, MoveState.RUNNING, found.note)

    async def _follow_up(self, run: MoveRun, job: Job, found: Found) -> None:
        """Finish or take back what an interrupted job left, as a job of its own."""
        plans = await self._desk.jobs.followup(job.id, found.followup)
        for plan in plans:
            if plan.refusal is not None:
                await self._mark(run, MoveState.RUNNING, plan.refusal.what)
            else:
                await self._submit(run, plan, found.note)

    def _never_begun(self, job: Job) -> bool:
        """Ours by name, yet not among those this console runs: it was journaled and no more."""
        mine = job.owner == self._desk.owner and not job.state.ended
        return mine and all(known.id != job.id for known in self._desk.jobs.jobs)

    async def _job(self, ticket: str) -> Job | None:
        """The job of a ticket, as this session knows it, else as the journal holds it."""
        known = next((j for j in self._desk.jobs.jobs if j.plan.id == ticket), None)
        if known is not None:
            return known
        recorded = await self._desk.book.jobs()
        return next((j for j in recorded if j.plan.id == ticket), None)

    # -- what comes next --------------------------------------------------------------------

    async def _begin(self) -> None:
        """Begin every move that the caps allow and fresh readings admit."""
        ready = [r for r in self.operation.runs if self._ready(r)]
        if not ready:
            return
        ends = {end for r in ready for end in (r.move.source, r.move.target)}
        for move in [r.move for r in ready]:
            # Read anew for each: to begin the one before may have taken long.
            snapshot = await self._desk.fresh({move.source, move.target})
            run = next((r for r in self.operation.runs if r.move.id == move.id), None)
            if run is not None and self._ready(run):
                await self._try(run, snapshot)
        blocked = any(r.state is MoveState.BLOCKED for r in self.operation.runs)
        if blocked and not self._moving():
            await self._plan_anew(await self._desk.fresh(ends))

    def _ready(self, run: MoveRun) -> bool:
        runs = self.operation.runs
        done = {r.move.id for r in runs if r.state is MoveState.DONE}
        running = [r.move for r in runs if r.state is MoveState.RUNNING] + self._foreign()
        waits = run.state in _WAITING and set(run.move.after) <= done
        return waits and not over_cap(run.move, running, self.operation.plan.limits)

    def _foreign(self) -> list[Move]:
        """Migrations that are not of this operation press on the same hosts."""
        own = {r.ticket for r in self.operation.runs}
        return [
            Move(j.id, MoveVerb.MIGRATE, j.plan.request.uuid, j.plan.vm_name, j.plan.host,
                 j.plan.request.target)
            for j in self._desk.jobs.jobs
            if not j.state.ended and j.plan.request.action is Action.MIGRATE
            and j.plan.id not in own
        ]  # fmt: skip

    def _moving(self) -> dict[str, str]:
        runs = self.operation.runs
        return {r.move.uuid: r.move.target for r in runs if r.state is MoveState.RUNNING}

    async def _try(self, run: MoveRun, snapshot: FleetSnapshot) -> None:
        desk, operation, move = self._desk, self.operation, run.move
        idle = found_idle(snapshot, move, now=desk.clock())
        if idle.state is not MoveState.PENDING:
            await self._mark(run, idle.state, idle.note)
            return
        home = "" if operation.plan.kind is OperationKind.DRAIN else operation.plan.host
        problem = step_problem(
            snapshot,
            move,
            desk.fits(snapshot, home),
            operation.plan.limits,
            cordoned=[h for h in desk.book.cordoned if h != home],
            moving=self._moving(),
            now=desk.clock(),
        )
        if problem is None:
            request = Request(_ACTIONS[move.verb], move.uuid, *_target(move))
            ticket = f"{operation.id}.{move.id}.{run.tries + 1}"
            plan = make_plan(
                snapshot, request, now=desk.clock(), plan_id=ticket, grounds=desk.grounds(home)
            )
            problem = plan.refusal
            if problem is None:
                await self._submit(run, plan, "")
                return
        if problem.code in DEAD and move.target != operation.plan.host:
            await self._rule_out(move.target)
        await self._block(run, problem)

    async def _submit(self, run: MoveRun, plan: Plan, note: str) -> None:
        """Record which plan carries a move out, and only then make it a job."""
        self._stalled = None
        started = replace(
            run,
            state=MoveState.RUNNING,
            ticket=plan.id,
            tries=run.tries + 1,
            note=note,
            started_at=run.started_at or self._desk.clock(),
        )
        await self._put(started)
        try:
            job_id = await self._desk.jobs.submit(plan, gated=False)
        except Failed:
            raise  # whether the job was journaled is read in the next round
        except DriverError as error:
            await self._block(started, error.problem)
            return
        await self._put(replace(started, jobs=(*started.jobs, job_id)))

    async def _block(self, run: MoveRun, problem: Problem) -> None:
        proof = f" ({problem.proof})" if problem.proof else ""
        note = problem.what + proof
        if (run.state, run.note, run.ticket) != (MoveState.BLOCKED, note, ""):
            await self._put(replace(run, state=MoveState.BLOCKED, ticket="", note=note))

    async def _rule_out(self, target: str) -> None:
        """A dead target takes none of the rest."""
        operation = self.operation
        if target not in operation.excluded:
            self._event(f"{target} does not answer: the rest is planned without it", bad=True)
            await self._change(lambda o: replace(o, excluded=(*o.excluded, target)))
            await self._plan_anew(self._desk.snapshot())

    async def _plan_anew(self, snapshot: FleetSnapshot) -> None:
        await self._change(lambda o: planned_anew(self._desk, o, snapshot))

    # -- how it ends ------------------------------------------------------------------------

    async def _finish(self) -> bool:
        operation = self.operation
        if any(r.state in (MoveState.PENDING, MoveState.RUNNING) for r in operation.runs):
            return False
        open_ = [r for r in operation.runs if r.state in (MoveState.BLOCKED, MoveState.FAILED)]
        if not open_:
            await self._end(OperationState.DONE)
            return True
        if any(r.state is MoveState.BLOCKED for r in open_):
            self._stalled = self._desk.clock() if self._stalled is None else self._stalled
            if self._desk.clock() - self._stalled < PATIENCE_S:
                return False
        await self._ask_person(operation, open_[0])
        return False

    async def _ask_person(self, operation: Operation, run: MoveRun) -> None:
        """Nothing more can be done without a decision."""
        problem = Problem(
            f"{run.move.vm_name} cannot go on: {run.note}",
            progress_words(operation),
            "mend that and resume, give it another target, or cancel the operation",
            "blocked",
        )
        await self._change(lambda o: replace(o, state=OperationState.PAUSED, problem=problem))
        self._event(problem.what, bad=True)

    async def _end(self, state: OperationState) -> None:
        name = self.operation.plan.host
        snapshot = await self._desk.fresh({name})
        host = snapshot.host(name)
        fresh = host is not None and host.slow_at >= self._desk.clock() - 60.0
        running = sum(v.state.active for v in host.vms) if host is not None and fresh else None

        def close(operation: Operation) -> Operation:
            now = self._desk.clock()
            ended = replace(operation, state=state, owner="", problem=None, ended_at=now)
            return replace(ended, outcome=f"{progress_words(ended, running)}.")

        outcome = (await self._change(close)).outcome
        self._event(f"{state.value}: {outcome}", bad=state is not OperationState.DONE)

    # -- records and news -------------------------------------------------------------------

    async def _mark(
        self, run: MoveRun, state: MoveState, note: str, ticket: str | None = None
    ) -> None:
        ended = self._desk.clock() if state.ended else None
        kept = run.ticket if ticket is None else ticket
        await self._put(replace(run, state=state, note=note, ended_at=ended, ticket=kept))

    async def _put(self, run: MoveRun) -> None:
        def put(operation: Operation) -> Operation:
            runs = tuple(run if r.move.id == run.move.id else r for r in operation.runs)
            return replace(operation, runs=runs)

        await self._change(put)

    async def _change(self, change: Callable[[Operation], Operation]) -> Operation:
        def told(operation: Operation) -> Operation:
            changed = change(operation)
            ended = changed.state.ended
            return changed if ended else replace(changed, outcome=progress_words(changed))

        return await self._desk.book.change(self._id, told, self._desk.owner)

    def _complain(self, problem: Problem) -> None:
        if problem.what != self._told:
            self._told = problem.what
            self._event(str(problem), bad=True)

    def _tell(self, words: str) -> None:
        self._event(words, bad=False)

    def _event(self, words: str, *, bad: bool) -> None:
        plan = self.operation.plan
        text = f"{plan.kind.value} of {plan.host}: {words}"
        severity = Severity.WARN if bad else Severity.INFO
        event = Event(self._desk.clock(), EventKind.ACTION, plan.host, text, severity=severity)
        self._desk.on_events((event,))


def wished(operation: Operation, verb: WishVerb) -> Operation:
    """The operation as somebody wants it; a cancel is not taken back."""
    if verb is WishVerb.CANCEL:
        return replace(operation, state=OperationState.CANCELLING)
    if operation.state is OperationState.CANCELLING:
        return operation
    if verb is WishVerb.PAUSE:
        return replace(operation, state=OperationState.PAUSED)
    return reopened(operation)


def _given_up(operation: Operation) -> Operation:
    runs = tuple(
        r if r.state.ended else replace(r, state=MoveState.DROPPED, note="cancelled")
        for r in operation.runs
    )
    return replace(operation, runs=runs)


def reopened(operation: Operation) -> Operation:
    """The operation running again, with what had failed or was blocked to be tried anew."""
    runs = tuple(
        replace(r, state=MoveState.PENDING, ended_at=None)
        if r.state in (MoveState.BLOCKED, MoveState.FAILED)
        else r
        for r in operation.runs
    )
    return replace(operation, state=OperationState.RUNNING, problem=None, runs=runs)


def _target(move: Move) -> tuple[str, dict[str, str]]:
    """Target and options of the request behind a move; its groups are kept by the operation."""
    return (move.target, {"groups": "kept"}) if move.verb is MoveVerb.MIGRATE else ("", {})
