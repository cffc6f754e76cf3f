"""``novacron history``: which times and metrics it understands, and what it prints."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.config.paths import user_paths
from console.config.schema import FleetFile, HostEntry, VmEntry
from console.headless.arguments import parse
from console.headless.context import Context
from console.headless.recorded import metrics_of, moment, run_history
from console.headless.status import Exit
from drivers.model.history import VM_METRICS
from store.open import open_store
from store.settings import StoreSettings
from tests.store.fleet import make_host, make_vm

AT = 1_780_000_000.0  # 2026-05-28T20:26:40 UTC


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the local time zone for a test."""

    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "local", "epoch"),
    [
        ("2026-05-28T20:26:40", "UTC", AT),
        ("2026-05-28T22:26:40", "CET-1CEST,M3.5.0,M10.5.0/3", AT),
        ("2026-05-28T15:26:40", "EST5", AT),
        ("2026-05-28T20:26:40Z", "EST5", AT),
        ("2026-05-29 01:26:40+05:00", "EST5", AT),
        ("2026-05-28", "CET-1", 1_779_922_800.0),
        ("90s", "EST5", AT - 90),
        ("2h", "CET-1", AT - 7200),
    ],
)
def test_a_time_without_a_zone_is_local(
    zone: Callable[[str], None], text: str, local: str, epoch: float
) -> None:
    """As ``date`` and ``journalctl`` read it; a zone that is named is honoured."""
    zone(local)
    assert moment(text, AT) == epoch


@pytest.mark.parametrize("text", ["yesterdayish", "2026-13-01", "", "25:00", "0001-01-01"])
def test_nonsense_is_no_time(
    asked: Callable[..., int],
    zone: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    text: str,
) -> None:
    """It is answered with what a time looks like."""
    zone("CET-1")
    assert asked("--vm", "web1", "--metric", "cpu", since=text) == Exit.USAGE
    assert "Expected a time such as" in capsys.readouterr().err


def test_metrics_may_be_listed_repeated_and_shortened() -> None:
    """``cpu,mem`` is cpu and mem_used; what several begin with is none of them."""
    assert metrics_of(["cpu,mem", "rx", "cpu"], VM_METRICS) == ["cpu", "mem_used", "rx_bps"]
    for word in ("read", "colour"):
        with pytest.raises(ValueError, match=word):
            metrics_of([word], VM_METRICS)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the verb over a store that holds a minute of two VMs."""
    path = tmp_path / "data" / "history.duckdb"
    settings = StoreSettings(clock=lambda: AT + 60, free_bytes=0)
    store = open_store(path, settings=settings)
    for second in range(0, 60, 5):
        at = AT + second
        vms = tuple(make_vm(n, "kvm1", at, cpu_pct=10.0 * n) for n in (1, 2))
        store.put_hosts(at, [make_host("kvm1", at, vms)])
    store.close()
    monkeypatch.setattr(Context, "database", path, raising=False)
    monkeypatch.setattr(
        Context, "open_store", lambda _self: open_store(path, settings=settings, want_writer=False)
    )

    def run(*words: str, since: str = "2026-05-28T20:26:40Z") -> int:
        span = ["--since", since, "--until", "2026-05-28T20:27:40Z"]
        fleet = FleetFile(
            hosts=(HostEntry(name="kvm9", uri="qemu+ssh://root@kvm9/system"),),
            vms={"planned": VmEntry()},
        )
        return run_history(parse(["history", *words, *span]), Context(user_paths(None), fleet))

    return run


def test_several_vms_and_metrics_at_once(
    asked: Callable[..., int], zone: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each row says whose it is, which metric, and when with its zone."""
    zone("CET-1CEST,M3.5.0,M10.5.0/3")
    assert asked("--vm", "web1", "web2", "--metric", "cpu,mem", "--json") == Exit.OK
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 2 * 2 * 12
    assert {(r["vm"], r["metric"]) for r in rows} == {
        (vm, metric) for vm in ("web1", "web2") for metric in ("cpu", "mem_used")
    }
    assert list(rows[0]) == ["vm", "metric", "time", "mean", "max"]
    assert list(rows[0].values()) == ["web1", "cpu", "2026-05-28T22:26:40+02:00", 10.0, 10.0]
    assert asked("--vm", "web1", "--vm", "web2", "--metric", "cpu") == Exit.OK
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["VM", "METRIC", "TIME", "MEAN", "MAX"]
    assert len(table) == 1 + 24
    assert "+02:00" in table[1]


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
@pytest.mark.parametrize(
    ("kind", "name"), [("vm", "wbe1"), ("vm", "kvm1"), ("host", "kvm3"), ("host", "web1")]
)
def test_a_misspelt_name_is_a_wrong_command_line(
    asked: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    form: tuple[str, ...],
    kind: str,
    name: str,
) -> None:
    """It says where it looked, and prints nothing that a script could take for an answer."""
    right = {"vm": "web1", "host": "kvm1"}[kind]
    assert asked(f"--{kind}", right, name, "--metric", "cpu", *form) == Exit.USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert f"called {name} is on record in" in told.err
    assert "history.duckdb" in told.err


@pytest.mark.parametrize(("kind", "name"), [("vm", "planned"), ("host", "kvm9")])
def test_what_is_configured_and_was_never_seen_is_no_mistake(
    asked: Callable[..., int], capsys: pytest.CaptureFixture[str], kind: str, name: str
) -> None:
    assert asked(f"--{kind}", name, "--metric", "cpu") == Exit.OK
    assert f"Nothing was ever recorded of {name}." in capsys.readouterr().err


def test_a_vm_on_record_without_samples_in_the_range_is_said_to_have_none(
    asked: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """By its UUID in capitals too."""
    for name in ("web1", make_vm(1, "kvm1", AT).uuid.upper()):
        status = asked("--vm", name, "--metric", "cpu", since="2026-05-28T20:27:38Z")
        assert status == Exit.OK
        assert f"Nothing is recorded of {name} cpu in that range." in capsys.readouterr().err


def test_several_go_into_one_file(asked: Callable[..., int], tmp_path: Path) -> None:
    """CSV and Parquet hold all of them."""
    target = tmp_path / "out.csv"
    assert asked("--vm", "web1", "web2", "--metric", "cpu", "--metric", "rss", "--csv",
                 str(target)) == Exit.OK  # fmt: skip
    rows = list(csv.DictReader(target.open()))
    assert len(rows) == 48
    assert {(r["name"], r["metric"]) for r in rows} == {
        ("web1", "cpu"), ("web1", "rss"), ("web2", "cpu"), ("web2", "rss"),
    }  # fmt: skip
    assert rows[0]["time"] == "2026-05-28 20:26:40+00:00"
    target = tmp_path / "out.parquet"
    assert asked("--host", "kvm1", "--metric", "load", "--parquet", str(target)) == Exit.OK
    assert target.read_bytes()[:4] == b"PAR1"
