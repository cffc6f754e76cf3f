"""Where news from the backend waits for the interface, the newest in place of the older."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from console.backend import (
    EventsReady,
    JobsReady,
    News,
    OperationsReady,
    QuestionAsked,
    QuestionSettled,
    SnapshotReady,
    StoreReady,
)
from drivers.model.event import Event
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import StoreStatus
from drivers.model.job import Job
from screens.base import View

EVENTS_KEPT = 2000
"""Events held for the screens; older ones are in the history."""


@dataclass(slots=True)
class Batch:
    """All that is new since the last look; None where nothing is."""

    snapshot: FleetSnapshot | None = None
    jobs: tuple[Job, ...] | None = None
    operations: OperationsReady | None = None
    events: tuple[Event, ...] = ()
    store: StoreStatus | None = None
    questions: tuple[QuestionAsked | QuestionSettled, ...] = ()


class Inbox:
    """Thread-safe; ``put`` from any thread, ``take`` from the interface's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batch = Batch()
        self._waiting = False

    def put(self, news: News) -> bool:
        """Keep news; True when the interface is not yet told that something waits."""
        with self._lock:
            self._keep(news)
            wake, self._waiting = not self._waiting, True
            return wake

    def take(self) -> Batch:
        """Everything that waits."""
        with self._lock:
            batch, self._batch, self._waiting = self._batch, Batch(), False
            return batch

    def _keep(self, news: News) -> None:
        batch = self._batch
        match news:
            case SnapshotReady(snapshot):
                batch.snapshot = snapshot
            case JobsReady(jobs):
                batch.jobs = jobs
            case OperationsReady():
                batch.operations = news
            case EventsReady(events):
                batch.events = (batch.events + events)[-EVENTS_KEPT:]
            case StoreReady(status):
                batch.store = status
            case QuestionAsked() | QuestionSettled():
                batch.questions += (news,)


def applied(
    batch: Batch, view: View, now: float, trends: Mapping[str, tuple[float | None, ...]]
) -> View:
    """The view after the news of a batch."""
    return replace(
        view,
        now=now,
        snapshot=batch.snapshot or view.snapshot,
        jobs=view.jobs if batch.jobs is None else batch.jobs,
        operations=batch.operations.operations if batch.operations else view.operations,
        cordons=batch.operations.cordons if batch.operations else view.cordons,
        events=(view.events + batch.events)[-EVENTS_KEPT:] if batch.events else view.events,
        store=batch.store or view.store,
        trends=trends,
    )
