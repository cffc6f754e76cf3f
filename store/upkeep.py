"""Once an hour: means and maxima, the sorted block of the hour, and what is too old goes.

Each hour is packed in one transaction and without DDL, so a sample is counted in the means exactly
once, however late it came: its minute and hour then have one row more, each with its own weight
``n``. ``mark`` is the end of the last packed hour: below it the one-minute and one-hour tables are
complete, above it there are only samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb

from store.book import Book
from store.clock import KeepingClock
from store.metrics import HOST, SUBJECTS, VM, Subject, decode, encode
from store.settings import HOUR, StoreSettings

_LATE_S = 60.0  # samples forwarded by other consoles may arrive a little late
_AHEAD_S = 2 * HOUR
_NEAR = 32  # machines that change places among each other


def mark(cursor: duckdb.DuckDBPyConnection) -> int:
    """End of the last packed hour, epoch seconds; 0 when nothing was packed yet."""
    found = cursor.execute("SELECT max(ts) FROM rec.mark WHERE name = 'packed'").fetchone()
    return int(found[0]) if found and found[0] is not None else 0


def boundary(now: float) -> int:
    """Start of the hour that is still being filled."""
    return int(math.floor((now - _LATE_S) / HOUR) * HOUR)


def pack(
    cursor: duckdb.DuckDBPyConnection, settings: StoreSettings, keeping: KeepingClock, book: Book
) -> bool:
    """Pack the hours that ended, then forget what is too old; True when there was work.

    Raises:
        duckdb.Error: The hours that were packed before it stay so; the rest is as it was.
    """
    now = settings.clock()
    end, done = boundary(now), mark(cursor)
    if end <= done <= now + _AHEAD_S:
        return False
    for start in _hours(cursor, end, now):
        with _transaction(cursor):
            for subject in SUBJECTS:
                _pack_hour(cursor, subject, start)
    with _transaction(cursor):
        _note_seen(cursor, book)
        _forget(cursor, settings, keeping.now())
        gone = _forget_names(cursor, keeping.now() - settings.hour_s)
        keeping.save(cursor)
        cursor.execute("DELETE FROM rec.mark WHERE name = 'packed'")
        cursor.execute("INSERT INTO rec.mark VALUES ('packed', ?)", [end])
    book.forget(*gone)
    with suppress(duckdb.TransactionException):
        # Somebody may write or read at length: then the next commit checkpoints by itself.
        cursor.execute("CHECKPOINT")
    return True


@contextmanager
def _transaction(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    cursor.begin()
    try:
        yield
        cursor.commit()
    except BaseException:
        with suppress(duckdb.Error):
            cursor.rollback()
        raise


def _hours(cursor: duckdb.DuckDBPyConnection, end: int, now: float) -> list[int]:
    """Starts of the hours with samples to pack: those that ended, and any from a wrong future."""
    lives = " UNION ".join(
        f"SELECT ts // 3600 AS hour, ts FROM rec.{s.kind}_live" for s in SUBJECTS
    )
    rows = cursor.execute(
        f"SELECT DISTINCT hour * 3600 FROM ({lives}) WHERE ts < ? OR ts > ? ORDER BY 1",
        [end, math.ceil((now + _AHEAD_S) / HOUR) * HOUR],
    ).fetchall()
    return [int(hour) for (hour,) in rows]


def _pack_hour(cursor: duckdb.DuckDBPyConnection, subject: Subject, start: int) -> None:
    kind, hour = subject.kind, [start, start + int(HOUR)]
    newest = cursor.execute(f"SELECT coalesce(max(rowid), -1) FROM rec.{kind}_1m").fetchone()
    means = ", ".join(encode(f"avg({decode(m, m)})", m) for m in subject.metrics)
    maxima = ", ".join(f"max({m})" for m in subject.metrics)
    cursor.execute(
        f"INSERT INTO rec.{kind}_1m SELECT ts - ts % 60 AS t, {kind}, count(*), {means}, {maxima}"
        f" FROM rec.{kind}_live JOIN {_places(subject)} USING ({kind})"
        f" WHERE ts >= ? AND ts < ? GROUP BY t, {kind}, place ORDER BY {_weaving('t')}",
        [*hour, *hour],
    )
    means = ", ".join(
        encode(f"(sum({decode(m, m)} * n) / sum(n) FILTER (WHERE {m} IS NOT NULL))", m)
        for m in subject.metrics
    )
    maxima = ", ".join(f"max({m}_max)" for m in subject.metrics)
    cursor.execute(
        f"INSERT INTO rec.{kind}_1h SELECT {start}, {kind}, sum(n), {means}, {maxima}"
        f" FROM rec.{kind}_1m WHERE ts >= ? AND ts < ? AND rowid > ? GROUP BY {kind}"
        f" ORDER BY {kind}",
        [*hour, newest[0] if newest else -1],
    )
    cursor.execute(
        f"INSERT INTO rec.{kind}_hist SELECT * EXCLUDE (place) FROM rec.{kind}_live"
        f" JOIN {_places(subject)} USING ({kind})"
        f" WHERE ts >= ? AND ts < ? ORDER BY {_weaving('ts')}",
        [*hour, *hour],
    )
    cursor.execute(
        f"UPDATE rec.{kind} SET seen = greatest(seen, s.ts) FROM (SELECT {kind} AS id,"
        f" max(ts) AS ts FROM rec.{kind}_live WHERE ts >= ? AND ts < ? GROUP BY {kind}) AS s"
        f" WHERE s.id = rec.{kind}.id",
        hour,
    )
    cursor.execute(f"DELETE FROM rec.{kind}_live WHERE ts >= ? AND ts < ?", hour)


def _places(subject: Subject) -> str:
    """SQL of (machine, place) within an hour: neighbours are about as busy as each other.

    Columns are packed as wide as a few machines together need, so that pays. Only numbers close to
    each other change places: a row group then still holds a narrow range of them to look in.
    """
    kind = subject.kind
    level = " + ".join(f"coalesce(avg({m}), 0)" for m in subject.metrics if _tells_activity(m))
    return (
        f"(SELECT {kind}, row_number() OVER (ORDER BY {kind} // {_NEAR}, {level}, {kind}) AS place"
        f" FROM rec.{kind}_live WHERE ts >= ? AND ts < ? GROUP BY {kind})"
    )


def _tells_activity(metric: str) -> bool:
    return metric == "cpu" or metric.endswith(("_bps", "_iops"))


def _weaving(ts: str) -> str:
    """Sorted by place, every other one backwards: time never jumps, and packs to a third."""
    return f"place, CASE WHEN place % 2 = 0 THEN {ts}::BIGINT ELSE -{ts}::BIGINT END"


def _note_seen(cursor: duckdb.DuckDBPyConnection, book: Book) -> None:
    """Machines that are off have no samples: that their host lists them is enough."""
    for subject, seen in ((VM, book.vms_seen()), (HOST, book.hosts_seen())):
        if seen:
            ids, times = zip(*seen, strict=True)
            cursor.execute(
                f"UPDATE rec.{subject.kind} SET seen = greatest(seen, s.ts) FROM"
                f" (SELECT unnest(?::INTEGER[]) AS id, unnest(?::UINTEGER[]) AS ts) AS s"
                f" WHERE s.id = rec.{subject.kind}.id",
                [ids, times],
            )


def _forget(cursor: duckdb.DuckDBPyConnection, settings: StoreSettings, now: float) -> None:
    ages = {"hist": settings.raw_s, "1m": settings.minute_s, "1h": settings.hour_s}
    for subject in SUBJECTS:
        for table, age in ages.items():
            oldest = max(0, int((now - age) // HOUR * HOUR))
            cursor.execute(f"DELETE FROM rec.{subject.kind}_{table} WHERE ts < ?", [oldest])
    oldest = max(0, int(now - settings.hour_s))
    cursor.execute("DELETE FROM rec.event WHERE moment < ?", [oldest])
    cursor.execute("DELETE FROM rec.job WHERE ended AND created_at < ?", [oldest])
    cursor.execute("DELETE FROM rec.operation WHERE ended AND created_at < ?", [oldest])
    cursor.execute(
        "DELETE FROM rec.operation_wish WHERE moment < ?"
        " AND id NOT IN (SELECT id FROM rec.operation)",
        [oldest],
    )
    cursor.execute(
        "DELETE FROM rec.placement WHERE moment < ? AND (state = 'gone' OR moment <"
        " (SELECT max(p.moment) FROM rec.placement AS p WHERE p.vm = rec.placement.vm))",
        [oldest],
    )


def _forget_names(cursor: duckdb.DuckDBPyConnection, oldest: float) -> tuple[list[str], list[str]]:
    """VMs and hosts that nobody has seen since and of which nothing is left; returns them."""
    vms = _ghosts(cursor, VM, oldest)
    cursor.execute("DELETE FROM rec.placement WHERE vm IN (SELECT unnest(?::INTEGER[]))", [vms])
    hosts = _ghosts(cursor, HOST, oldest)
    gone = cursor.execute(
        "DELETE FROM rec.vm WHERE id IN (SELECT unnest(?::INTEGER[])) RETURNING uuid", [vms]
    ).fetchall()
    away = cursor.execute(
        "DELETE FROM rec.host WHERE id IN (SELECT unnest(?::INTEGER[]))"
        " AND id NOT IN (SELECT host FROM rec.placement) RETURNING name",
        [hosts],
    ).fetchall()
    return [uuid for (uuid,) in gone], [name for (name,) in away]


def _ghosts(cursor: duckdb.DuckDBPyConnection, subject: Subject, oldest: float) -> list[int]:
    """Numbers that were last seen before ``oldest`` and have no row left in any table."""
    kind = subject.kind
    found = cursor.execute(
        f"SELECT id FROM rec.{kind} WHERE seen < ?", [max(0, int(oldest))]
    ).fetchall()
    old = {int(number) for (number,) in found}
    for table in ("1h", "1m", "hist", "live") if old else ():
        rows = cursor.execute(
            f"SELECT DISTINCT {kind} FROM rec.{kind}_{table} WHERE {kind} IN"
            " (SELECT unnest(?::INTEGER[]))",
            [sorted(old)],
        ).fetchall()
        old -= {int(number) for (number,) in rows}
    return sorted(old)
