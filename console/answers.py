"""What the engine answers on its own loop: plans, jobs, targets, texts and attached streams."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from console.backend import AttachedStream
from console.evidence import KEEP_S, WHOLE_S, EvidenceDesk
from console.jobs.journal import SEE_RECORDING
from console.jobs.leaselook import LeaseLook
from console.jobs.runner import JobRunner
from console.operations.finishing import finish_plans
from console.operations.runner import OperationRunner
from console.policy.migration import migration_targets
from console.policy.plans import make_plan
from console.policy.preflight.grounds import NO_GROUNDS
from console.policy.preflight.matrix import preflight
from console.policy.tiering import tier_targets
from console.poller import Poller
from drivers.errors import DriverError, Gone, Refused
from drivers.lane import Lane
from drivers.model.event import Event, EventKind, Severity
from drivers.model.job import Action, Plan, Request, TargetFit
from drivers.model.matrix import Matrix
from drivers.model.migration import Lever
from drivers.model.storage import Volume
from drivers.model.vm import Vm
from drivers.protocol import HostDriver
from store.api import Store

T = TypeVar("T")

MOST_CELLS = 5000
"""VMs times hosts of one pre-flight matrix."""

NOT_STARTED = "not-started"
"""What ``Event.change`` says of a plan among several that did not become a job."""


class Submit(Protocol):
    """Runs work on the engine's loop and returns its future."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> Future[T]:
        """Start the work; may be called from any thread."""
        ...


