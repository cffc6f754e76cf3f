"""What the App may ask of everything behind it, and what it is told.

The backend lives in a thread and event loop of its own. Its methods are thread-safe and return at
once; answers are futures. News goes to ``publish``, called from the backend's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from console.maintenance import Maintenance
from drivers.model.ask import KeyDecision, Question
from drivers.model.event import Event, EventQuery
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import HistoryQuery, Series, StoreStatus
from drivers.model.job import Action, Job, Plan, Request, TargetFit
from drivers.model.matrix import Matrix
from drivers.model.migration import Lever
from drivers.model.operation import Cordon, Operation
from drivers.model.storage import Volume
from drivers.protocol import ByteStream

NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SnapshotReady:
    """A newer picture of the fleet; an older one not yet shown may be dropped."""

    snapshot: FleetSnapshot


@dataclass(frozen=True, slots=True)
class JobsReady:
    """All jobs of this session and the unfinished ones of earlier sessions, newest first."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class OperationsReady:
    """Operations of all consoles, newest first, and all cordons."""

    operations: tuple[Operation, ...]
    cordons: tuple[Cordon, ...]


@dataclass(frozen=True, slots=True)
class EventsReady:
    """Events that just happened, oldest first."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class StoreReady:
    """Recording changed its state."""

    status: StoreStatus


@dataclass(frozen=True, slots=True)
class QuestionAsked:
    """A person must decide; answer with ``answer_host_key`` or ``answer_secret``."""

    question: Question


@dataclass(frozen=True, slots=True)
class QuestionSettled:
    """The question needs no answer any more (the host went away, the deadline passed)."""

    question_id: str


News = (
    SnapshotReady
    | JobsReady
    | OperationsReady
    | EventsReady
    | StoreReady
    | QuestionAsked
    | QuestionSettled
)


class Backend(Protocol):
    """Everything the App needs; failures arrive as DriverError or StoreError in the futures."""

    def start(self, publish: Callable[[News], None]) -> None:
        """Begin to connect, poll and record."""
        ...

    def stop(self) -> None:
        """Let go of hosts and store within two seconds; running jobs are left to the journal."""
        ...

    @property
    def maintenance(self) -> Maintenance:
        """Cordons, and operations on whole hosts."""
        ...

    def plan(self, requests: tuple[Request, ...]) -> Future[tuple[Plan, ...]]:
        """One plan a request, from the newest snapshot. A refused one carries its refusal."""
        ...

    def run(self, plans: tuple[Plan, ...]) -> Future[tuple[str, ...]]:
        """Start a job for each plan; returns the ids once all are journaled.

        Of several plans those that cannot start become error events, and the others run.
        """
        ...

    def cancel(self, job_id: str) -> Future[None]:
        """Stop a running job; its outcome arrives as news."""
        ...

    def pull(self, job_id: str, lever: Lever, value: float) -> Future[None]:
        """Pull a lever of a running migration; a value of 0 takes the one that is offered."""
        ...

    def followup(self, job_id: str, choice: str) -> Future[tuple[Plan, ...]]:
        """Plans for what an ended job offers; empty when nothing needs a preview.

        The id may be an operation's: then ``finish`` plans to finish all its jobs that are done.
        """
        ...

    def targets(
        self, action: Action, uuid: str, disk: str = "", options: Mapping[str, str] = NO_OPTIONS
    ) -> Future[tuple[TargetFit, ...]]:
        """Where a VM (MIGRATE) or a disk (TIER) could go with these options, fits first."""
        ...

    def preflight(self, uuids: tuple[str, ...], hosts: tuple[str, ...]) -> Future[Matrix]:
        """These VMs against these hosts (none: all), every check made that can be made."""
        ...

    def volumes_of(self, uuid: str) -> Future[tuple[Volume, ...]]:
        """Volumes behind a VM's disks, for the delete dialog."""
        ...

    def xml(self, uuid: str, inactive: bool) -> Future[str]:
        """Domain XML."""
        ...

    def history(self, queries: tuple[HistoryQuery, ...]) -> Future[tuple[Series, ...]]:
        """Recorded series, in the order asked."""
        ...

    def names(self, kind: str) -> Future[list[tuple[str, str]]]:
        """(identity, name) of everything recorded: ``vm`` or ``host``."""
        ...

    def events(self, query: EventQuery) -> Future[tuple[Event, ...]]:
        """Recorded events, newest first, for reading further back than the news goes."""
        ...

    def refresh(self, host: str = "") -> None:
        """Read again now, closing an open circuit breaker."""
        ...

    def pause(self, paused: bool) -> None:
        """Stop or resume polling; connections stay."""
        ...

    def answer_host_key(self, question_id: str, decision: KeyDecision) -> None:
        """Pass on a decision."""
        ...

    def answer_secret(self, question_id: str, answers: tuple[str, ...] | None) -> None:
        """Pass on answers; they are not kept."""
        ...

    def attach_console(self, uuid: str) -> Future[AttachedStream]:
        """Open a VM's serial console for the terminal."""
        ...

    def attach_shell(self, host: str, columns: int, rows: int, term: str) -> Future[AttachedStream]:
        """Open a shell on a host for the terminal."""
        ...


@dataclass(frozen=True, slots=True)
class AttachedStream:
    """A byte stream whose coroutines run on the backend's loop, used from another thread."""

    stream: ByteStream
    run: Callable[..., Future[bytes]]
    title: str
