"""Recorded rows as a .csv or .parquet file, written by the process that asked for them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from drivers.model.history import HistoryQuery
from store.api import StoreError

_COLUMNS = ("time", "ts", "ident", "name", "metric", "mean", "max", "samples")
_TYPES = "TIMESTAMP, BIGINT, VARCHAR, VARCHAR, VARCHAR, DOUBLE, DOUBLE, BIGINT"


def write_rows(query: HistoryQuery, rows: Sequence[Sequence[object]], path: Path) -> int:
    """Write (ts, identity, name, mean, maximum, samples) rows; returns how many.

    Raises:
        StoreError: The name ends in neither .csv nor .parquet, or the file cannot be written.
    """
    whole = [_row(query, row) for row in rows]
    try:
        if path.suffix == ".csv":
            _write_csv(whole, path)
        elif path.suffix == ".parquet":
            _write_parquet(whole, path)
        else:
            raise StoreError(
                f"cannot tell the format of {path.name}", fix="end it in .csv or .parquet"
            )
    except (OSError, duckdb.Error) as error:
        raise StoreError(f"cannot write {path}", str(error), code="export") from error
    return len(whole)


def _row(query: HistoryQuery, row: Sequence[object]) -> tuple[object, ...]:
    ts, ident, name, mean, top, samples = row
    time = datetime.fromtimestamp(float(str(ts)), UTC).replace(tzinfo=None)
    return (time, ts, ident, name, query.metric, mean, top, samples)


def _write_csv(rows: Sequence[tuple[object, ...]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows((f"{row[0]}Z", *row[1:]) for row in rows)


def _write_parquet(rows: Sequence[tuple[object, ...]], path: Path) -> None:
    names = ", ".join(
        f"{name} {kind}" for name, kind in zip(_COLUMNS, _TYPES.split(", "), strict=True)
    )
    connection = duckdb.connect(":memory:", config={"autoload_known_extensions": "false"})
    try:
        connection.execute(f"CREATE TABLE rows ({names})")
        with connection.appender("rows") as appender:
            appender.append_rows(list(rows))
        target = str(path).replace("'", "''")
        connection.execute(f"COPY rows TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    finally:
        connection.close()
