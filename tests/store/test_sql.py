"""SQL reads everything and changes nothing."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.model.job import JobState
from store.api import StoreError
from tests.store.conftest import Clock, Opener, scalar
from tests.store.fleet import T0, make_host, make_job, make_vm

ESCAPES = (
    "INSERT INTO rec.vm VALUES (1, 'x', 'x', 0)",
    "DELETE FROM rec.vm",
    "UPDATE rec.vm SET name = 'x'",
    "DROP TABLE rec.vm",
    "CREATE TABLE x (a INTEGER)",
    "CREATE TEMP TABLE x (a INTEGER)",
    "ALTER TABLE rec.vm ADD COLUMN x INTEGER",
    "SELECT 1; DELETE FROM rec.vm",
    "WITH x AS (DELETE FROM rec.vm RETURNING *) SELECT * FROM x",
    "WITH x AS (INSERT INTO rec.vm VALUES (9, 'x', 'x', 0) RETURNING *) SELECT * FROM x",
    "EXPLAIN ANALYZE DELETE FROM rec.vm",
    "COPY (SELECT 1) TO '{out}'",
    "COPY rec.vm FROM '/etc/passwd'",
    "EXPORT DATABASE '{out}'",
    "ATTACH '{out}' AS other",
    "DETACH history",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "RESET lock_configuration",
    "PRAGMA disable_checkpoint_on_shutdown",
    "PRAGMA database_size",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "PREPARE x AS SELECT 1",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM '/etc/x.parquet'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT (SELECT max(a) FROM pandas_scan(1) AS t(a))",
    "SELECT * FROM force_checkpoint()",
    "SELECT * FROM enable_logging()",
    "SELECT * FROM query('DELETE FROM rec.vm')",
    "SELECT write_log('x')",
    "SELECT * FROM settings",
    "this is no SQL",
    "",
)


@pytest.mark.parametrize("text", ESCAPES)
def test_nothing_but_reading_is_possible(
    opened: Opener, clock: Clock, tmp_path: Path, text: str
) -> None:
    """Each way to write, to reach a file or to switch something is refused with a sentence."""
    store = opened()
    store.put_hosts(T0, [make_host("kvm1", T0, (make_vm(1, "kvm1", T0),))])
    store.put_job(make_job("a", T0))
    with pytest.raises(StoreError):
        store.sql(text.format(out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert store.sql("SELECT name FROM rec.vm").rows == (("web1",),)


def test_the_views_speak_in_names_and_units(opened: Opener, clock: Clock) -> None:
    """Every view answers, columns say what they mean, and a range by time works."""
    store = opened()
    store.put_hosts(T0, [make_host("kvm1", T0, (make_vm(1, "kvm1", T0),))])
    store.put_job(make_job("a", T0))
    for view in ("host_samples", "vm_samples", "vms", "hosts", "placements", "jobs"):
        assert store.sql(f"FROM {view}").rows, view
    for view in ("events", "vm_minutes", "vm_hours", "host_minutes", "host_hours"):
        assert store.sql(f"FROM {view}").rows == (), view
    told = store.sql("SELECT time, vm, cpu FROM vm_samples WHERE time >= '2027-01-15'")
    assert told.rows == (("2027-01-15 08:00:00Z", "web1", 12.5),)
    comment = "SELECT comment FROM duckdb_columns() WHERE column_name = 'rss' AND comment <> ''"
    assert scalar(store, comment) == "Resident bytes of the QEMU process"
    assert store.sql("DESCRIBE vm_samples").columns[0] == "column_name"


def test_times_are_utc_whatever_zone_the_person_is_in(
    opened: Opener, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times compare with ``now()`` as the views tell them, and say their zone."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        store = opened()
        store.put_hosts(T0, [make_host("kvm1", T0, (make_vm(1, "kvm1", T0),))])
        store.put_job(make_job("a", T0))
        same = "SELECT time = to_timestamp(ts), time::TIMESTAMPTZ::VARCHAR FROM vm_samples"
        assert store.sql(same).rows == ((True, "2027-01-15 08:00:00+00"),)
        zoned = "SELECT ts AS x, 1 AS x, to_timestamp(ts) AS at FROM vm_samples; -- the end"
        table = store.sql(zoned)
        assert table.columns == ("x", "x", "at")
        assert table.rows[0][1:] == (1, "2027-01-15 08:00:00Z")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_long_answers_are_cut_and_long_questions_end(opened: Opener) -> None:
    """The row limit is marked, and a question without end gives up in time."""
    store = opened()
    table = store.sql("SELECT * FROM range(100)", limit=10)
    assert (len(table.rows), table.truncated) == (10, True)
    with pytest.raises(StoreError, match="took longer"):
        store.sql("SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b",
                  timeout_s=0.2)  # fmt: skip
    assert scalar(store, "SELECT 1") == 1


def test_migrations_are_rows_with_their_figures(opened: Opener, clock: Clock) -> None:
    """What the journal holds of them, by name and in plain units."""
    store = opened()
    job = make_job("m1", T0, JobState.DONE)
    figures = '{"seconds": 2.5, "bytes": 5000000, "rate_bps": 2000000.0, "downtime_ms": null}'
    facts = {"figures": figures, "mode": "p2p"}
    store.put_job(replace(job, facts=facts, ended_at=T0 + 3))
    found = store.sql("SELECT source, target, mode, seconds, bytes, downtime_ms FROM migrations")
    assert found.rows == (("kvm1", "kvm2", "p2p", 2.5, 5000000, None),)
