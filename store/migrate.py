"""Numbered migrations: plain SQL files, applied in order and recorded, at startup only.

Replaying DDL from a write-ahead log is where DuckDB's known replay failures are, so a checkpoint
follows at once and nothing else in the store changes the schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from store.api import StoreError

_FOLDER = Path(__file__).parent / "migrations"
_NAME = re.compile(r"(\d{3})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str


def known(folder: Path = _FOLDER) -> tuple[Migration, ...]:
    """The migrations of this version, in order."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match:
            found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    return tuple(found)


def version(connection: duckdb.DuckDBPyConnection) -> int:
    """Number of the newest migration the database has; 0 for an empty one."""
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'migration'"
    ).fetchone()
    if not found or not found[0]:
        return 0
    newest = connection.execute("SELECT max(number) FROM migration").fetchone()
    return int(newest[0]) if newest and newest[0] is not None else 0


def refuse_newer(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """The database's version, if this program knows it.

    Raises:
        StoreError: A newer NovaCron made it; nothing was changed.
    """
    have, newest = version(connection), known()[-1].number
    if have > newest:
        raise StoreError(
            f"{path} was written by a newer NovaCron",
            proof=f"its schema is {have}, this version knows {newest}",
            fix="update NovaCron, or record to another file",
            code="newer-database",
        )
    return have


def migrate(connection: duckdb.DuckDBPyConnection, path: Path, now: float) -> None:
    """Bring the schema up to date, each migration in one transaction.

    Raises:
        StoreError: A newer NovaCron made the database.
    """
    have = refuse_newer(connection, path)
    due = [m for m in known() if m.number > have]
    if not due:
        return
    for migration in due:
        connection.begin()
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (number INTEGER, name VARCHAR, applied_at DOUBLE)"
        )
        connection.execute(migration.sql)
        connection.execute(
            "INSERT INTO migration VALUES (?, ?, ?)", [migration.number, migration.name, now]
        )
        connection.commit()
    connection.execute("CHECKPOINT")
