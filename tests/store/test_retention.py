"""Rollups, retention and the size of the file, on a fast clock."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.model.event import Event, EventKind
from drivers.model.history import HistoryQuery
from drivers.model.host import Host
from drivers.model.vm import VmState
from store import queries
from store.recorder import Recorder
from store.ring import Ring
from store.sample import pack
from store.settings import HOUR, StoreSettings
from tests.store.conftest import Clock
from tests.store.fleet import T0, make_host, make_vm, noisy_fleet, uuid


def sweep(recorder: Recorder, clock: Clock, at: float, cpu: float) -> None:
    """One sample of one VM, committed and packed if due."""
    clock.now = at
    batch = pack(at, make_host("kvm1", at, (make_vm(1, "kvm1", at, cpu_pct=cpu),)))
    assert batch is not None
    recorder.ring.put("test", [batch])


def make_recorder(path: Path, clock: Clock, **changes: float) -> Recorder:
    """An open recorder driven by hand."""
    settings = StoreSettings(clock=clock, ticks=clock.ticks, free_bytes=0, **changes)  # type: ignore[arg-type]
    recorder = Recorder(path, settings, Ring(1_000_000))
    recorder.open()
    return recorder


def ask(
    recorder: Recorder, query: HistoryQuery
) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """(source, means, maxima)."""
    with recorder.database.cursor() as cursor:
        found = queries.history(cursor, query, recorder.settings)
    return found.source, found.means, found.maxima


def test_rollups_hold_means_and_maxima_and_samples_go(path: Path, clock: Clock) -> None:
    """After the raw days are over, minutes answer, then hours, with the same means and peaks."""
    recorder = make_recorder(path, clock, raw_s=2 * HOUR, minute_s=6 * HOUR)
    try:
        for i in range(720):
            sweep(recorder, clock, T0 + 5 * i, 90.0 if i == 100 else 10.0)
        recorder.step()
        first_hour = HistoryQuery("vm", "web1", "cpu", T0, T0 + HOUR, 60)
        raw = ask(recorder, first_hour)
        assert raw[0] == "raw"
        assert raw[1][8] == pytest.approx((11 * 10 + 90) / 12)
        assert (max(raw[2]), len(raw[1])) == (90.0, 60)
        for later, source, points in ((3, "1m", 60), (7, "1h", 1)):
            sweep(recorder, clock, T0 + later * HOUR + 120, 50.0)
            recorder.step()
            found = ask(recorder, first_hour)
            assert (found[0], len(found[1]), max(found[2])) == (source, points, 90.0)
            assert sum(found[1]) / points == pytest.approx(10.0 + 80 / 720, abs=0.06)
        with recorder.database.cursor() as cursor:
            oldest = cursor.execute(
                "SELECT (SELECT min(ts) FROM rec.vm_hist), (SELECT min(ts) FROM rec.vm_1m)"
            ).fetchone()
        assert oldest is not None
        assert oldest[0] is None
        assert oldest[1] >= T0 + HOUR
    finally:
        recorder.close()


def test_the_newest_samples_continue_a_long_range(path: Path, clock: Clock) -> None:
    """A week's view ends now, not at the last full hour."""
    recorder = make_recorder(path, clock, raw_s=HOUR)
    try:
        for minute in range(150):
            sweep(recorder, clock, T0 + 60 * minute, 10.0)
            recorder.step()
        since = T0 - 4 * HOUR
        source, means, _ = ask(
            recorder, HistoryQuery("vm", "web1", "cpu", since, T0 + 3 * HOUR, 420)
        )
        assert (source, len(means)) == ("1m", 150)
    finally:
        recorder.close()


def test_a_clock_set_back_does_not_stop_packing(path: Path, clock: Clock) -> None:
    """After a spell in a wrong future, hours are packed again."""
    recorder = make_recorder(path, clock)
    try:
        sweep(recorder, clock, T0 + 1000 * HOUR, 10.0)
        recorder.step()
        clock.now = T0 + 1003 * HOUR
        recorder.step()
        for hour in range(3):
            sweep(recorder, clock, T0 + hour * HOUR + 600, 10.0)
            recorder.step()
        with recorder.database.cursor() as cursor:
            packed = cursor.execute("SELECT count(*) FROM rec.vm_1h WHERE ts < ?", [T0 + 10 * HOUR])
            assert packed.fetchone() == (2,)
    finally:
        recorder.close()


