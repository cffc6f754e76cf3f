"""An engine without an interface: wait for readings, run plans, follow jobs."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from console.answers import NOT_STARTED
from console.backend import EventsReady, JobsReady, News, OperationsReady, SnapshotReady, StoreReady
from console.engine import Engine
from console.headless.prompter import TerminalPrompter
from console.headless.status import UNKNOWN, UNSEEN
from console.sources import FleetSource
from drivers.errors import DriverError
from drivers.model.event import Event
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import StoreStatus
from drivers.model.host import Host, LinkState
from drivers.model.job import Job, Plan, Request
from drivers.model.operation import DEFECT, MoveState, Operation, OperationState
from drivers.model.vm import Vm
from store.api import Store

T = TypeVar("T")
Settled = Callable[[Host], bool]

PLAN_DEADLINE_S = 30.0


class Unknown(DriverError):
    """A name on the command line that fits nothing, or too much."""

    code = UNKNOWN


class Unseen(Unknown):
    """A VM that no host lists, while some host was not read."""

    code = UNSEEN


class Session:
    """One headless run over a fleet. Use ``open_session``."""

    def __init__(self, engine: Engine, news: queue.SimpleQueue[News]) -> None:
        self.engine = engine
        self._news = news
        self._snapshot = FleetSnapshot()
        self._store = StoreStatus("off")
        self._jobs: tuple[Job, ...] = ()
        self._operations: tuple[Operation, ...] = ()
        self._since = time.time()
        self._not_started: list[Event] = []

    @property
    def snapshot(self) -> FleetSnapshot:
        """The newest picture taken in by ``wait`` or ``follow``."""
        return self._snapshot

    @property
    def store(self) -> StoreStatus:
        """How recording stands, as far as taken in."""
        return self._store

    @property
    def not_started(self) -> tuple[Event, ...]:
        """Why plans of this run did not become jobs, as far as taken in by ``follow``."""
        return tuple(self._not_started)

    def wait(self, settled: Settled, deadline_s: float) -> FleetSnapshot:
        """Take in readings until every host is settled or down, or the deadline passes."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            self._take(end)
            hosts = self._snapshot.hosts
            if hosts and all(_out(h) or settled(h) for h in hosts):
                break
        return self._snapshot

    def plan(self, requests: tuple[Request, ...]) -> tuple[Plan, ...]:
        """Plans from the newest snapshot."""
        return self.engine.plan(requests).result(PLAN_DEADLINE_S)

    def follow(self, plans: tuple[Plan, ...], watch: Callable[[Job], None]) -> tuple[Job, ...]:
        """Run plans and take in news until all their jobs have ended.

        ``watch`` sees each change of each job. Ctrl-C cancels the jobs and goes on to their end.
        """
        ids = self.engine.run(plans).result(PLAN_DEADLINE_S)
        seen: dict[str, Job] = {}
        while not all(job_id in seen and seen[job_id].state.ended for job_id in ids):
            try:
                self._take(time.monotonic() + 1.0)
            except KeyboardInterrupt:
                for job_id in ids:
                    self.engine.cancel(job_id)
            for job in self._jobs:
                if job.id in ids and seen.get(job.id) != job:
                    seen[job.id] = job
                    watch(job)
        while self._take(time.monotonic()):
            pass
        return tuple(seen[job_id] for job_id in ids)

    def follow_operation(
        self, operation_id: str, watch: Callable[[Operation], None]
    ) -> tuple[Operation, bool]:
        """Take in news until an operation has ended or waits for a person.

        Ctrl-C pauses it and waits for what moves now.

        Returns:
            The operation, and whether it was interrupted.
        """
        while self._take(time.monotonic()):
            pass  # what was told before it began or went on is not news of it
        seen: Operation | None = None
        asked = False
        while True:
            try:
                self._take(time.monotonic() + 1.0)
            except KeyboardInterrupt:
                asked = True
                self.engine.maintenance.pause(operation_id)
            found = next((o for o in self._operations if o.id == operation_id), None)
            if found is not None and found != seen:
                seen = found
                watch(found)
            if seen is not None and _rests(seen, self._operations, self._jobs):
                return seen, asked

    def find(self, name: str) -> Vm:
        """The VM called ``name``, ``host/name`` or by UUID.

        Raises:
            Unknown: No VM or more than one fits.
        """
        host, _, short = name.rpartition("/")
        found = {
            vm.uuid: vm
            for vm in self._snapshot.vms()
            if vm.uuid == name or (vm.name == short and host in ("", vm.host))
        }
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            places = ", ".join(f"{vm.host}/{vm.name}" for vm in found.values())
            raise Unknown(
                f"More than one VM is called {name}.", places, "say HOST/NAME or the UUID"
            )
        down = [h.name for h in self._snapshot.hosts if h.link.state is not LinkState.UP]
        proof = f"not looked at: {', '.join(down)}" if down else "every host was read"
        kind = Unknown if all(h.slow_at for h in self._snapshot.hosts) else Unseen
        raise kind(f"No VM is called {name}.", proof, "see `novacron vms`")

    def _take(self, end: float) -> bool:
        """Take in one piece of news; False when none came until ``end``."""
        try:
            news = self._news.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            return False
        if isinstance(news, SnapshotReady):
            self._snapshot = news.snapshot
        elif isinstance(news, StoreReady):
            self._store = news.status
        elif isinstance(news, JobsReady):
            self._jobs = news.jobs
        elif isinstance(news, OperationsReady):
            self._operations = news.operations
        elif isinstance(news, EventsReady):
            self._not_started += [
                e for e in news.events if e.change == NOT_STARTED and e.at >= self._since
            ]
        return True


