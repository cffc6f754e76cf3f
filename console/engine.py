"""The backend: hosts, jobs and history in a thread and event loop of their own.

Nothing here runs on the interface's thread but the thin public methods, which hand a coroutine to
the loop and return its future.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any, TypeVar

from console.actor import this_actor
from console.answers import Answers, Books
from console.backend import (
    NO_OPTIONS,
    AttachedStream,
    EventsReady,
    JobsReady,
    News,
    OperationsReady,
    SnapshotReady,
    StoreReady,
)
from console.evidence import EvidenceDesk
from console.jobs.leaselook import LeaseLook
from console.jobs.owner import this_boot, this_owner
from console.jobs.runner import JobRunner
from console.jobs.tracing import traced
from console.maintenance import Maintenance
from console.operations.book import OperationBook, cordon_words
from console.operations.hands import Hands
from console.operations.leases import LeaseDesk
from console.operations.runner import OperationRunner
from console.operations.tools import Desk
from console.poller import Poller
from console.prompts import QuestionDesk, WaitingPrompter
from console.recorder import Recorder
from console.sources import FleetSource
from console.tidy import Tidy
from drivers.errors import DriverError, Gone
from drivers.lane import Lane
from drivers.model.ask import KeyDecision
from drivers.model.event import Event, EventKind, EventQuery, Severity
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import HistoryQuery, Series, StoreStatus
from drivers.model.job import Action, Job, Plan, Request, TargetFit
from drivers.model.matrix import Matrix
from drivers.model.migration import Lever
from drivers.model.operation import Cordon, Operation
from drivers.model.storage import Volume
from drivers.protocol import HeldLease, Prompter
from drivers.tasks import HostTasks
from store.api import Store, StoreError

T = TypeVar("T")

STOP_S = 2.0
"""Seconds ``stop`` waits for hosts to be let go before leaving them to the daemon threads."""

CLOSE_S = 10.0
"""Seconds the history is given to write what it holds; a busy disk needs some of them."""

HISTORY_DEADLINE_S = 30.0

_PAST_JOBS = 1000
"""Jobs looked through at the start for what migrations took."""


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
        told = self._on_snapshot, self._on_events
        self._poller = Poller(self._drivers, *told, clock=clock, bounds=source.bounds)
        self._books = Books(self._lane)
        self._leases = LeaseDesk(self._hold, asyncio.sleep)
        known = {name: traced(driver) for name, driver in self._drivers.items()}
        self._evidence = EvidenceDesk(
            known,
            lambda: self._poller.snapshot,
            self._source.rules,
            cordoned=lambda: self._books.cordoned,
        )
        self._answers = Answers(
            self._poller,
            self._drivers,
            self._books,
            self._evidence,
            LeaseLook(known, self._leases.holds),
            clock=clock,
            submit=self._submit,
            on_events=self._on_events,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._opening: asyncio.Task[Store] | None = None

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
            self._books.unavailable()
            return
        runner = JobRunner(
            self._drivers,
            store,
            snapshot=lambda: self._poller.snapshot,
            publish=self._on_jobs,
            on_events=self._on_events,
            nudge=self._poller.nudge,
            read_anew=self._poller.read_anew,
            clock=self._clock,
            owner=this_owner(),
            bounds=self._source.bounds,
            planner=self._answers.plan,
            replanner=self._answers.plan_anew,
        )
        operations = OperationRunner(self._desk_of(store, runner))
        self._books.opened(store, runner, operations)
        self._spawn(operations.watch())
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
        await self._recover(runner)

    def _desk_of(self, store: Store, runner: JobRunner) -> Desk:
        actor = this_actor()
        return Desk(
            book=OperationBook(store, self._on_operations, asyncio.sleep),
            jobs=runner,
            read=lambda: self._poller.snapshot,
            nudge=self._poller.nudge,
            gather=self._evidence.grounds,
            on_events=self._on_events,
            rules=self._source.rules,
            clock=self._clock,
            sleep=asyncio.sleep,
            owner=this_owner(),
            actor=f"{actor.sudo_user or actor.login_user or actor.user}@{actor.machine}",
            leases=self._leases,
            auditor=runner.auditor,
            hands=Hands(self._tasks_of, self._poller.refresh, self._source.upgrades, this_boot()),
        )

    def _tasks_of(self, host: str) -> HostTasks:
        driver = self._drivers.get(host)
        if driver is None:
            raise Gone(f"There is no host {host} in this fleet.")
        return driver.tasks

    async def _hold(self, host: str, words: str) -> HeldLease:
        driver = self._drivers.get(host)
        if driver is None:
            raise Gone(f"There is no host {host} in this fleet.")
        return await traced(driver).hold_lease(words)

    async def _recover(self, runner: JobRunner) -> None:
        try:
            await runner.recover()
            past = await self._books.ask(lambda store: store.jobs(limit=_PAST_JOBS))
            self._evidence.paces.take(past)
        except (StoreError, DriverError) as error:
            self._on_events((self._not_recovered(error),))

    def _not_recovered(self, error: StoreError | DriverError) -> Event:
        return Event(
            self._clock(),
            EventKind.ACTION,
            "",
            f"unfinished jobs of earlier consoles were not taken up: {error.problem.what}",
            detail=str(error.problem),
            severity=Severity.ERROR,
        )

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
                if self._books.operations is not None:
                    await self._books.operations.stop()
                if self._books.runner is not None:
                    await self._books.runner.stop()
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

    def _on_jobs(self, jobs: tuple[Job, ...]) -> None:
        self._evidence.paces.take(jobs)
        self._tell(JobsReady(jobs))

    def _on_operations(
        self, operations: tuple[Operation, ...], cordons: tuple[Cordon, ...]
    ) -> None:
        self._books.cordoned = {c.host: cordon_words(c) for c in cordons}
        self._tell(OperationsReady(operations, cordons))

    def _on_snapshot(self, snapshot: FleetSnapshot) -> None:
        self._tell(SnapshotReady(snapshot))

    def _on_events(self, events: tuple[Event, ...]) -> None:
        if self._books.store is not None:
            self._books.store.put_events(events)
        self._tell(EventsReady(events))

    @property
    def maintenance(self) -> Maintenance:
        """See ``Backend.maintenance``."""
        return Maintenance(self._submit, self._books, self._answers.lease_holders)

    # -- questions and answers ----------------------------------------------------------------

    def plan(self, requests: tuple[Request, ...]) -> Future[tuple[Plan, ...]]:
        """See ``Backend.plan``."""
        return self._submit(self._answers.plan(requests))

    def run(self, plans: tuple[Plan, ...]) -> Future[tuple[str, ...]]:
        """See ``Backend.run``."""
        return self._submit(self._answers.run(plans))

    def cancel(self, job_id: str) -> Future[None]:
        """See ``Backend.cancel``."""
        return self._submit(self._answers.cancel(job_id))

    def pull(self, job_id: str, lever: Lever, value: float) -> Future[None]:
        """See ``Backend.pull``."""
        return self._submit(self._answers.pull(job_id, lever, value))

    def followup(self, job_id: str, choice: str) -> Future[tuple[Plan, ...]]:
        """See ``Backend.followup``."""
        return self._submit(self._answers.followup(job_id, choice))

    def targets(
        self, action: Action, uuid: str, disk: str = "", options: Mapping[str, str] = NO_OPTIONS
    ) -> Future[tuple[TargetFit, ...]]:
        """See ``Backend.targets``."""
        return self._submit(self._answers.targets(action, uuid, disk, options))

    def preflight(self, uuids: tuple[str, ...], hosts: tuple[str, ...]) -> Future[Matrix]:
        """See ``Backend.preflight``."""
        return self._submit(self._answers.preflight(uuids, hosts))

    def volumes_of(self, uuid: str) -> Future[tuple[Volume, ...]]:
        """See ``Backend.volumes_of``."""
        return self._submit(self._answers.volumes_of(uuid))

    def xml(self, uuid: str, inactive: bool) -> Future[str]:
        """See ``Backend.xml``."""
        return self._submit(self._answers.xml(uuid, inactive))

    def history(self, queries: tuple[HistoryQuery, ...]) -> Future[tuple[Series, ...]]:
        """See ``Backend.history``."""
        return self._submit(self._books.ask(lambda store: tuple(store.history(q) for q in queries)))

    def names(self, kind: str) -> Future[list[tuple[str, str]]]:
        """See ``Backend.names``."""
        return self._submit(self._books.ask(lambda store: store.names(kind)))

    def events(self, query: EventQuery) -> Future[tuple[Event, ...]]:
        """See ``Backend.events``."""
        return self._submit(self._books.ask(lambda store: tuple(store.events(**asdict(query)))))

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
        return self._submit(self._answers.attach_console(uuid))

    def attach_shell(self, host: str, columns: int, rows: int, term: str) -> Future[AttachedStream]:
        """See ``Backend.attach_shell``."""
        return self._submit(self._answers.attach_shell(host, columns, rows, term))

    # -- on the engine's loop -----------------------------------------------------------------

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)
