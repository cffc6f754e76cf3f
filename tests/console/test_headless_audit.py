"""``novacron audit`` over jobs that were really run, on libvirt's own test driver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.headless.status import Exit
from tests.console.test_headless import URI, Run, run
from tests.node import ONE_VM

pytest.importorskip("libvirt")

__all__ = ["run"]


def test_a_job_is_listed_verified_and_tampering_is_found(run: Run, tmp_path: Path) -> None:
    assert run("pause", "test", "--yes", *URI)[0] == Exit.OK
    assert run("force-off", "test", "--yes", *URI)[0] == Exit.OK
    status, out, _ = run("audit", "--json")
    assert status == Exit.OK
    entries = [json.loads(line) for line in out.splitlines()]
    assert [e["deed"] for e in entries] == ["begun", "ended"] * 2
    assert any(f"virsh -c {ONE_VM} suspend" in c for c in entries[0]["commands"])
    assert entries[1]["state"] == "done"
    _, table, _ = run("audit", "--limit", "1")
    assert "Force off test" in table
    assert "Pause test" not in table
    status, out, _ = run("audit", "verify", "--json")
    assert status == Exit.OK
    assert json.loads(out)["sound"] is True

    (ledger,) = tmp_path.rglob("audit.jsonl")
    text = ledger.read_text()
    ledger.write_text(text.replace("Pause test", "Reset test", 1))
    status, out, err = run("audit", "verify")
    assert status == Exit.FAILED
    assert "line 1: this entry was changed" in err
    assert "1 fault in 4 entries" in out


def test_a_job_missing_from_the_ledger_is_found_through_the_journal(
    run: Run, tmp_path: Path
) -> None:
    """Ledger and head were both made anew without one job: the journal still knows it."""
    assert run("pause", "test", "--yes", *URI)[0] == Exit.OK
    (ledger,) = tmp_path.rglob("audit.jsonl")
    kept = ledger.read_bytes(), ledger.with_name("audit.jsonl.head").read_bytes()
    assert run("force-off", "test", "--yes", *URI)[0] == Exit.OK
    ledger.write_bytes(kept[0])
    ledger.with_name("audit.jsonl.head").write_bytes(kept[1])
    status, _, err = run("audit", "verify")
    assert status == Exit.FAILED
    assert "the ledger does not" in err
    assert "Force off test" in err


def test_nothing_recorded_is_sound(run: Run) -> None:
    status, out, _ = run("audit", "verify")
    assert status == Exit.OK
    assert "0 entries" in out


def test_the_trace_of_a_job_is_a_table_or_otlp(run: Run) -> None:
    assert run("pause", "test", "--yes", *URI)[0] == Exit.OK
    (job,) = {json.loads(line)["job"] for line in run("audit", "--json")[1].splitlines()}
    status, out, _ = run("trace", job)
    assert status == Exit.OK
    assert "virDomainSuspend" in out
    status, out, _ = run("trace", job, "--otlp")
    assert status == Exit.OK
    (resource,) = json.loads(out)["resourceSpans"]
    names = [span["name"] for span in resource["scopeSpans"][0]["spans"]]
    assert names[0] == "Pause test"
    assert any("virDomainSuspend" in name for name in names)
    status, _, err = run("trace", "nosuchjob")
    assert status == Exit.USAGE
    assert "No jobs or operations have an id" in err