def _rests(operation: Operation, known: Sequence[Operation], jobs: Sequence[Job]) -> bool:
    """Ended, or paused with nothing on its way, in the drains of an upgrade neither.

    A command that runs on a host goes on without a console. Nobody marks the moves of an operation
    that its console gave up as arrived: their jobs tell.
    """
    tickets = {r.ticket for r in operation.stages}
    parts = (operation, *(o for o in known if o.id in tickets))
    if operation.problem is not None and operation.problem.code == DEFECT:
        mine = {r.ticket for part in parts for r in part.runs}
        return all(job.state.ended for job in jobs if job.plan.id in mine)
    moving = any(r.state is MoveState.RUNNING for part in parts for r in part.runs)
    paused = operation.state is OperationState.PAUSED
    return operation.state.ended or (paused and not moving)


def known_hosts(snapshot: FleetSnapshot, names: Sequence[str]) -> tuple[str, ...]:
    """Each of these hosts once.

    Raises:
        Unknown: A name is no host of this fleet.
    """
    known = [host.name for host in snapshot.hosts]
    for name in names:
        if name not in known:
            raise Unknown(f"No host is called {name}.", ", ".join(known), "see `novacron hosts`")
    return tuple(dict.fromkeys(names))


def _out(host: Host) -> bool:
    return host.link.state in (LinkState.DOWN, LinkState.DECISION)


def has_slow(host: Host) -> bool:
    """Settled once libvirt has told its VMs."""
    return host.slow_at > 0


def has_rates(host: Host) -> bool:
    """Settled once both lanes answered and the first rates are known, or cannot be."""
    if not host.slow_at:
        return False
    if any(m.name == "fast" for m in host.missing):
        return True
    load = host.load
    return load is not None and load.cpu_pct is not None


def has_pools(host: Host) -> bool:
    """Settled once libvirt has told its VMs and pools."""
    return host.slow_at > 0 and host.pools_at > 0


@contextmanager
def open_session(source: FleetSource, store: Callable[[], Store]) -> Iterator[Session]:
    """Start an engine over ``source`` and stop it at the end."""
    news: queue.SimpleQueue[News] = queue.SimpleQueue()
    engine = Engine(source, store=store, prompter=TerminalPrompter())
    engine.start(news.put)
    try:
        yield Session(engine, news)
    finally:
        engine.stop()
