"""Plans, starts, resumes and steers operations; the one door for screens and command line."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from console.jobs.owner import owner_alive
from console.jobs.tracing import Trace, tracing
from console.operations import cordons
from console.operations.drive import Drive
from console.operations.entering import deed, enter, refuse_unready
from console.operations.holding import holder_words, leased_hosts, take_leases, tell_taken
from console.operations.planning import drain_plan, inverse_plan
from console.operations.replan import grounds_of_rest, planned_anew
from console.operations.steering import wished, with_pin
from console.operations.tools import Desk
from console.operations.upgrade_plans import refuse_overlap, upgrade_plan
from console.operations.upgrading import UpgradeDrive
from console.policy.upgrade.plan import stage_runs
from drivers.errors import Busy, DriverError, Gone, Refused
from drivers.model.deadletter import operation_failed_for_good
from drivers.model.operation import (
    Choice,
    MoveRun,
    MoveState,
    Operation,
    OperationKind,
    OperationPlan,
    OperationState,
    Wish,
    WishVerb,
)

WATCH_S = 3.0
"""How often it is looked what other consoles did."""


class OperationRunner:
    """One console's operations."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._drives: dict[str, asyncio.Task[None]] = {}
        self._starting: set[str] = set()
        self._numbers = itertools.count(1)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All that is known, newest first."""
        return self._desk.book.operations

    async def recorded(self) -> tuple[Operation, ...]:
        """All of them, as the store holds them now."""
        await self._desk.book.refresh()
        return self.operations

    async def watch(self) -> None:
        """Keep up with other consoles until cancelled."""
        while True:
            with suppress(DriverError):  # the header says how the store stands
                await self._desk.book.refresh()
            await self._desk.sleep(WATCH_S)

    # -- cordons ------------------------------------------------------------------------------

    async def cordon(self, host: str, reason: str = "") -> None:
        """Close a host to new VMs; Gone when the fleet has no such host."""
        await cordons.close_host(self._desk, host, reason)

    async def uncordon(self, host: str) -> bool:
        """Open it again; False where it is open. Refused while an operation has it out."""
        await self._desk.book.refresh()
        cordons.refuse_open(self._desk, host)
        return await cordons.open_host(self._desk, host)

    # -- plans --------------------------------------------------------------------------------

    async def plan_drain(
        self,
        host: str,
        choices: Mapping[str, Choice] | None = None,
        pins: Mapping[str, str] | None = None,
    ) -> OperationPlan:
        """How a host would be emptied, from what is known now."""
        await self._desk.book.refresh()
        return await drain_plan(self._desk, host, choices or {}, pins or {})

    async def plan_return(
        self, host: str, choices: Mapping[str, Choice] | None = None
    ) -> tuple[OperationPlan, str]:
        """How the VMs of the last drain of a host come home, and which operation that was.

        Raises:
            Gone: No drain of that host is recorded.
        """
        cordons.known_host(self._desk, host)
        await self._desk.book.refresh()
        drains = [
            o for o in self.operations
            if o.plan.kind is OperationKind.DRAIN and o.plan.host == host and self._moved(o)
        ]  # fmt: skip
        if not drains:
            fix = "migrate the VMs one by one"
            raise Gone(f"no drain of {host} is recorded, so nobody knows what to return", fix=fix)
        back = OperationKind.RETURN
        return await inverse_plan(self._desk, drains[0], back, choices or {}), drains[0].id

    async def plan_undo(
        self, operation_id: str, choices: Mapping[str, Choice] | None = None
    ) -> tuple[OperationPlan, str]:
        """How what an operation did is taken back; Gone when there is no such operation."""
        await self._desk.book.refresh()
        operation, undo = self._get(operation_id), OperationKind.UNDO
        return await inverse_plan(self._desk, operation, undo, choices or {}), operation_id

    async def plan_upgrade(
        self,
        hosts: Sequence[str],
        name: str = "",
        choices: Mapping[str, Choice] | None = None,
        *,
        max_out: int = 0,
        canary: str = "",
    ) -> OperationPlan:
        """How these hosts would be upgraded; see ``upgrade_plan``."""
        return await upgrade_plan(
            self._desk, hosts, name, choices or {}, max_out=max_out, canary=canary
        )

    def _moved(self, operation: Operation) -> bool:
        return any(r.state is MoveState.DONE for r in operation.runs)

    # -- running ------------------------------------------------------------------------------

    async def start(
        self,
        plan: OperationPlan,
        parent: str = "",
        *,
        ident: str = "",
        barred: tuple[str, ...] = (),
    ) -> str:
        """Record a plan as an operation and begin it; returns its id once it is durable.

        A drain cordons its host first; what takes a drain back opens it again first.

        Args:
            ident: Its id, where an upgrade has recorded that already.
            barred: Targets ruled out for as long as it lasts.

        Raises:
            Refused: The plan carries a refusal, or a VM still needs a choice.
            Busy: Another operation of that host is under way, or another console works on one of
                the hosts.
        """
        refuse_unready(plan)
        draining = plan.kind is OperationKind.DRAIN
        operation = Operation(
            ident or self._new_id(plan.kind),
            plan,
            runs=tuple(MoveRun(move) for move in plan.moves),
            actor=self._desk.actor,
            owner=self._desk.owner,
            created_at=self._desk.clock(),
            parent=parent,
            barred=barred,
            stages=stage_runs(plan.upgrade) if plan.upgrade is not None else (),
        )
        refuse_overlap(self.operations, operation)
        trace = Trace(self._desk.clock)
        trace.add("plan shown and confirmed", plan.made_at, operation.created_at)
        with self._claimed(operation.id):
            await take_leases(self._desk, operation, trace)
            try:
                await enter(self._desk, operation, trace)
                if not draining and plan.host in self._desk.book.cordoned:
                    await cordons.open_host(self._desk, plan.host)
                elif draining and plan.host not in self._desk.book.cordoned:
                    await self.cordon(plan.host, operation.id)
            except BaseException:
                await self._desk.leases.release(operation.id)
                raise
            self._drive(operation.id, 0, trace)
        return operation.id

    async def resume(self, operation_id: str) -> None:
        """Go on with a paused operation, or take up one whose console has ended.

        Raises:
            Gone: There is no such operation.
            Refused: It has ended, or its console may still live on another machine.
        """
        await self._desk.book.refresh()
        await self._go_on(self._get(operation_id), WishVerb.RESUME)

    async def _go_on(self, operation: Operation, verb: WishVerb) -> None:
        operation_id = operation.id
        if operation.state.ended:
            raise Refused(f"{operation_id} has ended: {operation.state.value}")
        mine = operation.owner == self._desk.owner
        alive = True if mine else owner_alive(operation.owner) if operation.owner else False
        if alive is None:
            what = f"whether the console of {operation_id} still lives cannot be told from here"
            raise Refused(what, operation.owner, "resume it on that machine")
        if alive and (not mine or self.drives(operation_id)):
            await self._wish(operation_id, verb)
            return
        await self._desk.jobs.recover()
        await self._take(operation, verb)

    async def skip(self, operation_id: str) -> None:
        """Count what failed in an upgrade as done, and go on; Refused where nothing failed."""
        await self._desk.book.refresh()
        operation = self._get(operation_id)
        if all(r.state is not MoveState.FAILED for r in operation.stages):
            raise Refused(f"nothing of {operation_id} has failed that could be skipped")
        await self._go_on(operation, WishVerb.SKIP)

    async def pause(self, operation_id: str) -> None:
        """Begin nothing more; what moves now arrives."""
        await self._ask(operation_id, WishVerb.PAUSE)

    async def cancel(self, operation_id: str) -> None:
        """Stop what moves now, give up the rest; what has arrived stays."""
        await self._ask(operation_id, WishVerb.CANCEL)

    async def dismiss(self, operation_id: str) -> None:
        """Let an operation that failed for good rest; one that waits gives up what is left.

        Raises:
            Refused: It has not failed, or was dismissed already.
        """
        await self._desk.book.refresh()
        operation = self._get(operation_id)
        if not operation_failed_for_good(operation):
            raise Refused(f"{operation_id} has not failed for good", operation.state.value)
        if not operation.state.ended:
            await self.cancel(operation_id)
            return
        async with deed(self._desk, operation, "dismiss"):
            await self._desk.book.change(
                operation_id, lambda o: replace(o, dismissed=True), operation.owner
            )

    async def retarget(self, operation_id: str, uuid: str, target: str) -> None:
        """Give a VM that still waits another target; the rest is planned around it.

        An operation whose console has ended is changed too, and still waits to be resumed.

        Raises:
            Busy: Another console works on that host.
            Refused: It does not wait any more, the operation is another console's, or the target
                does not fit.
        """
        cordons.known_host(self._desk, target)
        operation = self._get(operation_id)
        here = operation_id in self._drives
        if operation.state.ended or (not here and owner_alive(operation.owner) is not False):
            raise Refused("that operation is not in this console", operation.owner, "resume it")
        grounds = await grounds_of_rest(self._desk, operation, uuid)
        snapshot = self._desk.snapshot()

        def pin(operation: Operation) -> Operation:
            pinned = with_pin(operation, uuid, target)
            changed = planned_anew(self._desk, pinned, snapshot, grounds)
            run = next(r for r in changed.runs if r.move.uuid == uuid)
            if run.move.target != target or run.state is MoveState.BLOCKED:
                raise Refused(f"{run.move.vm_name} cannot go to {target}", run.note)
            return changed

        pin(operation)
        if here:
            words = holder_words(self._desk, operation)
            await self._desk.leases.take(operation_id, (target,), words)
        async with deed(self._desk, operation, f"send VM {uuid} to {target}"):
            await self._desk.book.change(operation_id, pin, operation.owner)

    async def stop(self) -> None:
        """Let go: operations stay recorded as they are, for whoever resumes them."""
        tasks = list(self._drives.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._desk.book.close()

    async def _ask(self, operation_id: str, verb: WishVerb) -> None:
        await self._desk.book.refresh()
        operation = self._get(operation_id)
        if operation.state.ended:
            raise Refused(f"{operation_id} has ended: {operation.state.value}")
        mine = operation.owner == self._desk.owner
        left = mine or owner_alive(operation.owner) is False
        if left and not self.drives(operation_id):
            if verb is WishVerb.PAUSE:
                whose = "it was given up here" if mine else "its console has ended"
                raise Refused(f"{whose}, so nothing goes on", fix="resume or cancel")
            await self._desk.jobs.recover()
            await self._take(operation, WishVerb.CANCEL)
            return
        await self._wish(operation_id, verb)

    async def _take(self, operation: Operation, verb: WishVerb) -> None:
        """Become the owner of an operation that has none; Busy when somebody was faster.

        What is wished from here on is still to be obeyed, so wishes are counted before.
        """
        if self.drives(operation.id):
            await self._wish(operation.id, verb)
            return
        mine = self._desk.owner
        trace = Trace(self._desk.clock, operation.trace)
        with self._claimed(operation.id):
            obeyed = len(await self._desk.book.wishes(operation.id))
            await take_leases(self._desk, operation, trace)
            try:
                async with deed(self._desk, operation, verb.value):
                    await self._desk.book.change(
                        operation.id,
                        lambda o: replace(wished(o, verb), owner=mine),
                        operation.owner,
                    )
                await cordons.closed_as_meant(self._desk, self._get(operation.id))
            except BaseException:
                await self._desk.leases.release(operation.id)
                raise
            self._drive(operation.id, obeyed, trace)

    async def _wish(self, operation_id: str, verb: WishVerb) -> None:
        wish = Wish(operation_id, verb, self._desk.clock(), self._desk.actor)
        async with deed(self._desk, self._get(operation_id), verb.value):
            await self._desk.book.wish(wish)

    def drives(self, operation_id: str) -> bool:
        """Whether this console carries it out, or is just about to."""
        return operation_id in self._drives or operation_id in self._starting

    @contextmanager
    def _claimed(self, operation_id: str) -> Iterator[None]:
        """Nothing else of this console takes it up meanwhile."""
        self._starting.add(operation_id)
        try:
            yield
        finally:
            self._starting.discard(operation_id)

    def _drive(self, operation_id: str, obeyed: int, trace: Trace) -> None:
        drive = self._drive_of(operation_id, obeyed, trace)
        with tracing(trace):
            task = asyncio.create_task(self._leased(drive), name=operation_id)
        self._drives[operation_id] = task
        task.add_done_callback(lambda _: self._drives.pop(operation_id, None))

    def _drive_of(self, operation_id: str, obeyed: int, trace: Trace) -> Drive:
        if self._get(operation_id).plan.upgrade is not None:
            return UpgradeDrive(self._desk, operation_id, trace, obeyed, self)
        return Drive(self._desk, operation_id, trace, obeyed)

    async def _leased(self, drive: Drive) -> None:
        """Drive an operation while its hosts are kept from others, and let go of them after."""
        operation_id = drive.operation.id
        keeper = asyncio.create_task(self._keep(operation_id))
        try:
            await drive.run()
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await self._desk.leases.release(operation_id)

    async def _keep(self, operation_id: str) -> None:
        async def lost(taken: Busy) -> None:
            """Somebody works there now: begin nothing more until a person decides."""
            operation = self._get(operation_id)
            if operation.state is OperationState.RUNNING:
                await self._wish(operation_id, WishVerb.PAUSE)
                tell_taken(self._desk, operation, taken)

        words = holder_words(self._desk, self._get(operation_id))
        await self._desk.leases.keep(
            operation_id, lambda: leased_hosts(self._get(operation_id)), words, lost
        )

    def _get(self, operation_id: str) -> Operation:
        found = self._desk.book.get(operation_id)
        if found is None:
            raise Gone("there is no such operation", operation_id, "see `novacron jobs`")
        return found

    def _new_id(self, kind: OperationKind) -> str:
        pid = self._desk.owner.rpartition("@")[2].split(":")[1:2]
        millis = int(self._desk.clock() * 1000)
        return "-".join((kind.value, f"{millis:x}", *pid, str(next(self._numbers))))
