"""Recorded rows as a .csv or .parquet file, written by the process that asked for them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from store.api import StoreError

_COLUMNS = ("time", "ts", "ident", "name", "metric", "mean", "max", "samples")
_TYPES = "TIMESTAMPTZ, BIGINT, VARCHAR, VARCHAR, VARCHAR, DOUBLE, DOUBLE, BIGINT"


def write_rows(found: Sequence[tuple[str, Sequence[Sequence[object]]]], path: Path) -> int:
    """Write (ts, identity, name, mean, maximum, samples) rows of each metric; returns how many.

    Raises:
        StoreError: The name ends in neither .csv nor .parquet, or the file cannot be written.
    """
    whole = [_row(metric, row) for metric, rows in found for row in rows]
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


def _row(metric: str, row: Sequence[object]) -> tuple[object, ...]:
    ts, ident, name, mean, top, samples = row
    return (
        datetime.fromtimestamp(float(str(ts)), UTC),
        ts,
        ident,
        name,
        metric,
        mean,
        top,
        samples,
    )


def _write_csv(rows: Sequence[tuple[object, ...]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(rows)


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
