"""What a person finds in recorded history."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from drivers.model.event import Event, EventKind, Severity
from drivers.model.history import HOST_METRICS, VM_METRICS, HistoryQuery
from drivers.model.job import Job, JobState
from drivers.model.vm import VmState
from store.api import Store, StoreError
from store.plain import from_plain, to_plain
from tests.store.conftest import Clock, Opener, scalar, until
from tests.store.fleet import T0, make_host, make_job, make_vm, uuid

HOUR = 3600.0


def record(store: Store, clock: Clock, at: float, *numbers: int, host: str = "kvm1") -> None:
    """One sweep of one host."""
    clock.now = at
    vms = tuple(make_vm(n, host, at) for n in numbers)
    store.put_hosts(at, [make_host(host, at, vms)])


def settled(store: Store) -> None:
    """Wait until all that was queued is committed."""
    until(lambda: store.status().pending == 0, "the queue is written")
    store.put_job(make_job("settle", T0))


def test_every_metric_comes_back_as_recorded(opened: Opener, clock: Clock) -> None:
    """Each figure of a VM and of its host reads back within one percent."""
    store = opened()
    record(store, clock, T0 + 10, 1)
    settled(store)
    want_vm = (12.5, 0.0, 0.3, 1 << 30, 2 << 30, 1e6, 2e6, 10.0, 20.0, 0.5, 1.5, 1e5, 2e5)
    for metric, want in zip(VM_METRICS, want_vm, strict=True):
        found = store.history(HistoryQuery("vm", "web1", metric, T0, T0 + 60))
        assert found.means == pytest.approx((want,), rel=0.012, abs=0.001), metric
        assert found.label == "web1"
    want_host = {"cpu": 40.0, "load1": 3.21, "mem_used": 40 << 30, "rtt_ms": 1.2, "tx_bps": 2e6}
    for metric in HOST_METRICS:
        found = store.history(HistoryQuery("host", "kvm1", metric, T0, T0 + 60))
        if metric in want_host:
            assert found.means == pytest.approx((want_host[metric],), rel=0.012), metric
    disks = store.history(HistoryQuery("host", "kvm1", "read_bps", T0, T0 + 60))
    assert disks.means == (), "a host without disk figures has no disk history"


def test_gaps_stay_gaps(opened: Opener, clock: Clock) -> None:
    """A quarter of an hour without samples shows as nothing, not as zero or as a bridge."""
    store = opened()
    for minute in (*range(15), *range(30, 45)):
        record(store, clock, T0 + 60 * minute, 1)
    settled(store)
    found = store.history(HistoryQuery("vm", "web1", "cpu", T0, T0 + HOUR, 60))
    minutes = {round((t - T0) / 60) for t in found.times}
    assert minutes == {*range(15), *range(30, 45)}


def test_stale_values_are_not_recorded(opened: Opener, clock: Clock) -> None:
    """A host that stopped answering leaves a gap although its last figures are still shown."""
    store = opened()
    host = make_host("kvm1", T0, (make_vm(1, "kvm1", T0),))
    for second in (0.0, 60.0, 120.0):
        store.put_hosts(T0 + second, [host])
    settled(store)
    assert scalar(store, "SELECT count(*) FROM vm_samples") == 1
    assert scalar(store, "SELECT count(*) FROM host_samples") == 1


def test_history_follows_a_vm_to_another_host(opened: Opener, clock: Clock) -> None:
    """One unbroken line across a live migration, and both places with their times."""
    store = opened()
    record(store, clock, T0, 1)
    arriving = make_vm(1, "kvm2", T0 + 5, state=VmState.PAUSED)
    both = [
        make_host("kvm1", T0 + 5, (make_vm(1, "kvm1", T0 + 5),)),
        make_host("kvm2", T0 + 5, (arriving,)),
    ]
    store.put_hosts(T0 + 5, both)
    gone = make_host("kvm1", T0 + 10)
    store.put_hosts(T0 + 10, [gone, make_host("kvm2", T0 + 10, (make_vm(1, "kvm2", T0 + 10),))])
    clock.now = T0 + 10
    settled(store)
    assert store.placements(uuid(1)) == [(T0, "kvm1", "running"), (T0 + 10, "kvm2", "running")]
    found = store.history(HistoryQuery("vm", uuid(1), "cpu", T0, T0 + 15, 3))
    assert [round(t - T0) for t in found.times] == [0, 5, 10]


def test_a_name_means_the_vm_that_has_it_now(opened: Opener, clock: Clock) -> None:
    """A new VM under an old name is the one a person asks for; a rename is followed."""
    store = opened()
    record(store, clock, T0, 1)
    renewed = make_vm(2, "kvm1", T0 + 60, name="web1", cpu_pct=77.0)
    renamed = make_vm(1, "kvm1", T0 + 60, name="old-web1")
    clock.now = T0 + 60
    store.put_hosts(T0 + 60, [make_host("kvm1", T0 + 60, (renewed, renamed))])
    clock.now = T0 + 65
    store.put_hosts(T0 + 65, [make_host("kvm1", T0 + 65, (replace(renewed, fast_at=T0 + 65),))])
    settled(store)
    found = store.history(HistoryQuery("vm", "web1", "cpu", T0, T0 + 120))
    assert set(found.means) == {77.0}
    assert (uuid(1), "old-web1") in store.names("vm")
    assert store.names("host") == [("kvm1", "kvm1")]


def test_a_deleted_vm_is_written_down_as_gone(opened: Opener, clock: Clock) -> None:
    """Placements end when no host lists a VM any more."""
    store = opened()
    record(store, clock, T0, 1, 2)
    for second in (5, 10, 15, 20):
        record(store, clock, T0 + second, 2)
    settled(store)
    assert store.placements(uuid(1)) == [(T0, "kvm1", "running"), (T0 + 5, "kvm1", "gone")]
    assert store.placements(uuid(2)) == [(T0, "kvm1", "running")]


@pytest.mark.parametrize(
    "name",
    ["", "a'b\"c; DROP TABLE rec.vm", "[red]x[/]", "\x1b[2J", "日本語", "\u202eabc", "x" * 500,
             "nul\0byte", "lone \ud800 surrogate"]
)  # fmt: skip
def test_weird_names_are_only_names(opened: Opener, clock: Clock, name: str) -> None:
    """Any name a hypervisor accepts is recorded and found again."""
    store = opened()
    clock.now = T0 + 1
    vm = make_vm(1, "kvm1", T0, name=name)
    store.put_hosts(T0, [make_host(name or "h", T0, (vm,))])
    settled(store)
    assert [ident for ident, _ in store.names("vm")] == [uuid(1)]
    found = store.history(HistoryQuery("vm", store.names("vm")[0][1], "cpu", T0, T0 + 60))
    assert found.means == (12.5,)


def test_questions_about_nothing_are_answered_with_a_reason(opened: Opener) -> None:
    """An unknown VM, metric or kind and an empty range each say so."""
    store = opened()
    for query, word in [
        (HistoryQuery("vm", "nobody", "cpu", T0, T0 + 1), "nobody"),
        (HistoryQuery("vm", "web1", "colour", T0, T0 + 1), "colour"),
        (HistoryQuery("pool", "web1", "cpu", T0, T0 + 1), "pool"),
        (HistoryQuery("vm", "web1", "cpu", T0, T0), "range"),
    ]:
        with pytest.raises(StoreError, match=word):
            store.history(query)


def test_events_and_jobs_come_back_newest_first(opened: Opener, clock: Clock) -> None:
    """Events filter by host, VM and time; a job's newest state is the only one."""
    store = opened()
    events = [
        Event(
            T0 + i, EventKind.BLOCK, f"kvm{i % 2}", f"e{i}", vm=uuid(i), severity=Severity.WARN
        )
        for i in range(4)
    ]  # fmt: skip
    store.put_events(events)
    store.put_job(make_job("a", T0))
    store.put_job(make_job("b", T0 + 1))
    store.put_job(make_job("a", T0, JobState.DONE))
    assert store.events() == events[::-1]
    assert store.events(host="kvm1") == [events[3], events[1]]
    assert store.events(vm=uuid(2), since=T0 + 1) == [events[2]]
    assert store.events(until=T0 + 2, limit=2) == [events[2], events[1]]
    assert store.events(kind=EventKind.BLOCK, least=Severity.WARN) == events[::-1]
    assert store.events(kind=EventKind.JOB) == store.events(least=Severity.ERROR) == []
    assert [(j.id, j.state) for j in store.jobs()] == [
        ("b", JobState.RUNNING),
        ("a", JobState.DONE),
    ]
    assert [j.id for j in store.jobs(unfinished=True)] == ["b"]
    assert store.jobs()[0] == make_job("b", T0 + 1)


