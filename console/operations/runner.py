"""Plans, starts, resumes and steers operations; the one door for screens and command line."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

from console.jobs.owner import owner_alive
from console.operations.drive import Drive
from console.operations.replan import planned_anew
from console.operations.steering import wished
from console.operations.tools import Desk
from console.policy.drain.inverse import plan_inverse
from console.policy.drain.layout import Wishes
from console.policy.drain.plan import plan_drain
from console.policy.drain.rules import limits_of
from console.policy.drain.words import progress_words
from drivers.errors import Busy, DriverError, Gone, Refused
from drivers.model.event import Event, EventKind, Severity
from drivers.model.operation import (
    Choice,
    Cordon,
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
        self._known(host)
        await self._desk.book.cordon(Cordon(host, self._desk.clock(), self._desk.actor, reason))

    async def uncordon(self, host: str) -> None:
        """Open it again; Refused while a drain of it is under way."""
        self._known(host)
        await self._desk.book.refresh()
        for operation in self.operations:
            plan = operation.plan
            draining = plan.kind is OperationKind.DRAIN and plan.host == host
            if draining and not operation.state.ended:
                fix = f"cancel it first: novacron jobs cancel {operation.id}"
                raise Refused(f"{host} is being drained", operation.id, fix)
        await self._desk.book.uncordon(host)

    # -- plans --------------------------------------------------------------------------------

    async def plan_drain(
        self,
        host: str,
        choices: Mapping[str, Choice] | None = None,
        pins: Mapping[str, str] | None = None,
    ) -> OperationPlan:
        """How a host would be emptied, from what is known now."""
        await self._desk.book.refresh()
        snapshot = self._desk.snapshot()
        wishes = Wishes(cordoned=self._desk.book.cordoned, choices=choices or {}, pins=pins or {})
        limits = limits_of(self._desk.rules)
        fits = self._desk.fits(snapshot)
        return plan_drain(snapshot, host, fits, limits, wishes, now=self._desk.clock())

    async def plan_return(self, host: str) -> tuple[OperationPlan, str]:
        """How the VMs of the last drain of a host come home, and which operation that was.

        Raises:
            Gone: No drain of that host is recorded.
        """
        self._known(host)
        await self._desk.book.refresh()
        drains = [
            o for o in self.operations
            if o.plan.kind is OperationKind.DRAIN and o.plan.host == host and self._moved(o)
        ]  # fmt: skip
        if not drains:
            fix = "migrate the VMs one by one"
            raise Gone(f"no drain of {host} is recorded, so nobody knows what to return", fix=fix)
        return await self._inverse(drains[0], OperationKind.RETURN), drains[0].id

    async def plan_undo(self, operation_id: str) -> tuple[OperationPlan, str]:
        """How what an operation did is taken back; Gone when there is no such operation."""
        await self._desk.book.refresh()
        return await self._inverse(self._get(operation_id), OperationKind.UNDO), operation_id

    async def _inverse(self, operation: Operation, kind: OperationKind) -> OperationPlan:
        host, snapshot = operation.plan.host, self._desk.snapshot()
        return plan_inverse(
            snapshot,
            kind,
            host,
            operation.runs,
            self._desk.fits(snapshot, host),
            operation.plan.limits,
            Wishes(cordoned=self._desk.book.cordoned),
            now=self._desk.clock(),
        )

    def _moved(self, operation: Operation) -> bool:
        return any(r.state is MoveState.DONE for r in operation.runs)

    # -- running ------------------------------------------------------------------------------

    async def start(self, plan: OperationPlan, parent: str = "") -> str:
        """Record a plan as an operation and begin it; returns its id once it is durable.

        A drain cordons its host first; what takes a drain back opens it again first.

        Raises:
            Refused: The plan carries a refusal, or a VM still needs a choice.
            Busy: Another operation of that host is under way, or another console works on one of
                the hosts.
        """
        if plan.refusal is not None:
            raise Refused(plan.refusal.what, plan.refusal.proof, plan.refusal.fix)
        draining = plan.kind is OperationKind.DRAIN
        if draining and plan.undecided:
            names = ", ".join(s.vm_name for s in plan.undecided)
            fix = "choose for each: leave it, shut it down, or copy its storage"
            raise Refused(f"a choice is needed for {names}", plan.undecided[0].why.proof, fix)
        operation = Operation(
            self._new_id(plan.kind),
            plan,
            runs=tuple(MoveRun(move) for move in plan.moves),
            actor=self._desk.actor,
            owner=self._desk.owner,
            created_at=self._desk.clock(),
            parent=parent,
        )
        with self._claimed(operation.id):
            await self._lease(operation)
            try:
                await self._desk.book.begin(replace(operation, outcome=progress_words(operation)))
                if not draining:
                    await self._desk.book.uncordon(plan.host)
                elif plan.host not in self._desk.book.cordoned:
                    await self.cordon(plan.host, operation.id)
            except DriverError:
                await self._desk.leases.release(operation.id)
                raise
            self._drive(operation.id, 0)
        return operation.id

    async def resume(self, operation_id: str) -> None:
        """Go on with a paused operation, or take up one whose console has ended.

        Raises:
            Gone: There is no such operation.
            Refused: It has ended, or its console may still live on another machine.
        """
        await self._desk.book.refresh()
        operation = self._get(operation_id)
        if operation.state.ended:
            raise Refused(f"{operation_id} has ended: {operation.state.value}")
        mine = operation.owner == self._desk.owner
        alive = True if mine else owner_alive(operation.owner) if operation.owner else False
        if alive is None:
            what = f"whether the console of {operation_id} still lives cannot be told from here"
            raise Refused(what, operation.owner, "resume it on that machine")
        if alive and (not mine or self._driven(operation_id)):
            await self._wish(operation_id, WishVerb.RESUME)
            return
        await self._desk.jobs.recover()
        await self._take(operation, WishVerb.RESUME)

    async def pause(self, operation_id: str) -> None:
        """Begin nothing more; what moves now arrives."""
        await self._ask(operation_id, WishVerb.PAUSE)

    async def cancel(self, operation_id: str) -> None:
        """Stop what moves now, give up the rest; what has arrived stays."""
        await self._ask(operation_id, WishVerb.CANCEL)

    async def retarget(self, operation_id: str, uuid: str, target: str) -> None:
        """Give a VM that still waits another target; the rest is planned around it.

        Raises:
            Refused: It does not wait any more, the operation is another console's, or the target
                does not fit.
        """
        self._known(target)
        operation = self._get(operation_id)
        if operation_id not in self._drives:
            raise Refused("that operation is not in this console", operation.owner, "resume it")
        snapshot = self._desk.snapshot()

        def pin(operation: Operation) -> Operation:
            waits = [r for r in operation.runs if r.move.uuid == uuid and not r.state.ended]
            if not waits or waits[0].state is MoveState.RUNNING:
                raise Refused("that VM does not wait any more", fix="undo its move afterwards")
            pins = {**dict(operation.pins), uuid: target}
            pinned = replace(operation, pins=tuple(pins.items()))
            changed = planned_anew(self._desk, pinned, snapshot)
            run = next(r for r in changed.runs if r.move.uuid == uuid)
            if run.move.target != target or run.state is MoveState.BLOCKED:
                raise Refused(f"{run.move.vm_name} cannot go to {target}", run.note)
            return changed

        await self._desk.book.change(operation_id, pin, self._desk.owner)

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
        if left and not self._driven(operation_id):
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
        if self._driven(operation.id):
            await self._wish(operation.id, verb)
            return
        mine = self._desk.owner
        with self._claimed(operation.id):
            obeyed = len(await self._desk.book.wishes(operation.id))
            await self._lease(operation)
            try:
                await self._desk.book.change(
                    operation.id, lambda o: replace(wished(o, verb), owner=mine), operation.owner
                )
            except DriverError:
                await self._desk.leases.release(operation.id)
                raise
            self._drive(operation.id, obeyed)

    async def _wish(self, operation_id: str, verb: WishVerb) -> None:
        wish = Wish(operation_id, verb, self._desk.clock(), self._desk.actor)
        await self._desk.book.wish(wish)

    def _driven(self, operation_id: str) -> bool:
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

    def _drive(self, operation_id: str, obeyed: int) -> None:
        drive = Drive(self._desk, operation_id, obeyed)
        task = asyncio.create_task(self._leased(drive), name=operation_id)
        self._drives[operation_id] = task
        task.add_done_callback(lambda _: self._drives.pop(operation_id, None))

    async def _leased(self, drive: Drive) -> None:
        """Drive an operation while its hosts are kept from others, and let go of them after."""
        operation = drive.operation
        keeper = asyncio.create_task(self._keep(operation.id))
        try:
            await drive.run()
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await self._desk.leases.release(operation.id)

    async def _keep(self, operation_id: str) -> None:
        async def lost(taken: Busy) -> None:
            """Somebody works there now: begin nothing more until a person decides."""
            if self._get(operation_id).state is OperationState.RUNNING:
                await self._wish(operation_id, WishVerb.PAUSE)
                now, what = self._desk.clock(), taken.problem.what
                told = f"{operation_id} is paused: {what}"
                host = self._get(operation_id).plan.host
                detail = str(taken.problem)
                kind, severity = EventKind.ACTION, Severity.ERROR
                event = Event(now, kind, host, told, detail=detail, severity=severity)
                self._desk.on_events((event,))

        operation = self._get(operation_id)
        words = self._words(operation)
        await self._desk.leases.keep(
            operation_id, lambda: _hosts(self._get(operation_id)), words, lost
        )

    async def _lease(self, operation: Operation) -> None:
        await self._desk.leases.take(operation.id, _hosts(operation), self._words(operation))

    def _words(self, operation: Operation) -> str:
        since = datetime.fromtimestamp(self._desk.clock(), UTC).strftime("%Y-%m-%d %H:%M UTC")
        plan = operation.plan
        return f"{self._desk.actor} since {since}: {plan.kind.value} of {plan.host}"

    def _get(self, operation_id: str) -> Operation:
        found = self._desk.book.get(operation_id)
        if found is None:
            raise Gone("there is no such operation", operation_id, "see `novacron jobs`")
        return found

    def _known(self, host: str) -> None:
        if self._desk.read().host(host) is None:
            names = ", ".join(h.name for h in self._desk.read().hosts)
            raise Gone(f"there is no host {host} in this fleet", f"it has: {names}")

    def _new_id(self, kind: OperationKind) -> str:
        pid = self._desk.owner.rpartition("@")[2].split(":")[1:2]
        millis = int(self._desk.clock() * 1000)
        return "-".join((kind.value, f"{millis:x}", *pid, str(next(self._numbers))))


def _hosts(operation: Operation) -> set[str]:
    """Hosts that an operation works on: its own, and where VMs come from and go to."""
    ends = {end for run in operation.runs for end in (run.move.source, run.move.target)}
    return {operation.plan.host, *ends} - {""}
