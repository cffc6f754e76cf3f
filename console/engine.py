"""The backend: hosts, jobs and history in a thread and event loop of their own.

Nothing here runs on the interface's thread but the thin public methods, which hand a coroutine to
the loop and return its future.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from console.backend import AttachedStream, EventsReady, JobsReady, News, SnapshotReady, StoreReady
from console.jobs.runner import JobRunner
from console.policy.migration import migration_targets
from console.policy.plans import make_plan
from console.policy.tiering import tier_targets
from console.poller import Poller
from console.prompts import QuestionDesk, WaitingPrompter
from console.recorder import Recorder
from console.sources import FleetSource
from console.tidy import Tidy
from drivers.errors import DriverError, Gone
from drivers.lane import Lane
from drivers.model.ask import KeyDecision
from drivers.model.event import Event, EventKind, Severity
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import HistoryQuery, Series, StoreStatus
from drivers.model.job import Action, Plan, Request, TargetFit
from drivers.model.storage import Volume
from drivers.model.vm import Vm
from drivers.protocol import HostDriver, Prompter
from store.api import Store, StoreError

T = TypeVar("T")

STOP_S = 2.0
"""Seconds ``stop`` waits for hosts to be let go before leaving them to the daemon threads."""

CLOSE_S = 10.0
"""Seconds the history is given to write what it holds; a busy disk needs some of them."""

HISTORY_DEADLINE_S = 30.0

NOT_STARTED = "not-started"
"""What ``Event.change`` says of a plan among several that did not become a job."""


class Engine:
    """Implements ``console.backend.Backend`` over real or simulated hosts.

    Args:
        source: The hosts.
        store: Opens the recorded history, called in a lane since it blocks; None records nothing.
        prompter: Answers questions instead of the interface (headless use).
        interval_s: Seconds between samples; None for the default.
    """

    def __init__(
        self,
        source: FleetSource,
        *,
        store: Callable[[], Store],
        clock: Callable[[], float] = time.time,
        prompter: Prompter | None = None,
        interval_s: float | None = None,
    ) -> None:
        self._source = source
        self._open_store = store
        self._clock = clock
        self._interval_s = interval_s
        self._publish: Callable[[News], None] = lambda _news: None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._desk = QuestionDesk(self._tell)
        self._prompter = prompter or self._desk
        self._drivers = source.drivers(self._prompter_of)
        self._lane = Lane("history", HISTORY_DEADLINE_S)
        self._poller = Poller(self._drivers, self._on_snapshot, self._on_events, clock=clock)
        self._store: Store | None = None
        self._runner: JobRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._opening: asyncio.Task[Store] | None = None
        self._ready = asyncio.Event()

    # -- life ---------------------------------------------------------------------------------

    def start(self, publish: Callable[[News], None]) -> None:
        """Begin to connect, poll and record; ``publish`` is called from the engine's thread."""
        self._publish = publish
        self._thread.start()
        self._loop.call_soon_threadsafe(self._begin)

    def stop(self) -> None:
        """Let go of hosts in two seconds and of history in ten; the journal keeps what is open."""
        if not self._thread.is_alive():
            return
        ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        try:
            ending.result(STOP_S + CLOSE_S)
        except TimeoutError:
            ending.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _begin(self) -> None:
        self._opening = self._loop.create_task(self._lane.run(self._open_store))
        self._spawn(self._poller.run())
        self._spawn(Tidy().run())
        self._spawn(self._record(self._opening))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(self._loop.create_task(work))

    async def _record(self, opening: asyncio.Task[Store]) -> None:
        try:
            store = await asyncio.shield(opening)
        except (StoreError, DriverError) as error:
            self._tell(StoreReady(StoreStatus("off", paused=str(error.problem))))
            self._ready.set()
            return
        self._store = store
        self._runner = JobRunner(
            self._drivers,
            store,
            snapshot=lambda: self._poller.snapshot,
            publish=lambda jobs: self._tell(JobsReady(jobs)),
            on_events=self._on_events,
            nudge=self._poller.nudge,
            clock=self._clock,
            owner=owner(),
        )
        self._ready.set()
        with contextlib.suppress(StoreError, DriverError):  # the header says how history stands
            recent = await self._lane.run(lambda: store.events(limit=500))
            self._tell(EventsReady(tuple(reversed(recent))))
        self._spawn(
            Recorder(
                store,
                lambda: self._poller.snapshot,
                clock=self._clock,
                interval_s=self._interval_s,
            ).run()
        )
        self._spawn(self._watch_store(store))
        await self._recover(self._runner)

    async def _recover(self, runner: JobRunner) -> None:
        try:
            await runner.recover()
        except (StoreError, DriverError) as error:
            self._on_events((self._not_recovered(error),))

    async def _watch_store(self, store: Store) -> None:
        last: StoreStatus | None = None
        while True:
            status = store.status()
            if status != last:
                self._tell(StoreReady(status))
                last = status
            await asyncio.sleep(1.0)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(STOP_S):
                if self._runner is not None:
                    await self._runner.stop()
                await self._poller.stop()
                await asyncio.gather(*(d.close() for d in self._drivers.values()))
        except (TimeoutError, DriverError):
            pass
        await self._close_store()

    async def _close_store(self) -> None:
        """Close the history even when it was still being opened: an open file outlives nobody."""
        try:
            async with asyncio.timeout(CLOSE_S):
                if self._opening is not None:
                    store = await self._opening
                    await self._lane.run(store.close)
        except (TimeoutError, StoreError, DriverError):
            return
        finally:
            self._lane.close()

    def _prompter_of(self, host: str) -> Prompter:
        return WaitingPrompter(self._prompter, lambda waits: self._poller.deciding(host, waits))

    # -- news ---------------------------------------------------------------------------------

    def _tell(self, news: News) -> None:
        self._publish(news)

    def _on_snapshot(self, snapshot: FleetSnapshot) -> None:
        self._tell(SnapshotReady(snapshot))

    def _on_events(self, events: tuple[Event, ...]) -> None:
        if self._store is not None:
            self._store.put_events(events)
        self._tell(EventsReady(events))

    # -- questions and answers ----------------------------------------------------------------

    def plan(self, requests: tuple[Request, ...]) -> Future[tuple[Plan, ...]]:
        """See ``Backend.plan``."""
        return self._submit(self._plan(requests))

    def run(self, plans: tuple[Plan, ...]) -> Future[tuple[str, ...]]:
        """See ``Backend.run``."""
        return self._submit(self._run(plans))

    def cancel(self, job_id: str) -> Future[None]:
        """See ``Backend.cancel``."""
        return self._submit(self._cancel(job_id))

    def followup(self, job_id: str, choice: str) -> Future[tuple[Plan, ...]]:
        """See ``Backend.followup``."""
        return self._submit(self._followup(job_id, choice))

    def targets(self, action: Action, uuid: str, disk: str = "") -> Future[tuple[TargetFit, ...]]:
        """See ``Backend.targets``."""
        return self._submit(self._targets(action, uuid, disk))

    def volumes_of(self, uuid: str) -> Future[tuple[Volume, ...]]:
        """See ``Backend.volumes_of``."""
        return self._submit(self._volumes_of(uuid))

    def xml(self, uuid: str, inactive: bool) -> Future[str]:
        """See ``Backend.xml``."""
        return self._submit(self._xml(uuid, inactive))

    def history(self, queries: tuple[HistoryQuery, ...]) -> Future[tuple[Series, ...]]:
        """See ``Backend.history``."""
        return self._submit(self._ask_store(lambda store: tuple(store.history(q) for q in queries)))

    def names(self, kind: str) -> Future[list[tuple[str, str]]]:
        """See ``Backend.names``."""
        return self._submit(self._ask_store(lambda store: store.names(kind)))

    def refresh(self, host: str = "") -> None:
        """See ``Backend.refresh``."""
        self._loop.call_soon_threadsafe(self._poller.refresh, host)

    def pause(self, paused: bool) -> None:
        """See ``Backend.pause``."""
        self._loop.call_soon_threadsafe(self._poller.pause, paused)

    def answer_host_key(self, question_id: str, decision: KeyDecision) -> None:
        """See ``Backend.answer_host_key``."""
        self._loop.call_soon_threadsafe(self._desk.decide, question_id, decision)

    def answer_secret(self, question_id: str, answers: tuple[str, ...] | None) -> None:
        """See ``Backend.answer_secret``."""
        self._loop.call_soon_threadsafe(self._desk.answer, question_id, answers)

    def attach_console(self, uuid: str) -> Future[AttachedStream]:
        """See ``Backend.attach_console``."""
        return self._submit(self._attach_console(uuid))

    def attach_shell(self, host: str, columns: int, rows: int, term: str) -> Future[AttachedStream]:
        """See ``Backend.attach_shell``."""
        return self._submit(self._attach_shell(host, columns, rows, term))

    # -- on the engine's loop -----------------------------------------------------------------

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _jobs(self) -> JobRunner:
        await self._ready.wait()
        if self._runner is None:
            raise Gone("The job journal is not open.", fix="see the recording state in the header")
        return self._runner

    async def _ask_store(self, question: Callable[[Store], T]) -> T:
        await self._ready.wait()
        store = self._store
        if store is None:
            raise Gone("Recorded history is not open.", fix="see the recording state in the header")
        return await self._lane.run(lambda: question(store))

    async def _plan(self, requests: tuple[Request, ...]) -> tuple[Plan, ...]:
        snapshot, now = self._poller.snapshot, self._clock()
        return tuple(make_plan(snapshot, r, now=now, plan_id=new_id()) for r in requests)

    async def _run(self, plans: tuple[Plan, ...]) -> tuple[str, ...]:
        runner = await self._jobs()
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

    def _not_recovered(self, error: StoreError | DriverError) -> Event:
        return Event(
            self._clock(),
            EventKind.ACTION,
            "",
            f"unfinished jobs of earlier consoles were not taken up: {error.problem.what}",
            detail=str(error.problem),
            severity=Severity.ERROR,
        )

    async def _cancel(self, job_id: str) -> None:
        await (await self._jobs()).cancel(job_id)

    async def _followup(self, job_id: str, choice: str) -> tuple[Plan, ...]:
        return await (await self._jobs()).followup(job_id, choice)

    async def _targets(self, action: Action, uuid: str, disk: str) -> tuple[TargetFit, ...]:
        snapshot, now = self._poller.snapshot, self._clock()
        if action is Action.TIER:
            return tier_targets(snapshot, uuid, disk, now=now)
        return migration_targets(snapshot, uuid, now=now)

    async def _volumes_of(self, uuid: str) -> tuple[Volume, ...]:
        vm = self._vm(uuid)
        host = self._poller.snapshot.host(vm.host)
        sources = {disk.source for disk in vm.disks}
        pools = host.pools if host is not None else ()
        return tuple(v for p in pools for v in p.volumes if v.path in sources)

    async def _xml(self, uuid: str, inactive: bool) -> str:
        return await self._driver(self._vm(uuid).host).xml(uuid, inactive=inactive)

    async def _attach_console(self, uuid: str) -> AttachedStream:
        vm = self._vm(uuid)
        stream = await self._driver(vm.host).open_console(uuid)
        return AttachedStream(stream, self._submit, f"{vm.name} serial console")

    async def _attach_shell(self, host: str, columns: int, rows: int, term: str) -> AttachedStream:
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


def owner() -> str:
    """Who runs jobs here: ``user@host:pid:start``, start in clock ticks since boot."""
    with open("/proc/self/stat", encoding="ascii") as stat:  # noqa: PTH123
        start = stat.read().rpartition(")")[2].split()[19]
    return f"{getpass.getuser()}@{socket.gethostname()}:{os.getpid()}:{start}"