def test_a_job_of_another_version_is_still_read() -> None:
    """Fields and words this version does not know cost nothing but themselves."""
    data = json.loads(json.dumps(to_plain(make_job("a", T0))))
    data["new_field"] = {"x": 1}
    data["state"] = "hibernating"
    data["plan"].pop("title")
    job = from_plain(Job, data)
    assert job.state is JobState.INTERRUPTED
    assert job.plan.title == ""
    data["plan"]["request"]["action"] = "teleport"
    with pytest.raises(ValueError, match="teleport"):
        from_plain(Job, data)


def test_export_writes_csv_and_parquet(opened: Opener, clock: Clock, tmp_path: Path) -> None:
    """The same rows of all that was asked in both formats, with names and times in UTC."""
    store = opened()
    for second in range(0, 60, 5):
        record(store, clock, T0 + second, 1)
    settled(store)
    query = [
        HistoryQuery("vm", "web1", "cpu", T0, T0 + 60),
        HistoryQuery("host", "kvm1", "load1", T0, T0 + 60),
    ]
    assert store.export(query, tmp_path / "x.csv") == 24
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert (rows[0]["name"], rows[0]["mean"], rows[0]["time"]) == (
        "web1",
        "12.5",
        "2027-01-15 08:00:00+00:00",
    )
    assert (rows[12]["name"], rows[12]["metric"], rows[12]["mean"]) == ("kvm1", "load1", "3.21")
    assert store.export(query, tmp_path / "it's.parquet") == 24
    with duckdb.connect() as connection:
        read = connection.execute(
            "SELECT count(*), avg(mean), min(epoch(time)), any_value(typeof(time))"
            " FROM read_parquet(?) WHERE metric = 'cpu'",
            [str(tmp_path / "it's.parquet")],
        ).fetchone()
    assert read == (12, 12.5, T0, "TIMESTAMP WITH TIME ZONE")
    with pytest.raises(StoreError, match=r"\.csv or \.parquet"):
        store.export(query, tmp_path / "x.txt")


def test_failed_jobs_are_found_until_somebody_decides(opened: Opener) -> None:
    """However many jobs came after; what is dismissed stays among all jobs."""
    store = opened()
    failed = replace(make_job("bad", T0, JobState.FAILED), followup=("retry", "dismiss"))
    store.put_job(failed)
    store.put_job(make_job("settled", T0 + 1, JobState.FAILED))
    store.put_job(replace(make_job("open", T0 + 2), followup=()))
    for number in range(20):
        store.put_job(make_job(f"done{number}", T0 + 3 + number, JobState.DONE))
    assert store.jobs(limit=5, failed=True) == [failed]
    store.put_job(replace(failed, followup=()))
    assert store.jobs(failed=True) == []
    assert len(store.jobs()) == 23
