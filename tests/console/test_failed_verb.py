"""``novacron jobs failed``, ``retry`` and ``dismiss``, on libvirt's own test driver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.headless.status import Exit
from drivers.model.job import Action, Check, Job, JobState, Plan, Request, Step, StepRun, Verdict
from drivers.model.problem import Problem
from store.open import open_store
from store.settings import StoreSettings
from tests.console.test_headless import URI, Run, run
from tests.node import ONE_VM

pytest.importorskip("libvirt")

__all__ = ["run"]

TEST = "6695eb01-f6a4-8304-79aa-97f2502e193f"
"""The one VM of ``ONE_VM``."""


def keep_failed(folder: Path, *names: str) -> None:
    """Put failed jobs on record, as an earlier console left them."""
    (path,) = folder.rglob("*.duckdb")
    store = open_store(path, settings=StoreSettings(), want_writer=True)
    for at, name in enumerate(names, 1):
        plan = Plan(
            f"plan-{name}", Request(Action.PAUSE, TEST), "test", "test", float(at), "Pause test",
            (Step("pause", "Pause the VM"),),
            (Check("clock", Verdict.WARN, "its clock is 3 s off"),),
        )  # fmt: skip
        store.put_job(
            Job(
                name, plan, JobState.FAILED, (StepRun(plan.steps[0], JobState.FAILED),),
                owner="me@here:4194304:1", created_at=float(at), started_at=float(at),
                ended_at=at + 2.0,
                problem=Problem("the monitor hangs", "no answer in 10 s", "wait"),
                outcome="test is running on test.", followup=("retry", "dismiss"),
            )
        )  # fmt: skip
    store.close()


def test_what_failed_is_listed_tried_again_and_dismissed(run: Run, tmp_path: Path) -> None:
    assert run("pause", "test", "--yes", *URI)[0] == Exit.OK
    keep_failed(tmp_path, "job-a", "job-b")
    status, out, _ = run("jobs", "failed", "--json")
    assert status == Exit.OK
    newest, older = json.loads(out)
    assert (newest["id"], older["id"]) == ("job-b", "job-a")
    assert newest["what"] == "Pause test"
    assert newest["why"] == "the monitor hangs"
    assert newest["evidence"] == ["no answer in 10 s", "warn: its clock is 3 s off"]
    assert newest["tried"] == ["failed: Pause the VM"]
    assert newest["offers"] == ["retry", "dismiss"]
    _, table, _ = run("jobs", "failed")
    assert "job-a" in table
    listed = {row["id"]: row["next"] for row in json.loads(run("jobs", "--json")[1])}
    assert listed["job-a"] == "retry, dismiss"
    assert "next: retry, dismiss" in run("jobs", "show", "job-a")[1]

    status, _, err = run("jobs", "dismiss", "job-a", *URI)
    assert (status, "off the list" in err) == (Exit.OK, True)
    status, out, err = run("jobs", "retry", "job-b", "--yes", *URI)
    assert status == Exit.OK, err
    assert f"virsh -c {ONE_VM} suspend" in err
    again = json.loads(out.splitlines()[-1])
    assert again["state"] == "done"
    assert json.loads(run("jobs", "failed", "--json")[1]) == []

    _, out, _ = run("jobs", "show", "job-b", "--json")
    assert json.loads(out)["outcome"] == f"tried again as {again['job']}"
    assert json.loads(run("jobs", "show", "job-a", "--json")[1])["state"] == "failed"
    titles = [json.loads(line)["title"] for line in run("audit", "--json")[1].splitlines()]
    assert titles[2:] == ["Dismiss: Pause test"] * 2 + ["Pause test"] * 2


def test_what_did_not_fail_is_neither_tried_again_nor_dismissed(run: Run) -> None:
    _, out, _ = run("pause", "test", "--yes", *URI)
    ident = json.loads(out.splitlines()[-1])["job"]
    for verb in ("retry", "finish", "recover", "dismiss"):
        status, _, err = run("jobs", verb, ident, *URI)
        assert status == Exit.REFUSED
        assert "does not offer" in err


@pytest.mark.parametrize(
    "verb", ["show", "retry", "finish", "recover", "dismiss", "undo", "pause", "resume", "cancel"]
)
def test_a_job_that_is_not_there_is_a_wrong_command_line(run: Run, verb: str) -> None:
    assert run("pause", "test", "--yes", *URI)[0] == Exit.OK
    status, out, err = run("jobs", verb, "job-nobody", *URI)
    assert (status, out) == (Exit.USAGE, "")
    assert err.startswith("There is no ")
    assert "job-nobody; see novacron jobs." in err


def test_only_what_is_planned_can_be_tried_dry(run: Run) -> None:
    """Asked to only show a plan, a verb that has none does nothing."""
    status, _, err = run("jobs", "dismiss", "job-a", "--dry-run", *URI)
    assert status == Exit.USAGE
    assert "no --dry-run" in err
