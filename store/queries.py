"""What can be asked of the recorded tables; every function takes a cursor of its caller's own."""

from __future__ import annotations

import json
from dataclasses import dataclass

import duckdb

from drivers.model.event import Event, Severity
from drivers.model.history import HistoryQuery, Series
from drivers.model.job import Job
from store.api import StoreError
from store.metrics import HOST, VM, Subject, decode
from store.plain import from_plain
from store.settings import StoreSettings
from store.upkeep import mark

_POINTS = 10_000
_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class _Found:
    number: int
    ident: str
    name: str


def history(
    cursor: duckdb.DuckDBPyConnection, query: HistoryQuery, settings: StoreSettings
) -> Series:
    """Means and maxima in at most ``query.points`` buckets, from the finest table that covers it.

    Raises:
        StoreError: No such metric, VM or host, or the range is empty.
    """
    subject = _subject(query)
    found = _find(cursor, subject, query.ident)
    source, native = _source(query, settings)
    points = min(max(query.points, 1), _POINTS)
    step = max((query.until - query.since) / points, native)
    text, values = _parts(cursor, subject, query, source, found.number)
    rows = cursor.execute(
        f"SELECT floor((greatest(ts, ?) - ?) / ?) AS bucket, sum(mean * n) / sum(n), max(top)"
        f" FROM ({text}) WHERE mean IS NOT NULL GROUP BY bucket ORDER BY bucket",
        [query.since, query.since, step, *values],
    ).fetchall()
    kept = [row for row in rows if row[0] < points]
    return Series(
        query,
        found.name,
        tuple(query.since + row[0] * step for row in kept),
        tuple(row[1] for row in kept),
        tuple(row[2] for row in kept),
        step,
        source,
    )


def samples(
    cursor: duckdb.DuckDBPyConnection, query: HistoryQuery, settings: StoreSettings
) -> list[tuple[object, ...]]:
    """(epoch seconds, identity, name, mean, maximum, samples) of each recorded row, in order.

    Raises:
        StoreError: As ``history``.
    """
    subject = _subject(query)
    found = _find(cursor, subject, query.ident)
    source, _ = _source(query, settings)
    text, values = _parts(cursor, subject, query, source, found.number)
    rows = cursor.execute(
        f"SELECT ts, mean, top, n FROM ({text}) WHERE mean IS NOT NULL ORDER BY ts", values
    ).fetchall()
    return [(ts, found.ident, found.name, mean, top, n) for ts, mean, top, n in rows]


def _subject(query: HistoryQuery) -> Subject:
    subject = {"vm": VM, "host": HOST}.get(query.kind)
    if subject is None:
        raise StoreError(f"history is kept of vm and host, not of {query.kind}", code="unknown")
    if query.metric not in subject.metrics:
        raise StoreError(
            f"a {query.kind} has no metric {query.metric}",
            fix="one of " + ", ".join(subject.metrics),
            code="unknown",
        )
    if not query.since < query.until:
        raise StoreError("the range ends before it begins", code="range")
    return subject


def _find(cursor: duckdb.DuckDBPyConnection, subject: Subject, ident: str) -> _Found:
    if subject is HOST:
        text, values = "SELECT id, name, name FROM rec.host WHERE name = ?", [ident]
    else:
        text = (
            "SELECT id, uuid, name FROM rec.vm WHERE uuid = lower(?) OR name = ?"
            " ORDER BY uuid = lower(?) DESC, seen DESC, id DESC"
        )
        values = [ident, ident, ident]
    rows = cursor.execute(text, values).fetchall()
    found = rows[0] if rows else None
    if len(rows) > 1 and rows[0][1] != ident.lower():
        found = _newest(cursor, rows)
    if found is None:
        raise StoreError(
            f"nothing was recorded of the {subject.kind} {ident}",
            fix=f"novacron sql 'SELECT * FROM {subject.kind}s' lists what was",
            code="unknown",
        )
    return _Found(*found)


def _newest(
    cursor: duckdb.DuckDBPyConnection, rows: list[tuple[int, str, str]]
) -> tuple[int, str, str]:
    """Of several VMs that had the name, the one with the newest sample."""
    numbers = ", ".join(str(int(row[0])) for row in rows)
    newest = cursor.execute(
        f"SELECT vm FROM rec.vm_live WHERE vm IN ({numbers}) ORDER BY ts DESC, vm DESC LIMIT 1"
    ).fetchone()
    return next((row for row in rows if newest and row[0] == newest[0]), rows[0])


def _source(query: HistoryQuery, settings: StoreSettings) -> tuple[str, float]:
    """Finest table that reaches back far enough, and its resolution in seconds."""
    age = settings.clock() - query.since
    if age <= settings.raw_s:
        return "raw", 1.0
    return ("1m", 60.0) if age <= settings.minute_s else ("1h", 3600.0)


