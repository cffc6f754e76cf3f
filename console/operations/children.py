"""The drains and returns of an upgrade: operations of their own, begun and followed from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from console.operations.hands import Crew
from console.operations.planning import inverse_plan
from console.operations.record import Record
from console.operations.stages import drain_run, put_stage, upgrade_of
from console.operations.tools import Desk
from console.operations.upgrade_plans import drain_of_batch
from drivers.errors import Busy, DriverError, Gone, Refused
from drivers.model.host import Host
from drivers.model.job import Verdict
from drivers.model.operation import (
    DEFECT,
    Choice,
    MoveState,
    Operation,
    OperationKind,
    OperationPlan,
    OperationState,
    StageRun,
    UpgradePlan,
)
from drivers.model.upgrade import StageVerb

_MOVES = (StageVerb.DRAIN, StageVerb.RETURN)
_WAKING_S = 15.0
"""Seconds a drain or return is given to hear that it goes on."""


class Children:
    """Those of one upgrade.

    Attributes:
        asking: Tickets of those that wait for a person.
    """

    def __init__(self, desk: Desk, record: Record, crew: Crew) -> None:
        self._desk = desk
        self._record = record
        self._crew = crew
        self._asked: set[str] = set()
        self._woken_at = float("-inf")
        self.asking: set[str] = set()

    # -- what a person wants ------------------------------------------------------------------

    async def wake(self) -> None:
        """Let what was under way go on, also what a dead console left."""
        self._asked.clear()
        self.asking.clear()
        self._woken_at = self._desk.clock()
        for child in self._under_way():
            await self._ask(child, self._crew.resume)

    async def pause(self) -> None:
        """They begin nothing more either."""
        for child in self._under_way():
            if child.state is OperationState.RUNNING and child.id not in self._asked:
                self._asked.add(child.id)
                await self._crew.pause(child.id)

    async def cancel(self) -> None:
        """They are given up; what has arrived stays."""
        for child in self._under_way():
            if child.state is not OperationState.CANCELLING:
                await self._ask(child, self._crew.cancel)

    async def _ask(self, child: Operation, ask: Callable[[str], Awaitable[None]]) -> None:
        """Ask so of one; while another console works on one of its hosts its stage says that."""
        try:
            await ask(child.id)
        except Busy as taken:
            note = f"{child.plan.kind.value} waits: {taken.problem.what} ({taken.problem.proof})"
            run = next(r for r in self._record.operation.stages if r.ticket == child.id)
            if run.note != note:
                await put_stage(self._record, replace(run, note=note))

    def _under_way(self) -> list[Operation]:
        tickets = [
            r.ticket
            for r in self._record.operation.stages
            if r.stage.verb in _MOVES and r.ticket and r.state is not MoveState.DONE
        ]
        found = (self._desk.book.get(t) for t in tickets)
        return [child for child in found if child is not None and not child.state.ended]

    # -- begin --------------------------------------------------------------------------------

    async def begin(self, run: StageRun) -> None:
        """Plan anew from fresh readings, record which operation it is, and begin that.

        Raises:
            DriverError: It cannot begin now.
        """
        operation, host = self._record.operation, run.stage.host
        upgrade = upgrade_of(operation)
        standing = await self._desk.hands.tasks(host).standing()
        await self._desk.fresh(self._record.operation.hosts)
        if run.stage.verb is StageVerb.DRAIN:
            plan, parent = await self._drain(upgrade, host), operation.id
        else:
            plan, parent = await self._way_home(run)
        if plan.refusal is not None:
            raise Refused(plan.refusal.what, plan.refusal.proof, plan.refusal.fix)
        ticket = f"{operation.id}.{run.stage.id}.{run.tries + 1}"
        begun = replace(
            run,
            state=MoveState.RUNNING,
            ticket=ticket,
            tries=run.tries + 1,
            boot=standing.boot,
            kernel=standing.kernel,
            note="",
            started_at=self._desk.clock(),
            ended_at=None,
        )
        await put_stage(self._record, begun)
        try:
            closed = tuple(h for h in _mates(upgrade, host) if h != host)
            await self._crew.start(plan, parent, ident=ticket, barred=closed)
        except DriverError:
            if self._desk.book.get(ticket) is None:
                await put_stage(self._record, replace(run, tries=begun.tries))
            raise

    async def _drain(self, upgrade: UpgradePlan, host: str) -> OperationPlan:
        plan = await drain_of_batch(self._desk, host, _mates(upgrade, host), dict(upgrade.choices))
        if plan.undecided:
            stuck = plan.undecided[0]
            fix = "move it or shut it down yourself, then resume"
            raise Refused(f"{stuck.vm_name} cannot leave {host}", stuck.why.proof, fix)
        spare = plan.spare
        if upgrade.rules.keep_spare and spare is not None and spare.verdict is not Verdict.OK:
            raise Refused(f"no further host could be lost while {host} is out", spare.text)
        return plan

    async def _way_home(self, run: StageRun) -> tuple[OperationPlan, str]:
        """Home come the VMs that lived there, not those that were only passing through."""
        host, upgrade = run.stage.host, upgrade_of(self._record.operation)
        drains = self._drains(host)
        if not drains:
            raise Gone(f"the drain of {host} is not recorded any more")
        others = [o for name in _mates(upgrade, host) if name != host for o in self._drains(name)]
        passing = {r.move.uuid for o in others for r in o.runs} - {
            m.uuid for h in upgrade.hosts if h.host == host for m in h.moves
        }
        runs = tuple(r for o in drains for r in o.runs if r.move.uuid not in passing)
        own = replace(drains[-1], runs=runs)
        choices: dict[str, Choice] = {}
        plan = await inverse_plan(self._desk, own, OperationKind.RETURN, choices)
        if plan.undecided:
            choices = {s.uuid: Choice.LEAVE for s in plan.undecided}
            plan = await inverse_plan(self._desk, own, OperationKind.RETURN, choices)
        return plan, own.id

    def _drains(self, host: str) -> list[Operation]:
        """Every drain of a host that this upgrade began, oldest first."""
        run = drain_run(self._record.operation, host)
        stem = f"{self._record.operation.id}.{run.stage.id}"
        found = (self._desk.book.get(f"{stem}.{number}") for number in range(1, run.tries + 1))
        return [drain for drain in found if drain is not None]

    # -- follow -------------------------------------------------------------------------------

    async def look(self, run: StageRun) -> None:
        """Judge one that was begun."""
        child = self._desk.book.get(run.ticket)
        if child is None:
            await put_stage(self._record, replace(run, state=MoveState.PENDING, ticket=""))
        elif child.state.ended:
            await self._ended(run, child)
        elif child.problem is not None and child.problem.code == DEFECT:
            await self._paused(run, child)
        elif not self._crew.drives(child.id):
            if self._record.operation.state is OperationState.RUNNING:
                await self._ask(child, self._crew.resume)
        elif child.state is OperationState.PAUSED:
            await self._paused(run, child)
        elif run.note != child.outcome:
            await put_stage(self._record, replace(run, note=child.outcome))

    async def _paused(self, run: StageRun, child: Operation) -> None:
        if self._record.operation.state is not OperationState.RUNNING:
            return
        if child.problem is None and self._desk.clock() - self._woken_at < _WAKING_S:
            return
        why = child.problem.what if child.problem is not None else "somebody paused it"
        self.asking.add(child.id)
        note = f"{child.plan.kind.value} waits: {why}"
        await put_stage(self._record, replace(run, state=MoveState.BLOCKED, note=note))

    async def _ended(self, run: StageRun, child: Operation) -> None:
        now = self._desk.clock()
        failed = child.outcome
        if child.state is OperationState.DONE:
            if run.stage.verb is StageVerb.DRAIN:
                snapshot = await self._desk.fresh({run.stage.host})
                upgrade = upgrade_of(self._record.operation)
                failed = still_there(snapshot.host(run.stage.host), upgrade)
            else:
                failed = _not_home(child)
        state = MoveState.FAILED if failed else MoveState.DONE
        note = failed or child.outcome
        await put_stage(self._record, replace(run, state=state, note=note, ended_at=now))


def still_there(host: Host | None, upgrade: UpgradePlan) -> str:
    """Which guests a host runs that nobody chose to leave there; empty for none."""
    left = {uuid for uuid, choice in upgrade.choices if choice is Choice.LEAVE}
    names = [v.name for v in host.vms if v.state.active and v.uuid not in left] if host else []
    return f"{', '.join(names)} still there: nothing is run under guests" if names else ""


def _not_home(child: Operation) -> str:
    """Which VMs did not come home, and why."""
    left = [f"{s.vm_name} is not home: {s.why.proof or s.why.what}" for s in child.plan.stuck]
    left += [
        f"{r.move.vm_name} is not home: {r.note}"
        for r in child.runs
        if r.state is not MoveState.DONE
    ]
    return "; ".join(left)


def _mates(upgrade: UpgradePlan, host: str) -> tuple[str, ...]:
    """The hosts of a host's batch."""
    batch = next(h.batch for h in upgrade.hosts if h.host == host)
    return tuple(h.host for h in upgrade.hosts if h.batch == batch)
