"""Once an hour: means and maxima, the sorted block of the hour, and what is too old goes.

Everything happens in one transaction and without DDL. ``mark`` is the end of the last packed
hour: below it the one-minute and one-hour tables are complete, above it there are only samples.
"""

from __future__ import annotations

import math
from contextlib import suppress

import duckdb

from store.metrics import SUBJECTS, Subject, decode, encode
from store.settings import HOUR, StoreSettings

_LATE_S = 60.0  # samples forwarded by other consoles may arrive a little late
_AHEAD_S = 2 * HOUR


def mark(cursor: duckdb.DuckDBPyConnection) -> int:
    """End of the last packed hour, epoch seconds; 0 when nothing was packed yet."""
    found = cursor.execute("SELECT max(ts) FROM rec.mark WHERE name = 'packed'").fetchone()
    return int(found[0]) if found and found[0] is not None else 0


def boundary(now: float) -> int:
    """Start of the hour that is still being filled."""
    return int(math.floor((now - _LATE_S) / HOUR) * HOUR)


def pack(cursor: duckdb.DuckDBPyConnection, settings: StoreSettings) -> bool:
    """Pack the hours that ended and forget what is too old; True when there was work.

    Raises:
        duckdb.Error: Nothing was changed.
    """
    now = settings.clock()
    end, done = boundary(now), mark(cursor)
    if done > now + _AHEAD_S:
        # The clock was set back: an earlier mark from the future must not stop packing, and what
        # was packed before must stay, for only the samples that came since are summed up anew.
        done = _oldest_live(cursor, end)
    if end <= done:
        return False
    cursor.begin()
    try:
        for subject in SUBJECTS:
            _roll_minutes(cursor, subject, done, end)
            _roll_hours(cursor, subject, done, end)
            _sort_in(cursor, subject, end)
            _forget(cursor, subject, settings, now)
        _forget_rest(cursor, now - settings.hour_s)
        cursor.execute("DELETE FROM rec.mark WHERE name = 'packed'")
        cursor.execute("INSERT INTO rec.mark VALUES ('packed', ?)", [end])
        cursor.commit()
    except BaseException:
        with suppress(duckdb.Error):
            cursor.rollback()
        raise
    try:
        cursor.execute("CHECKPOINT")
    except duckdb.TransactionException:
        return True  # somebody writes or reads at length: the next commit checkpoints by itself
    return True


def _oldest_live(cursor: duckdb.DuckDBPyConnection, end: int) -> int:
    """Start of the first hour that holds unpacked samples; ``end`` when none are older."""
    lives = " UNION ALL ".join(f"SELECT min(ts) AS ts FROM rec.{s.kind}_live" for s in SUBJECTS)
    row = cursor.execute(f"SELECT min(ts) FROM ({lives})").fetchone()
    oldest = end if row is None or row[0] is None else int(row[0]) // HOUR * HOUR
    return int(min(oldest, end))


def _roll_minutes(
    cursor: duckdb.DuckDBPyConnection, subject: Subject, start: int, end: int
) -> None:
    kind = subject.kind
    means = ", ".join(encode(f"avg({decode(m, m)})", m) for m in subject.metrics)
    maxima = ", ".join(f"max({m})" for m in subject.metrics)
    cursor.execute(f"DELETE FROM rec.{kind}_1m WHERE ts >= ? AND ts < ?", [start, end])
    cursor.execute(
        f"INSERT INTO rec.{kind}_1m SELECT ts - ts % 60 AS t, {kind}, count(*), {means}, {maxima}"
        f" FROM rec.{kind}_live WHERE ts >= ? AND ts < ? GROUP BY t, {kind} ORDER BY {kind}, t",
        [start, end],
    )


def _roll_hours(cursor: duckdb.DuckDBPyConnection, subject: Subject, start: int, end: int) -> None:
    kind = subject.kind
    means = ", ".join(
        encode(f"(sum({decode(m, m)} * n) / sum(n) FILTER (WHERE {m} IS NOT NULL))", m)
        for m in subject.metrics
    )
    maxima = ", ".join(f"max({m}_max)" for m in subject.metrics)
    cursor.execute(f"DELETE FROM rec.{kind}_1h WHERE ts >= ? AND ts < ?", [start, end])
    cursor.execute(
        f"INSERT INTO rec.{kind}_1h SELECT ts - ts % 3600 AS t, {kind}, sum(n), {means}, {maxima}"
        f" FROM rec.{kind}_1m WHERE ts >= ? AND ts < ? GROUP BY t, {kind} ORDER BY {kind}, t",
        [start, end],
    )


def _sort_in(cursor: duckdb.DuckDBPyConnection, subject: Subject, end: int) -> None:
    # Every other VM backwards: time then never jumps, and its packed deltas take a third.
    kind = subject.kind
    cursor.execute(
        f"UPDATE rec.{kind} SET seen = greatest(seen, s.ts)"
        f" FROM (SELECT {kind} AS id, max(ts) AS ts FROM rec.{kind}_live GROUP BY {kind}) AS s"
        f" WHERE s.id = rec.{kind}.id"
    )
    cursor.execute(
        f"INSERT INTO rec.{kind}_hist SELECT * FROM rec.{kind}_live WHERE ts < ?"
        f" ORDER BY {kind}, CASE WHEN {kind} % 2 = 0 THEN ts::BIGINT ELSE -ts::BIGINT END",
        [end],
    )
    cursor.execute(f"DELETE FROM rec.{kind}_live WHERE ts < ?", [end])


def _forget(
    cursor: duckdb.DuckDBPyConnection, subject: Subject, settings: StoreSettings, now: float
) -> None:
    ages = {"hist": settings.raw_s, "1m": settings.minute_s, "1h": settings.hour_s}
    for table, age in ages.items():
        oldest = max(0, int((now - age) // HOUR * HOUR))
        cursor.execute(f"DELETE FROM rec.{subject.kind}_{table} WHERE ts < ?", [oldest])


def _forget_rest(cursor: duckdb.DuckDBPyConnection, oldest: float) -> None:
    cursor.execute("DELETE FROM rec.event WHERE moment < ?", [oldest])
    cursor.execute("DELETE FROM rec.job WHERE ended AND created_at < ?", [oldest])
    cursor.execute(
        "DELETE FROM rec.placement WHERE moment < ? AND (state = 'gone' OR moment <"
        " (SELECT max(p.moment) FROM rec.placement AS p WHERE p.vm = rec.placement.vm))",
        [oldest],
    )
