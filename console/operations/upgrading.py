"""Carrying out an upgrade: the rounds of any operation, with stages of hosts instead of moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from console.jobs.tracing import Trace
from console.operations.children import Children
from console.operations.commanding import Commands
from console.operations.drive import PATIENCE_S, Drive
from console.operations.hands import Crew
from console.operations.stages import put_stage, upgrade_of
from console.operations.tools import Desk
from console.operations.waiting import Waiting
from console.policy.upgrade.order import hosts_out, next_stages
from console.policy.upgrade.words import upgrade_words
from drivers.errors import DriverError, Failed
from drivers.model.operation import MoveState, Operation, OperationState, StageRun
from drivers.model.problem import Problem
from drivers.model.upgrade import StageVerb


class UpgradeDrive(Drive):
    """One upgrade that this console owns.

    Its drains and returns are operations of their own, which the same runner carries out.
    """

    def __init__(
        self, desk: Desk, operation_id: str, trace: Trace, obeyed: int, crew: Crew
    ) -> None:
        super().__init__(desk, operation_id, trace, obeyed)
        self._children = Children(desk, self._record, crew)
        self._commands = Commands(desk, self._record)
        self._waiting = Waiting(desk, self._record)
        self._was = OperationState.PAUSED
        self._stuck_since: dict[str, float] = {}

    async def _round(self) -> bool:
        """One look; True when the upgrade has ended."""
        await self._obey()
        if self._was is not (state := self.operation.state):
            self._was = state
            self._stuck_since.clear()
            if state is OperationState.RUNNING:
                await self._children.wake()
        for run in self._in_state(MoveState.RUNNING):
            await self._look(run)
        state = self.operation.state
        if state is OperationState.CANCELLING:
            return await self._cancel()
        if state is OperationState.PAUSED:
            await self._children.pause()
            await self._failed_meanwhile()
            return False
        if await self._stopped():
            return False
        for run in next_stages(upgrade_of(self.operation), self.operation.stages):
            await self._begin(run)
        if all(r.state is MoveState.DONE for r in self.operation.stages):
            await self._end(OperationState.DONE)
            return True
        return False

    def _in_state(self, *states: MoveState) -> list[StageRun]:
        return [r for r in self.operation.stages if r.state in states]

    async def _look(self, run: StageRun) -> None:
        if run.stage.verb in (StageVerb.DRAIN, StageVerb.RETURN):
            await self._children.look(run)
        elif run.stage.verb is StageVerb.WAIT:
            await self._waiting.look(run)
        else:
            await self._commands.look(run)

    async def _begin(self, run: StageRun) -> None:
        try:
            if run.stage.verb in (StageVerb.DRAIN, StageVerb.RETURN):
                await self._children.begin(run)
            elif run.stage.verb is StageVerb.WAIT:
                await self._waiting.begin(run)
            else:
                await self._commands.begin(run)
        except Failed:
            raise  # what cannot be recorded is tried again
        except DriverError as error:
            await self._block(run, error.problem)

    async def _block(self, run: StageRun, problem: Problem) -> None:
        """It cannot begin now; after a while it has failed."""
        now, ident = self._desk.clock(), run.stage.id
        since = self._stuck_since.setdefault(ident, now)
        known = next(r for r in self.operation.stages if r.stage.id == ident)
        proof = f" ({problem.proof})" if problem.proof else ""
        note = problem.what + proof
        if now - since >= PATIENCE_S:
            blocked = replace(known, state=MoveState.FAILED, note=note, ended_at=now)
        else:
            blocked = replace(known, state=MoveState.BLOCKED, note=note)
        if blocked != known:
            await put_stage(self._record, blocked)

    async def _stopped(self) -> bool:
        """Stop on the first failure, and wait for a person."""
        waits = self._in_state(MoveState.FAILED) or [
            r for r in self._in_state(MoveState.BLOCKED) if r.ticket in self._children.asking
        ]
        if not waits:
            return False
        await self._ask(waits)
        return True

    async def _failed_meanwhile(self) -> None:
        """What ran on and failed while it is paused is told too: resume and skip mean all of it."""
        if failed := self._in_state(MoveState.FAILED):
            await self._ask(failed)

    async def _ask(self, waits: Sequence[StageRun]) -> None:
        problem, told = self._problem(waits), self.operation.problem
        if told is not None and told.what == problem.what:
            return
        paused = OperationState.PAUSED
        await self._record.change(lambda o: replace(o, state=paused, problem=problem))
        self._record.tell(problem.what, bad=True)

    def _problem(self, waits: Sequence[StageRun]) -> Problem:
        ident = self.operation.id
        what = "; ".join(
            f"{r.stage.host} cannot go on at {r.stage.verb.value}: {r.note}" for r in waits
        )
        again = f"novacron jobs resume {ident} tries {_these(waits)} again"
        lines = dict.fromkeys(r.stage.command for r in waits if r.stage.verb is StageVerb.COMMAND)
        if lines:
            commands = " and ".join(f"`{line}`" for line in lines)
            again = f"novacron jobs resume {ident} RUNS {commands} AGAIN unless it succeeded"
        skip = f"novacron jobs skip {ident} counts {_these(waits)} as done"
        if waits[0].state is MoveState.BLOCKED:
            skip = "its own screen and messages say more"
        fix = f"mend that, then: {again}; {skip}; novacron jobs cancel {ident} ends the upgrade"
        return Problem(what, upgrade_words(self.operation), fix, "blocked")

    async def _cancel(self) -> bool:
        """Drains and returns are given up; a command that runs is let end."""
        await self._children.cancel()
        if self._in_state(MoveState.RUNNING):
            return False
        out = hosts_out(upgrade_of(self.operation), self.operation.stages)

        def given_up(operation: Operation) -> Operation:
            stages = tuple(
                r if r.state.ended else replace(r, state=MoveState.DROPPED, note="cancelled")
                for r in operation.stages
            )
            return replace(operation, stages=stages)

        await self._record.change(given_up)
        for host in out:
            words = f"{host} is left as it is: novacron return {host} brings its VMs home"
            self._record.tell(words, bad=True)
        await self._end(OperationState.CANCELLED)
        return True


def _these(waits: Sequence[StageRun]) -> str:
    return "this step" if len(waits) == 1 else f"these {len(waits)} steps"
