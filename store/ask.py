"""A read-only statement with its deadline and row limit."""

from __future__ import annotations

import math
import threading
from contextlib import suppress

import duckdb

from drivers.model.history import Table
from store.api import StoreError
from store.guard import check

_MOST_ROWS = 200_000
_LONGEST_S = 600.0


def ask(cursor: duckdb.DuckDBPyConnection, text: str, *, limit: int, timeout_s: float) -> Table:
    """Run one SELECT in a read-only transaction.

    Raises:
        StoreError: It is refused, wrong, or took too long.
    """
    limit = min(max(limit, 1), _MOST_ROWS)
    timeout_s = min(max(timeout_s, 0.01), _LONGEST_S)
    alarm = threading.Timer(timeout_s, cursor.interrupt)
    alarm.daemon = True
    alarm.start()
    try:
        statement = check(cursor, text)
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        cursor.execute(statement)
        columns = tuple(str(column[0]) for column in cursor.description or ())
        rows = cursor.fetchmany(limit + 1)
    except duckdb.InterruptException as error:
        raise StoreError(
            f"the statement took longer than {timeout_s:g} s",
            fix="narrow the range, or raise the timeout",
            code="timeout",
        ) from error
    except (duckdb.Error, RuntimeError, MemoryError) as error:
        raise StoreError("the statement failed", str(error).strip(), code="sql") from error
    finally:
        alarm.cancel()
        alarm.join()
        with suppress(duckdb.Error):
            cursor.rollback()
    kept = tuple(tuple(_cell(value) for value in row) for row in rows[:limit])
    return Table(columns, kept, len(rows) > limit)


def _cell(value: object) -> object:
    """A value that reads the same here and over the socket."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)
