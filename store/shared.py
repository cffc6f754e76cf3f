"""One store for several processes: the first writes, the rest go through it, and any takes over.

A lock beside the file says who writes; the kernel drops it with the process, however that ends.
Everybody else uses the writer's socket, and tries for the lock as soon as the socket falls silent.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from drivers.model.audit import Entry
from drivers.model.event import Event, EventKind, Severity
from drivers.model.history import HistoryQuery, Series, StoreStatus, Table
from drivers.model.host import Host
from drivers.model.job import Job
from store.api import StoreError
from store.client import Client, WriterGone
from store.database import open_database, prepare_folder
from store.export import write_rows
from store.ledger import Ledger, ledger_path
from store.operations import AskedOperations, Operations
from store.plain import from_plain, to_plain
from store.recorder import Recorder
from store.ring import Ring
from store.sample import pack
from store.server import Server
from store.service import Reads, Service
from store.settings import StoreSettings
from store.wire import batch_to_plain

_PATIENCE_S = 10.0  # how long a question waits for a new writer
_POLL_S = 0.5  # how often a reader looks whether the writer lives
_CHUNK = 20_000  # samples in one forwarded frame: well under the frame limit
_CLOSE_S = 10.0
_KEPT = frozenset({"locked", "disk-full"})  # reasons that pass: keep the lock, resume by itself


class SharedStore:
    """The store as one process sees it, whichever role it has.

    Args:
        path: The database file.
        settings: Limits and rhythm.
        want_writer: Take over the file when nobody writes. Otherwise the file is opened for a
            moment at each question nobody else can answer.
    """

    def __init__(self, path: Path, settings: StoreSettings, want_writer: bool) -> None:
        self._path = path
        self._settings = settings
        self._want_writer = want_writer
        self._source = uuid.uuid4().hex
        self._ledger = Ledger(ledger_path(path))
        self._ring = Ring(settings.ring)
        self._lock_fd: int | None = None
        self._recorder: Recorder | None = None
        self._service: Service | None = None
        self._server: Server | None = None
        self._told = StoreStatus(role="off", path=str(path), paused="not connected yet")
        self._stop = threading.Event()
        self._kick = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="store", daemon=True)

    def start(self) -> None:
        """Settle the first role and go on by itself.

        Raises:
            StoreError: The file can never be used as it is.
        """
        if self._want_writer:
            self._try_writer()
        if self._recorder is None:
            self._look()
        self._keeper.start()

    # --- recording -----------------------------------------------------------------------------

    def status(self) -> StoreStatus:
        """How recording stands; from memory, never blocks."""
        service = self._service
        if service is not None:
            return service.status()
        told, ring = self._told, self._ring
        return replace(
            told, pending=told.pending + ring.pending, dropped=told.dropped + ring.dropped
        )

    def put_hosts(self, at: float, hosts: Iterable[Host]) -> None:
        """Queue the fresh figures of each host and its VMs."""
        batches = [batch for host in hosts if (batch := pack(at, host)) is not None]
        self._ring.put(self._source, batches)

    def put_events(self, events: Sequence[Event]) -> None:
        """Queue events."""
        self._ring.put_events(self._source, list(events))

    def put_job(self, job: Job, beside: Sequence[str] | None = None) -> None:
        """Write a job's state and return once it is durable.

        Raises:
            StoreError: It is not durable, or another job than those ``beside`` holds its VM.
        """
        self._ask("put_job", {"job": to_plain(job), "beside": to_plain(beside)})

    @property
    def operations(self) -> Operations:
        """Operations on whole hosts, and cordons."""
        return AskedOperations(self._ask)

    def put_audit(self, entry: Entry, *, once: bool = False) -> Entry:
        """Add to the audit ledger beside the file, whoever writes that; durable on return.

        Args:
            once: An entry of that deed, job and title that is there already is returned instead.

        Raises:
            StoreError: It is not durable.
        """
        return self._ledger.append(entry, once=once)

    # --- reading -------------------------------------------------------------------------------

    def jobs(
        self, *, limit: int = 200, unfinished: bool = False, failed: bool = False
    ) -> list[Job]:
        """Jobs, newest first: all, those that have not ended, or those that failed undecided."""
        rows = self._ask("jobs", {"limit": limit, "unfinished": unfinished, "failed": failed})
        return [from_plain(Job, row) for row in rows]

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
        """Events, newest first; ``vm`` is a UUID or a name."""
        args = {"since": since, "until": until, "limit": limit, "host": host, "vm": vm,
                "kind": kind or "", "least": str(least)}  # fmt: skip
        rows = self._ask("events", args)
        return [from_plain(Event, row) for row in rows]

    def history(self, query: HistoryQuery) -> Series:
        """One metric over a range, from the finest table that covers it."""
        return from_plain(Series, self._ask("history", {"query": to_plain(query)}))

    def names(self, kind: str) -> list[tuple[str, str]]:
        """(identity, newest name) of every recorded ``vm`` or ``host``."""
        return [(ident, name) for ident, name in self._ask("names", {"kind": kind})]

    def placements(self, uuid: str) -> list[tuple[float, str, str]]:
        """(since, host, state) of a VM over time, oldest first."""
        return [(at, host, state) for at, host, state in self._ask("placements", {"uuid": uuid})]

    def sql(self, text: str, *, limit: int = 10_000, timeout_s: float = 30.0) -> Table:
        """Run one read-only statement over the recorded views."""
        args = {"text": text, "limit": limit, "timeout_s": timeout_s}
        table = self._ask("sql", args, timeout_s + 10.0)
        rows = tuple(tuple(row) for row in table["rows"])
        return Table(tuple(table["columns"]), rows, table["truncated"])

    def export(self, queries: Sequence[HistoryQuery], path: Path) -> int:
        """Write the recorded rows of all queries to a .csv or .parquet file; returns how many."""
        found = [(q.metric, self._ask("samples", {"query": to_plain(q)})) for q in queries]
        return write_rows(found, path)

    def close(self) -> None:
        """Flush and let go; a reader takes over the file if one waits."""
        self._stop.set()
        self._kick.set()
        if self._recorder is not None:
            self._recorder.wake()
        self._keeper.join(_CLOSE_S)

    # --- roles ---------------------------------------------------------------------------------

    def _keep(self) -> None:
        while not self._stop.is_set():
            if self._recorder is not None:
                self._recorder.run(self._stop, self._retire)
                self._release()
                return
            try:
                self._follow()
                if self._want_writer and not self._stop.is_set():
                    self._try_writer()
            except StoreError as error:
                self._told = self._off(str(error.problem))
            if self._recorder is None:
                self._pause(self._settings.retry_s / 5)

    def _try_writer(self) -> None:
        """Take the lock, the file and the socket, unless another process has the lock.

        Raises:
            StoreError: The file cannot be used, and waiting will not change that.
        """
        if not self._take_lock():
            return
        recorder = Recorder(self._path, self._settings, self._ring)
        try:
            try:
                recorder.open()
            except StoreError as error:
                if error.problem.code not in _KEPT:
                    raise
                recorder.paused = error.problem.what
            service = Service(recorder)
            server = Server(self._socket_path, service, self._settings.group)
            server.start()
        except BaseException:
            recorder.close()
            self._release()
            raise
        self._server, self._service, self._recorder = server, service, recorder

    def _look(self) -> None:
        """Learn at once who writes, if somebody does."""
        with suppress(WriterGone, StoreError, ValueError):
            told = from_plain(StoreStatus, self._ask_writer("status", {}, 2.0))
            self._told = replace(told, role="reader", read_only=self._foreign)

    def _retire(self) -> None:
        """Stop serving before the last flush, so that readers line up for the lock."""
        self._service = None
        self._told = self._off("closed")
        if self._server is not None:
            self._server.close()

    def _follow(self) -> None:
        """Forward what waits to the writer and learn how it stands, until it is gone."""
        try:
            client = Client(self._socket_path, self._source)
        except WriterGone as gone:
            self._told = self._off(f"nobody records: {gone}")
            return
        try:
            while True:
                self._forward(client)
                told = from_plain(StoreStatus, client.ask("status", {}, _PATIENCE_S))
                self._told = replace(told, role="reader", read_only=self._foreign)
                if self._stop.is_set():
                    return
                self._pause(_POLL_S)
        except WriterGone:
            self._told = self._off("the recorder ended")
        except ValueError as error:
            raise StoreError("the recorder's answer makes no sense", str(error)) from error
        finally:
            client.close()

    def _forward(self, client: Client) -> None:
        while self._ring:
            load = self._ring.take(_CHUNK)
            try:
                batches = [batch_to_plain(batch) for _, batch in load.batches]
                if batches:
                    client.ask("put", {"batches": batches}, _PATIENCE_S)
                if load.events:
                    events = [to_plain(event) for _, event in load.events]
                    client.ask("put_events", {"events": events}, _PATIENCE_S)
            except WriterGone:
                self._ring.give_back(load)
                raise

    def _ask(self, op: str, args: Mapping[str, Any], timeout_s: float = 60.0) -> Any:
        """Ask whoever holds the file, waiting out a change of writer.

        Raises:
            StoreError: The question was refused, or nobody could answer it.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            service = self._service
            if service is not None:
                return service.answer(op, args, self._source)
            try:
                return self._ask_writer(op, args, timeout_s)
            except WriterGone as gone:
                if not self._want_writer and self._take_lock():
                    return self._read_directly(op, args)
                if time.monotonic() > deadline or self._stop.is_set():
                    raise StoreError(
                        "nobody records history now",
                        self._told.paused or str(gone),
                        "start the console or novacron record",
                        "no-writer",
                    ) from gone
            self._kick.set()
            self._stop.wait(0.05)

    def _ask_writer(self, op: str, args: Mapping[str, Any], timeout_s: float) -> Any:
        client = Client(self._socket_path, self._source)
        try:
            return client.ask(op, args, timeout_s)
        finally:
            client.close()

    def _read_directly(self, op: str, args: Mapping[str, Any]) -> Any:
        """Open the file for one question; the lock is held and let go at the end."""
        try:
            if not self._path.exists():
                raise StoreError(
                    "nothing was recorded yet", str(self._path), "start the console", "no-writer"
                )
            database = open_database(self._path, self._settings)
            try:
                return Reads(self._settings).answer(database, op, args)
            finally:
                database.close()
        finally:
            self._release()

    @property
    def _socket_path(self) -> Path:
        return self._path.with_name(self._path.name + ".sock")

    @property
    def _foreign(self) -> bool:
        """Whether the writer is another user, who lets us read and record, and no more."""
        try:
            return self._socket_path.stat().st_uid != os.geteuid()
        except OSError:
            return False

    def _take_lock(self) -> bool:
        """True when this process now is the only one that may open the file."""
        prepare_folder(self._path, self._settings)
        lock = self._path.with_name(self._path.name + ".lock")
        try:
            fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError:
            return False  # somebody else's store: reading through the socket is all there is
        except OSError as error:
            raise StoreError(f"cannot lock {lock}", str(error), code="unusable") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self._lock_fd = fd
        return True

    def _release(self) -> None:
        fd, self._lock_fd = self._lock_fd, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)

    def _off(self, why: str) -> StoreStatus:
        return StoreStatus(role="off", path=str(self._path), paused=why)

    def _pause(self, seconds: float) -> None:
        self._kick.wait(seconds)
        self._kick.clear()
