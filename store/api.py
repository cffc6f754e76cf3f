"""The interface of recorded history, the same for the owner of the file and all others.

All methods are thread-safe and blocking unless said otherwise; the console calls the blocking ones
from a lane. Both ends raise ``StoreError`` and nothing else of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from drivers.model.audit import Entry
from drivers.model.event import Event, EventKind, Severity
from drivers.model.history import HistoryQuery, Series, StoreStatus, Table
from drivers.model.host import Host
from drivers.model.job import Job
from drivers.model.problem import Problem

if TYPE_CHECKING:
    from store.operations import Operations


class StoreError(Exception):
    """A request the store refused or could not answer."""

    def __init__(self, what: str, proof: str = "", fix: str = "", code: str = "store") -> None:
        super().__init__(what)
        self.problem = Problem(what, proof, fix, code)

    def __str__(self) -> str:
        return str(self.problem)


class Store(Protocol):
    """Telemetry, events and the job journal."""

    def status(self) -> StoreStatus:
        """How recording stands; never blocks."""
        ...

    def put_hosts(self, at: float, hosts: Iterable[Host]) -> None:
        """Queue one sample of each host and of each of its VMs; never blocks, never raises.

        Only values fresh at ``at`` are recorded: a stale value leaves a gap.
        """
        ...

    def put_events(self, events: Sequence[Event]) -> None:
        """Queue events; never blocks, never raises."""
        ...

    def put_job(self, job: Job, beside: Sequence[str] | None = None) -> None:
        """Write a job's state and return once it is durable. Raises StoreError if it is not.

        Args:
            beside: For a new job: ids of the unfinished jobs of its VM that do not hinder it. With
                any other that is unfinished, or has ended since this one was made, nothing is
                written and the error's code is ``busy``. The look and the write are one step,
                whichever console writes.
        """
        ...

    @property
    def operations(self) -> Operations:
        """Operations on whole hosts, and cordons."""
        ...

    def put_audit(self, entry: Entry, *, once: bool = False) -> Entry:
        """Add to the audit ledger, durable on return. Raises StoreError if it is not.

        Args:
            once: An entry of that deed, job and title that is there already stands.

        Returns:
            The entry as the ledger has it.
        """
        ...

    def jobs(
        self, *, limit: int = 200, unfinished: bool = False, failed: bool = False
    ) -> list[Job]:
        """Jobs, newest first: all, those that have not ended, or those that failed undecided."""
        ...

    def events(
        self,
        *,
        since: float = 0.0,
        until: float | None = None,
        limit: int = 1000,
        host: str = "",
        vm: str = "",
        kind: EventKind | None = None,
        least: Severity = Severity.INFO,
    ) -> list[Event]:
        """Events from ``since`` to ``until``, at least so severe, newest first."""
        ...

    def history(self, query: HistoryQuery) -> Series:
        """One metric over a range, from the finest table that covers it."""
        ...

    def names(self, kind: str) -> list[tuple[str, str]]:
        """(identity, newest name) of every recorded ``vm`` or ``host``."""
        ...

    def placements(self, uuid: str) -> list[tuple[float, str, str]]:
        """(since, host, state) of a VM over time, oldest first."""
        ...

    def sql(self, text: str, *, limit: int = 10_000, timeout_s: float = 30.0) -> Table:
        """Run one read-only statement over the recorded views."""
        ...

    def export(self, queries: Sequence[HistoryQuery], path: Path) -> int:
        """Write the recorded rows of all queries to a .csv or .parquet file; returns how many."""
        ...

    def close(self) -> None:
        """Flush and let go; a reader takes over the file if one waits."""
        ...
