"""The one writer of the file: commits what the ring holds, keeps house, survives a full disk."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path

import duckdb

from drivers.model.job import Job
from store.api import StoreError
from store.book import Book, Leases
from store.clock import KeepingClock
from store.commit import JobRow, JobWrite, Seen, Write, commit
from store.database import Database, explain, is_fatal, open_database
from store.plain import to_plain
from store.ring import Load, Ring
from store.sample import plain
from store.settings import StoreSettings
from store.upkeep import pack

_JOB_S = 20.0  # a job waits so long for its commit: an hour's packing may be under way
_TRIES = 3
_FULL_LOAD = 50_000
_REST_S = 10.0  # between attempts at packing that failed


class Recorder:
    """Owns the open database on the writing side. ``run`` is the writer thread's whole life.

    Args:
        path: The database file.
        settings: Limits and rhythm.
        ring: Where samples and events wait.
    """

    def __init__(self, path: Path, settings: StoreSettings, ring: Ring) -> None:
        self.path = path
        self.settings = settings
        self.ring = ring
        self.paused = ""
        self._warning = ""
        self._keeping = KeepingClock(settings)
        self._database: Database | None = None
        self._book = Book()
        self._leases = Leases(settings.lease_s)
        self._seen = Seen()
        self._jobs: list[tuple[Write, Future[None]]] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._hit_wall = False
        self._failures = 0
        self._next_pack = 0.0

    @property
    def warning(self) -> str:
        """What the user must know; empty when there is nothing."""
        return "; ".join(text for text in (self._keeping.warning, self._warning) if text)

    @property
    def database(self) -> Database:
        """The open file.

        Raises:
            StoreError: It is closed for now; says why.
        """
        if self._database is None:
            raise StoreError(
                "history cannot be read now", self.paused, "it resumes by itself", "paused"
            )
        return self._database

    def open(self) -> None:
        """Open or make the file.

        Raises:
            StoreError: As ``open_database``.
        """
        database = open_database(self.path, self.settings)
        try:
            with database.cursor() as cursor:
                self._book.load(cursor)
                self._keeping.load(cursor)
        except (duckdb.Error, StoreError) as error:
            database.close()
            raise explain(error, self.path) from error
        self._warning = database.warning or self._warning
        self._database = database

    def wake(self) -> None:
        """Look at the ring at once."""
        self._wake.set()

    def put_job(self, job: Job, beside: Sequence[str] | None = None) -> None:
        """Write a job's state; returns once it is durable. ``beside`` as in ``Store.put_job``.

        Raises:
            StoreError: It is not durable, or another job holds its VM (code ``busy``).
        """
        self.write(JobWrite(_job_row(job), None if beside is None else frozenset(beside)))

    def write(self, write: Write) -> None:
        """Write one change; returns once it is durable.

        Raises:
            StoreError: It is not durable, or it was kept out.
        """
        done: Future[None] = Future()
        with self._lock:
            if self._closed:
                raise StoreError("the store was closed", code="closed")
            self._jobs.append((write, done))
        self._wake.set()
        try:
            done.result(_JOB_S)
        except FutureTimeout:
            raise StoreError(
                "the job could not be journaled in time", f"{_JOB_S:g} s passed", code="timeout"
            ) from None

    def run(self, stop: threading.Event, retire: Callable[[], None]) -> None:
        """Commit, pack and resume until ``stop`` is set; then ``retire``, flush and close."""
        deadline = time.monotonic() + self.settings.commit_s
        while not stop.is_set():
            self._wake.wait(max(0.0, deadline - time.monotonic()))
            self._wake.clear()
            due = time.monotonic() >= deadline
            if due or self._jobs or self.ring.pending >= _FULL_LOAD:
                self.step()
            if due:
                pause = self.settings.retry_s if self.paused else self.settings.commit_s
                deadline = time.monotonic() + pause
        retire()
        self.step(last=True)
        self.close()

    def close(self) -> None:
        """Let go of the file; jobs that still wait are told that they are not durable."""
        with self._lock:
            self._closed = True
        database, self._database = self._database, None
        self._fail_jobs(StoreError("the store was closed", code="closed"))
        if database is not None:
            database.close()

    def step(self, *, last: bool = False) -> None:
        """One round: resume if paused, commit what waits, and pack when an hour ended."""
        if not self._ready():
            self._fail_jobs(StoreError("the journal cannot be written", self.paused, code="paused"))
            return
        while self.ring or self._jobs:
            if not self._commit_some():
                return
        self._keeping.now()
        if not last and self.settings.ticks() >= self._next_pack:
            self._pack()

    def _ready(self) -> bool:
        free = _free_bytes(self.path)
        if free < self.settings.free_bytes:
            self.paused = f"disk full: {free // 2**20} MiB free for {self.path}"
            return False
        if self._database is None:
            try:
                self.open()
            except StoreError as error:
                self.paused = str(error.problem.what)
                return False
        if not self._hit_wall:
            self.paused = ""
        return True

    def _commit_some(self) -> bool:
        load = self.ring.take()
        with self._lock:
            jobs, self._jobs = self._jobs, []
        try:
            with self.database.cursor() as cursor:
                commit(cursor, self._book, self._leases, self._seen, load, [job for job, _ in jobs])
        except (duckdb.Error, StoreError, ValueError) as error:
            self._failed(error, load, jobs)
            return False
        self._failures = 0
        self._hit_wall = False
        self.paused = ""
        _keep_private(self.path.with_name(self.path.name + ".wal"))
        for job, done in jobs:
            if job.holder:
                done.set_exception(job.refusal())
            else:
                done.set_result(None)
        return True

    def _failed(self, error: Exception, load: Load, jobs: list[tuple[Write, Future[None]]]) -> None:
        problem = explain(error, self.path)
        for _, done in jobs:
            done.set_exception(problem)
        self._failures += 1
        if isinstance(error, duckdb.Error) and is_fatal(error):
            self.ring.give_back(load)
            self._suspend(problem)
        elif self._failures < _TRIES or isinstance(error, duckdb.OutOfMemoryException):
            self.ring.give_back(load)
        else:
            self._failures = 0
            self.ring.dropped += load.samples
            self._warning = f"{load.samples} samples were refused: {problem.problem.proof}"

    def _suspend(self, problem: StoreError) -> None:
        """Close the invalid file; ``_ready`` opens it again as soon as that works."""
        self.paused = str(problem.problem.what)
        self._hit_wall = True
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _pack(self) -> None:
        try:
            with self.database.cursor() as cursor:
                pack(cursor, self.settings, self._keeping, self._book)
        except StoreError:
            return
        except duckdb.Error as error:
            problem = explain(error, self.path)
            if is_fatal(error):
                self._suspend(problem)
            else:
                self._warning = f"packing failed: {problem.problem.proof}"
                self._next_pack = self.settings.ticks() + _REST_S

    def _fail_jobs(self, problem: StoreError) -> None:
        with self._lock:
            jobs, self._jobs = self._jobs, []
        for _, done in jobs:
            done.set_exception(problem)


def _free_bytes(path: Path) -> int:
    with suppress(OSError):
        return shutil.disk_usage(path.parent).free
    return 0


def _keep_private(log: Path) -> None:
    """DuckDB makes its log anew after each checkpoint, with the process's mask."""
    with suppress(OSError):
        if log.stat().st_mode & 0o077:
            log.chmod(0o600)


def _job_row(job: Job) -> JobRow:
    request = job.plan.request
    return (
        plain(job.id),
        job.created_at,
        job.ended_at,
        job.state.value,
        job.state.ended,
        request.action.value,
        plain(request.uuid),
        plain(job.plan.vm_name),
        plain(job.plan.host),
        plain(job.plan.title),
        json.dumps(to_plain(job)),
    )
