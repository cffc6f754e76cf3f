"""A read-only statement with its deadline and row limit."""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from datetime import datetime

import duckdb

from drivers.model.history import Table
from store.api import StoreError
from store.guard import check

_MOST_ROWS = 200_000
_LONGEST_S = 600.0
_ZONED = "TIMESTAMP WITH TIME ZONE"


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
        _drop_zones(cursor, statement)
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


def _drop_zones(cursor: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Ask again where a column is a time with a zone, such as ``to_timestamp(ts)``: without it.

    DuckDB fetches such a time only through a package that nothing else here needs. The session
    is in UTC, so nothing is lost.
    """
    kinds = [str(column[1]) for column in cursor.description or ()]
    if _ZONED not in kinds:
        return
    cells = [f"CAST(c{n} AS TIMESTAMP)" if k == _ZONED else f"c{n}" for n, k in enumerate(kinds)]
    names = ", ".join(f"c{n}" for n in range(len(kinds)))
    bare = "SELECT json_deserialize_sql(json_serialize_sql(CAST(? AS VARCHAR)))"
    row = cursor.execute(bare, [statement]).fetchone()  # without a semicolon or a comment
    cursor.execute(f"SELECT {', '.join(cells)} FROM ({row[0] if row else ''}) AS t({names})")


def _cell(value: object) -> object:
    """A value that reads the same here and over the socket; a time tells that it is UTC."""
    if isinstance(value, datetime):
        return f"{value}Z"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)