def test_a_clock_set_back_loses_no_packed_history(path: Path, clock: Clock) -> None:
    """The hours packed before the spell in a wrong future are still there after it."""
    recorder = make_recorder(path, clock)
    try:
        for hour in (0, 1, 2, 20):
            sweep(recorder, clock, T0 + hour * HOUR + 600, 10.0)
            recorder.step()
        clock.now = T0 + 23 * HOUR
        recorder.step()
        for hour in (4, 5, 6):
            sweep(recorder, clock, T0 + hour * HOUR + 600, 10.0)
            recorder.step()
        with recorder.database.cursor() as cursor:
            for question in (
                "SELECT ts FROM rec.vm_1m WHERE ts < ? ORDER BY ts",
                "SELECT ts FROM rec.vm_1h WHERE ts < ? ORDER BY ts",
            ):
                rows = cursor.execute(question, [T0 + 10 * HOUR]).fetchall()
                hours = [int((ts - T0) // HOUR) for (ts,) in rows]
                assert hours == [0, 1, 2, 4, 5]
    finally:
        recorder.close()


def always_fresh(fleet: tuple[Host, ...]) -> list[Host]:
    """The same hosts with figures that never become stale."""
    return [
        replace(
            host,
            fast_at=4e9,
            slow_at=4e9,
            vms=tuple(replace(vm, fast_at=4e9, slow_at=4e9) for vm in host.vms),
        )
        for host in fleet
    ]


def figure(recorder: Recorder, text: str) -> int:
    """One number out of the file."""
    with recorder.database.cursor() as cursor:
        found = cursor.execute(text).fetchone()
    assert found is not None
    return int(found[0])


def test_the_file_stops_growing(path: Path, clock: Clock) -> None:
    """Over fifteen raw and five whole retentions, with VMs that come and go, it stays as it is.

    Freed blocks are used again, and names of which nothing is left are forgotten.
    """
    recorder = make_recorder(path, clock, raw_s=2 * HOUR, minute_s=3 * HOUR, hour_s=6 * HOUR)
    sizes, blocks, names = [], [], []
    try:
        for hour in range(30):
            fleet = noisy_fleet(4, 50, T0, random.Random(hour))
            # Every hour ten VMs of each host are deleted and ten new ones made.
            kept = [replace(h, vms=tuple(
                replace(vm, uuid=uuid(10_000 * number + slot + 10 * hour))
                for slot, vm in enumerate(h.vms))) for number, h in enumerate(fleet)]  # fmt: skip
            for i in range(15):
                clock.now = T0 + hour * HOUR + 240 * i
                hosts = always_fresh(tuple(kept))
                recorder.ring.put("test", [b for h in hosts if (b := pack(clock.now, h))])
                recorder.ring.put_events("test", [
                    Event(clock.now, EventKind.LIFECYCLE, "kvm0", f"{hour} {n}") for n in range(20)
                ])  # fmt: skip
            recorder.step()
            sizes.append(path.stat().st_size)
            blocks.append(figure(recorder, "SELECT used_blocks FROM pragma_database_size()"))
            names.append(figure(recorder, "SELECT count(*) FROM rec.vm"))
    finally:
        recorder.close()
    assert max(sizes[15:]) <= 1.1 * max(sizes[8:15])
    assert max(blocks[15:]) <= 1.1 * max(blocks[8:15])
    assert max(names[15:]) <= max(names[8:15]) <= 200 + 40 * 8


def test_a_vm_that_comes_back_after_it_was_forgotten_is_recorded(path: Path, clock: Clock) -> None:
    """Its old number is gone, and so is nothing that it does from now on."""
    recorder = make_recorder(path, clock, raw_s=HOUR, minute_s=HOUR, hour_s=2 * HOUR)
    try:
        sweep(recorder, clock, T0, 10.0)
        recorder.step()
        empty = pack(T0 + 60, make_host("kvm1", T0 + 60))
        assert empty is not None
        recorder.ring.put("test", [empty])
        recorder.step()
        for hour in range(1, 8):
            clock.now = T0 + hour * HOUR + 600
            batch = pack(clock.now, make_host("kvm2", clock.now, (make_vm(2, "kvm2", clock.now),)))
            assert batch is not None
            recorder.ring.put("test", [batch])
            recorder.step()
        with recorder.database.cursor() as cursor:
            assert queries.names(cursor, "vm") == [(uuid(2), "web2")]
            assert queries.names(cursor, "host") == [("kvm2", "kvm2")]
        sweep(recorder, clock, clock.now + 60, 30.0)
        recorder.step()
        found = ask(recorder, HistoryQuery("vm", "web1", "cpu", T0, clock.now + 60))
        assert found[1] == (30.0,)
        with recorder.database.cursor() as cursor:
            assert queries.placements(cursor, uuid(1))[-1][1:] == ("kvm1", "running")
    finally:
        recorder.close()


def test_a_vm_that_is_off_for_ever_is_not_forgotten(path: Path, clock: Clock) -> None:
    """It has no samples, but its host lists it: its name and its place stay."""
    recorder = make_recorder(path, clock, raw_s=HOUR, minute_s=HOUR, hour_s=2 * HOUR)
    try:
        for hour in range(8):
            at = clock.now = T0 + hour * HOUR + 600
            off = make_vm(1, "kvm1", at, state=VmState.OFF)
            batch = pack(at, make_host("kvm1", at, (off,)))
            assert batch is not None
            recorder.ring.put("test", [batch])
            recorder.step()
        with recorder.database.cursor() as cursor:
            assert queries.names(cursor, "vm") == [(uuid(1), "web1")]
            assert queries.placements(cursor, uuid(1)) == [(T0 + 600, "kvm1", "off")]
    finally:
        recorder.close()


def test_what_vanished_while_nobody_recorded_is_gone(path: Path, clock: Clock) -> None:
    """The next recorder misses it in its host's first list."""
    recorder = make_recorder(path, clock)
    sweep(recorder, clock, T0, 10.0)
    recorder.step()
    recorder.close()
    recorder = make_recorder(path, clock)
    try:
        for second in (600, 620):
            clock.now = T0 + second
            empty = pack(clock.now, make_host("kvm1", clock.now))
            assert empty is not None
            recorder.ring.put("test", [empty])
            recorder.step()
        with recorder.database.cursor() as cursor:
            assert [row[2] for row in queries.placements(cursor, uuid(1))] == ["running", "gone"]
    finally:
        recorder.close()


def test_ended_operations_go_with_their_wishes(path: Path, clock: Clock) -> None:
    """What has ended goes when it is as old as the longest history; what has not stays whole."""
    recorder = make_recorder(path, clock, hour_s=10 * HOUR)
    try:
        with recorder.database.cursor() as cursor:
            for ident, at, ended in (("old", 0, True), ("open", 0, False), ("new", 11, True)):
                moment = T0 + at * HOUR
                cursor.execute(
                    "INSERT INTO rec.operation (id, created_at, ended) VALUES (?, ?, ?)",
                    [ident, moment, ended],
                )
                wish = [ident, "pause", moment, "me@here"]
                cursor.execute("INSERT INTO rec.operation_wish VALUES (?, ?, ?, ?)", wish)
        sweep(recorder, clock, T0 + 12 * HOUR, 10.0)
        recorder.step()
        with recorder.database.cursor() as cursor:
            for question in (
                "SELECT id FROM rec.operation ORDER BY id",
                "SELECT id FROM rec.operation_wish ORDER BY id",
            ):
                assert cursor.execute(question).fetchall() == [("new",), ("open",)], question
    finally:
        recorder.close()
