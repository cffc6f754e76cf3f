"""Jobs in the shared journal: one a VM whoever writes, and only from the store's own user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.model.job import Job, JobState
from store.api import Store, StoreError
from tests.store.conftest import Opener
from tests.store.fleet import T0, make_job

ROOT = Path(__file__).resolve().parents[2]


def begin(store: Store, job: Job, beside: tuple[str, ...] = ()) -> str:
    """Write a new job; returns what went wrong as its code and proof, nothing if it was written."""
    try:
        store.put_job(job, beside)
    except StoreError as error:
        return f"{error.problem.code} {error.problem.proof}"
    return ""


def test_of_two_consoles_that_begin_at_once_one_does(opened: Opener) -> None:
    """Both have looked and seen nothing; the journal lets one of them in, whichever role it has."""
    stores = (opened(), opened())
    assert [store.status().role for store in stores] == ["writer", "reader"]
    for number in range(20):
        gate = threading.Barrier(2)
        told = ["", ""]

        def race(
            which: int, number: int = number, gate: threading.Barrier = gate, told: list[str] = told
        ) -> None:
            gate.wait()
            told[which] = begin(stores[which], make_job(f"{number}-{which}", T0 + number))

        racers = [threading.Thread(target=race, args=(which,)) for which in (0, 1)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        (job,) = stores[1].jobs(unfinished=True)
        winner = int(job.id[-1])
        assert told[winner] == ""
        assert told[1 - winner] == f"busy {job.id}"
        stores[1 - winner].put_job(replace(job, state=JobState.DONE))


def test_a_job_begins_beside_those_that_were_looked_at(opened: Opener) -> None:
    """Dead consoles' jobs that the new one knows of do not hinder it; one more does."""
    store = opened()
    store.put_job(make_job("dead", T0))
    assert begin(store, make_job("new", T0)) == "busy dead"
    assert begin(store, make_job("new", T0), ("dead",)) == ""
    assert begin(store, make_job("late", T0), ("dead",)) == "busy new"
    assert begin(store, make_job("new", T0), ("dead",)) == ""  # an answer that was lost: once more
    store.put_job(make_job("dead", T0, JobState.INTERRUPTED))
    store.put_job(replace(make_job("new", T0, JobState.DONE), ended_at=T0 + 5))
    assert begin(store, make_job("stale", T0 + 4)) == "busy new"
    assert begin(store, make_job("late", T0 + 6)) == ""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root")
def test_a_member_of_the_group_runs_no_jobs(opened: Opener, path: Path, tmp_path: Path) -> None:
    """Members read and record; what would make consoles act is refused with reason and way out."""
    store = opened(group="daemon")
    store.put_job(make_job("ours", T0))
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(parent.stat().st_mode | 0o055)
    as_member = ("setpriv", "--reuid=65534", "--regid=1", "--clear-groups")
    done = subprocess.run(
        [*as_member, sys.executable, "-m", "tests.store.server_child", str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout.splitlines()
    assert said[:2] == ["reader", "1 event, 1 job"], done.stderr
    assert len(said) == 4
    for refused in said[2:]:
        assert refused.startswith("forbidden: only the user whose history this is may run jobs")
        assert "[history] path" in refused
    assert [job.id for job in store.jobs()] == ["ours"]
