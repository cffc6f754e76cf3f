"""One transaction from memory to disk: samples, placements, events, jobs and operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import duckdb
import numpy as np

from drivers.model.event import Event
from store.api import StoreError
from store.book import Book, Leases, insert
from store.metrics import HOST, VM, Subject, encode
from store.ring import Load
from store.sample import HostBatch, plain

_SAME_EVENT_S = 5.0  # two consoles tell of the same libvirt event within this time
JobRow = tuple[object, ...]
_MADE, _VM = 1, 6  # places of the moment a job was made and of its VM's UUID in a row


class Write(Protocol):
    """One change that must be durable before anybody acts on it."""

    @property
    def holder(self) -> str:
        """Who kept it out; empty once it is written."""
        ...

    def apply(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Write it, unless another holds what it is about."""
        ...

    def refusal(self) -> StoreError:
        """Why it was kept out."""
        ...


@dataclass(slots=True)
class JobWrite:
    """A job to write.

    Attributes:
        row: Its columns; the first is its id.
        beside: Ids of the only unfinished jobs of its VM beside which it may begin; None for a job
            that has begun.
        holder: Id of the job that kept it out; empty once it is written.
    """

    row: JobRow
    beside: frozenset[str] | None = None
    holder: str = ""

    def apply(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Write it, unless another job holds its VM."""
        self.holder = _holder(cursor, self)
        if not self.holder:
            _write_job(cursor, self.row)

    def refusal(self) -> StoreError:
        """Why it was kept out."""
        return StoreError("another job of this VM was begun meanwhile", self.holder, code="busy")


@dataclass(slots=True)
class Seen:
    """Events told lately, so that what two consoles both saw is written once."""

    _told: dict[tuple[str, str, str, str], tuple[str, float]] = field(default_factory=dict)

    def first(self, source: str, event: Event) -> bool:
        """False when another source told of the same thing just now."""
        key = (event.host, event.vm, event.change or event.kind.value, event.text)
        told = self._told.get(key)
        if len(self._told) > 2000:
            self._told.clear()
        self._told[key] = (source, event.at)
        if told is None or told[0] == source:
            return True
        return abs(event.at - told[1]) > _SAME_EVENT_S


def commit(
    cursor: duckdb.DuckDBPyConnection,
    book: Book,
    leases: Leases,
    seen: Seen,
    load: Load,
    writes: Sequence[Write] = (),
) -> None:
    """Write all of it or nothing; the book is right again in both cases.

    A new job whose VM is held by another one is left out, and told so by its ``holder``; so is any
    other change that somebody holds off.

    Raises:
        duckdb.Error: Nothing was written.
    """
    try:
        cursor.begin()
        granted = [b for source, b in load.batches if leases.grant(b.host, source, b.at)]
        _write_samples(cursor, book, granted)
        book.write(cursor)
        rows = [_event_row(e) for source, e in load.events if seen.first(source, e)]
        if rows:
            insert(cursor, "rec.event", rows)
        for write in writes:
            write.apply(cursor)
        cursor.commit()
    except BaseException:
        _undo(cursor, book)
        raise
    book.written()


def _undo(cursor: duckdb.DuckDBPyConnection, book: Book) -> None:
    try:
        cursor.rollback()
        book.load(cursor)
    except duckdb.Error:
        return  # the file is invalid now: reopening it loads the book


def _write_samples(
    cursor: duckdb.DuckDBPyConnection, book: Book, batches: Sequence[HostBatch]
) -> None:
    if not batches:
        return
    hosts = [b for b in batches if b.load]
    if hosts:
        figures = np.frombuffer(b"".join(b.load.tobytes() for b in hosts), dtype=np.float32)
        ids = np.array([book.host_id(b.host, b.at) for b in hosts], dtype=np.int32)
        _append(cursor, HOST, [b.at for b in hosts], ids, figures)
    ids = np.array([number for b in batches for number in book.accept(b)], dtype=np.int32)
    if ids.size:
        figures = np.frombuffer(b"".join(b.figures.tobytes() for b in batches), dtype=np.float32)
        times = np.repeat([b.at for b in batches], [len(b.vms) for b in batches])
        _append(cursor, VM, times, ids, figures)
    book.settle(batches[-1].at)


def _append(
    cursor: duckdb.DuckDBPyConnection,
    subject: Subject,
    times: Sequence[float] | np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ids: np.ndarray[tuple[int, ...], np.dtype[np.int32]],
    flat: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> None:
    """Append the rows that have an id and at least one figure."""
    figures = flat.reshape(len(ids), len(subject.metrics))
    keep = (ids > 0) & ~np.isnan(figures).all(axis=1)
    columns: dict[str, object] = {
        "ts": np.asarray(times, dtype=np.float64)[keep].astype(np.uint32),
        subject.kind: ids[keep],
    }
    kept = figures[keep]
    for index, metric in enumerate(subject.metrics):
        columns[metric] = np.ascontiguousarray(kept[:, index])
    cursor.register("incoming", columns)
    codes = ", ".join(encode(m, m) for m in subject.metrics)
    cursor.execute(
        f"INSERT INTO rec.{subject.kind}_live SELECT ts, {subject.kind}, {codes} FROM incoming"
    )
    cursor.unregister("incoming")


def _event_row(event: Event) -> tuple[object, ...]:
    words = (event.host, event.vm, event.vm_name, event.text, event.detail, event.change)
    return (event.at, event.kind.value, event.severity.value, *(plain(w) for w in words))


def _holder(cursor: duckdb.DuckDBPyConnection, job: JobWrite) -> str:
    """The job of the same VM that a new one may not begin beside; empty without one.

    It is unfinished, or has ended since the new one was made: what that rests on may be gone.
    """
    if job.beside is None:
        return ""
    found = cursor.execute(
        "SELECT id FROM rec.job WHERE vm = ? AND id <> ? AND (NOT ended OR ended_at > ?)"
        " ORDER BY id",
        [job.row[_VM], job.row[0], job.row[_MADE]],
    ).fetchall()
    return next((str(ident) for (ident,) in found if ident not in job.beside), "")


def _write_job(cursor: duckdb.DuckDBPyConnection, row: JobRow) -> None:
    cursor.execute("DELETE FROM rec.job WHERE id = ?", [row[0]])
    marks = ", ".join("?" * len(row))
    cursor.execute(f"INSERT INTO rec.job VALUES ({marks})", list(row))
