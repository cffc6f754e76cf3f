"""Every question the store answers, for this process and over the socket alike.

Arguments and answers are JSON values, so both ends are one code path.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import duckdb

from drivers.model.event import Event, Severity
from drivers.model.history import HistoryQuery, StoreStatus
from drivers.model.job import Job
from store import operations, queries
from store.api import StoreError
from store.ask import ask
from store.database import Database, explain
from store.plain import from_plain, to_plain
from store.recorder import Recorder
from store.settings import StoreSettings
from store.wire import batch_from_plain, finite

Args = Mapping[str, Any]
_OWN = frozenset({"put_job", *operations.WRITES})


class Reads:
    """Questions that only read one open database."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._ops: dict[str, Callable[[duckdb.DuckDBPyConnection, Args], object]] = {
            "jobs": self._jobs,
            "events": self._events,
            "history": lambda c, a: queries.history(c, _query(a), self._settings),
            "samples": lambda c, a: queries.samples(c, _query(a), self._settings),
            "names": lambda c, a: queries.names(c, str(a["kind"])),
            "placements": lambda c, a: queries.placements(c, str(a["uuid"])),
            "sql": self._sql,
            **operations.READS,
        }

    def answer(self, database: Database, op: str, args: Args) -> Any:
        """The answer as JSON values.

        Raises:
            StoreError: The question makes no sense, or it could not be answered.
        """
        if op not in self._ops:
            raise StoreError(f"unknown request {op[:40]}", code="bad-request")
        try:
            with database.cursor() as cursor:
                return to_plain(self._ops[op](cursor, args))
        except duckdb.Error as error:
            raise explain(error, database.path) from error
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise StoreError(
                "the request makes no sense", str(error), code="bad-request"
            ) from error

    def _jobs(self, cursor: duckdb.DuckDBPyConnection, args: Args) -> object:
        limit, failed = int(finite(args["limit"])), args.get("failed") is True
        return queries.jobs(
            cursor, limit=limit, unfinished=args["unfinished"] is True, failed=failed
        )

    def _events(self, cursor: duckdb.DuckDBPyConnection, args: Args) -> object:
        return queries.events(
            cursor,
            since=finite(args["since"]),
            limit=int(finite(args["limit"])),
            host=str(args["host"]),
            vm=str(args["vm"]),
            until=None if args.get("until") is None else finite(args["until"]),
            kind=str(args.get("kind", "")),
            least=Severity(args.get("least", Severity.INFO)),
        )

    def _sql(self, cursor: duckdb.DuckDBPyConnection, args: Args) -> object:
        return ask(
            cursor,
            str(args["text"]),
            limit=int(finite(args["limit"])),
            timeout_s=finite(args["timeout_s"]),
        )


class Service:
    """All questions, answered by the process that holds the file."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._reads = Reads(recorder.settings)
        self._writes: dict[str, Callable[[Args, str], object]] = {
            "status": lambda _args, _source: self.status(),
            "put": self._put,
            "put_events": self._put_events,
            "put_job": self._put_job,
        }

    def answer(self, op: str, args: Args, source: str, *, own: bool = True) -> Any:
        """The answer as JSON values.

        Args:
            own: The store's own user asks. Others, let in by the configured group, read and
                record; a job in the journal makes consoles act, so theirs are refused.

        Raises:
            StoreError: The question makes no sense, or it could not be answered.
        """
        if op in _OWN and not own:
            raise StoreError(
                "only the user whose history this is may run jobs on it",
                f"{self._recorder.path} belongs to another user",
                "record to a history of your own ([history] path), or act as that user",
                "forbidden",
            )
        if op in operations.WRITES:
            return self._change(op, args)
        write = self._writes.get(op)
        if write is None:
            return self._reads.answer(self._recorder.database, op, args)
        try:
            return to_plain(write(args, source))
        except (KeyError, ValueError, TypeError) as error:
            raise StoreError(
                "the request makes no sense", str(error), code="bad-request"
            ) from error

    def status(self) -> StoreStatus:
        """How recording stands, from memory alone."""
        recorder = self._recorder
        try:
            size = recorder.path.stat().st_size
        except OSError:
            size = 0
        return StoreStatus(
            role="writer",
            path=str(recorder.path),
            writer_pid=os.getpid(),
            paused=recorder.paused,
            warning=recorder.warning,
            size=size,
            pending=recorder.ring.pending,
            dropped=recorder.ring.dropped,
        )

    def _change(self, op: str, args: Args) -> None:
        try:
            write = operations.WRITES[op](args)
        except (KeyError, ValueError, TypeError) as error:
            raise StoreError(
                "the request makes no sense", str(error), code="bad-request"
            ) from error
        self._recorder.write(write)

    def _put(self, args: Args, source: str) -> None:
        self._recorder.ring.put(source, [batch_from_plain(b) for b in args["batches"]])

    def _put_events(self, args: Args, source: str) -> None:
        events = [from_plain(Event, e) for e in args["events"]]
        self._recorder.ring.put_events(source, events)

    def _put_job(self, args: Args, _source: str) -> None:
        beside = args.get("beside")
        known = None if beside is None else [str(ident) for ident in beside]
        self._recorder.put_job(from_plain(Job, args["job"]), known)


def _query(args: Args) -> HistoryQuery:
    query = from_plain(HistoryQuery, args["query"])
    finite(query.since)
    finite(query.until)
    return query