class Books:
    """The recorded history and the job runner on top of it, once they are open.

    Args:
        lane: Where calls on the store run, since they block.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._ready = asyncio.Event()
        self.store: Store | None = None
        self.runner: JobRunner | None = None
        self.operations: OperationRunner | None = None
        self.cordoned: Mapping[str, str] = {}

    def opened(self, store: Store, runner: JobRunner, operations: OperationRunner) -> None:
        """Answer whoever waits."""
        self.store, self.runner, self.operations = store, runner, operations
        self._ready.set()

    def unavailable(self) -> None:
        """Refuse whoever waits: the history cannot be opened."""
        self._ready.set()

    async def jobs(self) -> JobRunner:
        """The job runner; Gone where the journal cannot be opened."""
        await self._ready.wait()
        if self.runner is None:
            raise Gone("The job journal is not open.", fix=SEE_RECORDING)
        return self.runner

    async def maintenance(self) -> OperationRunner:
        """The operation runner; Gone where operations cannot be recorded."""
        await self.jobs()
        if self.operations is None:
            raise Gone("Operations are not open.", fix=SEE_RECORDING)
        return self.operations

    async def ask(self, question: Callable[[Store], T]) -> T:
        """Ask the store in its lane; Gone where the history cannot be opened."""
        await self._ready.wait()
        store = self.store
        if store is None:
            raise Gone("Recorded history is not open.", fix=SEE_RECORDING)
        return await self._lane.run(lambda: question(store))


class Answers:
    """Answers about the fleet; every coroutine runs on the engine's loop.

    Args:
        desk: Gathers what migrations are judged by.
        leases: Looks whether another console works on a host.
        submit: Runs the reads and writes of an attached stream on the loop.
        on_events: Records and publishes events.
    """

    def __init__(
        self,
        poller: Poller,
        drivers: Mapping[str, HostDriver],
        books: Books,
        desk: EvidenceDesk,
        leases: LeaseLook,
        *,
        clock: Callable[[], float],
        submit: Submit,
        on_events: Callable[[tuple[Event, ...]], None],
    ) -> None:
        self._poller = poller
        self._drivers = drivers
        self._books = books
        self._desk = desk
        self._leases = leases
        self._clock = clock
        self._submit = submit
        self._on_events = on_events

    async def plan(
        self, requests: tuple[Request, ...], *, age_s: float = KEEP_S
    ) -> tuple[Plan, ...]:
        """One plan a request, from what is known now; migrations by gathered evidence too.

        Args:
            age_s: Seconds ago that an answer may have been given.
        """
        moves = [r for r in requests if r.action is Action.MIGRATE]
        grounds = NO_GROUNDS
        if moves:
            ends = [r.uuid for r in moves], [r.target for r in moves]
            grounds = await self._desk.grounds(*ends, age_s=age_s)
        snapshot, now = self._poller.snapshot, self._clock()
        plans = [
            make_plan(snapshot, r, now=now, plan_id=new_id(), grounds=grounds) for r in requests
        ]
        return await self._leases.checked(plans)

    async def lease_holders(self) -> dict[str, str]:
        """Host to who holds its lease now."""
        return await self._leases.holders()

    async def plan_anew(self, requests: tuple[Request, ...]) -> tuple[Plan, ...]:
        """The same for what failed before: its hosts are read again, and nothing is remembered."""
        snapshot = self._poller.snapshot
        vms = [vm for r in requests if (vm := snapshot.vm(r.uuid)) is not None]
        hosts = {vm.host for vm in vms} | {r.target for r in requests}
        await self._poller.read_anew(hosts, pools=True)
        return await self.plan(requests, age_s=0.0)

    async def preflight(self, uuids: tuple[str, ...], hosts: tuple[str, ...]) -> Matrix:
        """Every VM against every host, dirty rates measured.

        Raises:
            Refused: That is more than anybody could read.
        """
        names = hosts or tuple(host.name for host in self._poller.snapshot.hosts)
        if len(uuids) * len(names) > MOST_CELLS:
            raise Refused(
                "That is too much for one matrix.",
                f"{len(uuids)} VMs and {len(names)} hosts, at most {MOST_CELLS} cells",
                "mark fewer VMs, or name the hosts",
            )
        grounds = await self._desk.grounds(uuids, names, limit_s=WHOLE_S, measure=True)
        snapshot, now = self._poller.snapshot, self._clock()
        # A large one takes a while: beside the loop that reads the hosts, not in it.
        return await asyncio.to_thread(preflight, snapshot, uuids, names, now=now, grounds=grounds)

    async def run(self, plans: tuple[Plan, ...]) -> tuple[str, ...]:
        """Start the plans as jobs; of several, one that is refused is told as an event."""
        runner = await self._books.jobs()
        started: list[str] = []
        for plan in plans:
            try:
                started.append(await runner.submit(plan))
            except DriverError as error:
                if len(plans) == 1:
                    raise
                self._on_events((self._not_started(plan, error),))
        return tuple(started)

    def _not_started(self, plan: Plan, error: DriverError) -> Event:
        return Event(
            self._clock(),
            EventKind.ACTION,
            plan.host,
            f"{plan.title} was not started: {error.problem.what}",
            vm=plan.request.uuid,
            vm_name=plan.vm_name,
            detail=str(error.problem),
            change=NOT_STARTED,
            severity=Severity.ERROR,
        )

    async def cancel(self, job_id: str) -> None:
        """Ask a running job to stop."""
        await (await self._books.jobs()).cancel(job_id)

    async def pull(self, job_id: str, lever: Lever, value: float) -> None:
        """Pull a lever of a running migration."""
        await (await self._books.jobs()).pull(job_id, lever, value)

    async def followup(self, job_id: str, choice: str) -> tuple[Plan, ...]:
        """Plans that finish or undo a broken job; of an operation, that finish all its jobs."""
        operations = await self._books.maintenance()
        operation = next((o for o in operations.operations if o.id == job_id), None)
        if operation is not None:
            return await finish_plans(self._books, operation, choice)
        return await (await self._books.jobs()).followup(job_id, choice)

    async def targets(
        self, action: Action, uuid: str, disk: str, options: Mapping[str, str]
    ) -> tuple[TargetFit, ...]:
        """Each possible target and whether it fits."""
        if action is Action.TIER:
            return tier_targets(self._poller.snapshot, uuid, disk, now=self._clock())
        names = [host.name for host in self._poller.snapshot.hosts]
        grounds = await self._desk.grounds((uuid,), names)
        return migration_targets(
            self._poller.snapshot, uuid, now=self._clock(), options=options, grounds=grounds
        )

    async def volumes_of(self, uuid: str) -> tuple[Volume, ...]:
        """The volumes of a VM's disks that its host's pools know."""
        vm = self._vm(uuid)
        host = self._poller.snapshot.host(vm.host)
        sources = {disk.source for disk in vm.disks}
        pools = host.pools if host is not None else ()
        return tuple(v for p in pools for v in p.volumes if v.path in sources)

    async def xml(self, uuid: str, inactive: bool) -> str:
        """The XML of a VM, asked of its host."""
        return await self._driver(self._vm(uuid).host).xml(uuid, inactive=inactive)

    async def attach_console(self, uuid: str) -> AttachedStream:
        """A VM's serial console."""
        vm = self._vm(uuid)
        stream = await self._driver(vm.host).open_console(uuid)
        return AttachedStream(stream, self._submit, f"{vm.name} serial console")

    async def attach_shell(self, host: str, columns: int, rows: int, term: str) -> AttachedStream:
        """A login shell on a host."""
        stream = await self._driver(host).open_shell(columns, rows, term)
        return AttachedStream(stream, self._submit, f"shell on {host}")

    def _vm(self, uuid: str) -> Vm:
        vm = self._poller.snapshot.vm(uuid)
        if vm is None:
            raise Gone("That VM is on no host any more.", proof=uuid, fix="refresh with Ctrl-r")
        return vm

    def _driver(self, host: str) -> HostDriver:
        driver = self._drivers.get(host)
        if driver is None:
            raise Gone(f"There is no host {host} in this fleet.")
        return driver


def new_id() -> str:
    """A short identity for plans: sortable by time, unique on this machine."""
    return f"{time.time_ns() // 1_000_000:x}-{os.urandom(3).hex()}"