def _parts(
    cursor: duckdb.DuckDBPyConnection,
    subject: Subject,
    query: HistoryQuery,
    source: str,
    number: int,
) -> tuple[str, list[float]]:
    """SQL of (ts, mean, top, n) rows, and its values.

    A rolled-up table ends at the last packed hour; samples continue from there.
    """
    metric, kind = query.metric, subject.kind
    raw = (
        f"SELECT ts, {decode(metric, metric)} AS mean, mean AS top, 1 AS n FROM {subject.raw}"
        f" WHERE {kind} = {number:d} AND ts >= ? AND ts < ?"
    )
    if source == "raw":
        return raw, [query.since, query.until]
    width = 60 if source == "1m" else 3600
    packed = mark(cursor)
    rolled = (
        f"SELECT ts, {decode(metric, metric)} AS mean,"
        f" {decode(f'{metric}_max', metric)} AS top, n FROM rec.{kind}_{source}"
        f" WHERE {kind} = {number:d} AND ts >= ? AND ts < ?"
    )
    start = query.since // width * width
    text = f"{rolled} UNION ALL {raw}"
    middle = min(packed, query.until)
    return text, [start, middle, max(packed, query.since), query.until]


def events(
    cursor: duckdb.DuckDBPyConnection,
    *,
    since: float,
    limit: int,
    host: str,
    vm: str,
    until: float | None = None,
    kind: str = "",
    least: Severity = Severity.INFO,
) -> list[Event]:
    """Events, newest first; ``vm`` is a UUID or a name."""
    where, values = ["moment >= ?"], [since]  # type: tuple[list[str], list[object]]
    for condition, value in (("moment <= ?", until), ("host = ?", host), ("kind = ?", kind)):
        if value is not None and value != "":
            where.append(condition)
            values.append(value)
    if least is not Severity.INFO:
        words = [str(one) for one in Severity][[*Severity].index(least) :]
        where.append(f"severity IN ({', '.join('?' * len(words))})")
        values += words
    if vm:
        where.append("(vm = ? OR vm_name = ?)")
        values += [vm, vm]
    names = ("at", "kind", "severity", "host", "vm", "vm_name", "text", "detail", "change")
    rows = cursor.execute(
        f"SELECT moment, {', '.join(names[1:])} FROM rec.event WHERE {' AND '.join(where)}"
        " ORDER BY moment DESC, rowid DESC LIMIT ?",
        [*values, min(max(limit, 0), _ROWS)],
    ).fetchall()
    return [from_plain(Event, dict(zip(names, row, strict=True))) for row in rows]


_FAILED = "ended AND state IN ('failed', 'interrupted') AND body NOT LIKE '%\"followup\": []%'"
"""What failed and still offers something."""


def jobs(
    cursor: duckdb.DuckDBPyConnection, *, limit: int, unfinished: bool, failed: bool = False
) -> list[Job]:
    """Jobs, newest first; what cannot be read as a job is left out."""
    where = "WHERE NOT ended" if unfinished else f"WHERE {_FAILED}" if failed else ""
    rows = cursor.execute(
        f"SELECT body FROM rec.job {where} ORDER BY created_at DESC, id DESC LIMIT ?",
        [min(max(limit, 0), _ROWS)],
    ).fetchall()
    found = []
    for (body,) in rows:
        try:
            found.append(from_plain(Job, json.loads(body)))
        except ValueError:
            continue  # written by a version whose actions this one does not know
    return found


def names(cursor: duckdb.DuckDBPyConnection, kind: str) -> list[tuple[str, str]]:
    """(identity, newest name) of everything recorded, by name.

    Raises:
        StoreError: ``kind`` is neither vm nor host.
    """
    if kind == "host":
        rows = cursor.execute("SELECT name, name FROM rec.host ORDER BY 1").fetchall()
    elif kind == "vm":
        rows = cursor.execute("SELECT uuid, name FROM rec.vm ORDER BY name, seen DESC").fetchall()
    else:
        raise StoreError(f"history is kept of vm and host, not of {kind}", code="unknown")
    return [(ident, name) for ident, name in rows]


def placements(cursor: duckdb.DuckDBPyConnection, uuid: str) -> list[tuple[float, str, str]]:
    """(since, host, state) of a VM, oldest first."""
    rows = cursor.execute(
        "SELECT p.moment, h.name, p.state FROM rec.placement AS p JOIN rec.vm AS v ON v.id = p.vm"
        " JOIN rec.host AS h ON h.id = p.host WHERE v.uuid = ? ORDER BY p.moment, p.rowid",
        [uuid],
    ).fetchall()
    return [(at, host, state) for at, host, state in rows]
