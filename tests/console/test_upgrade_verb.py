"""``novacron upgrade`` and ``jobs skip``: words, JSON and exit statuses."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from types import SimpleNamespace

import pytest

from console.headless import upgrade as verb
from console.headless.arguments import parse
from console.headless.operations import run_plan
from console.headless.progress import OperationWatch
from console.headless.session import _rests
from console.headless.status import Exit
from console.policy.upgrade.plan import stage_runs
from console.policy.upgrade.words import upgrade_words
from drivers.errors import Gone
from drivers.model.job import JobState
from drivers.model.operation import (
    DEFECT,
    Choice,
    MoveRun,
    MoveState,
    Operation,
    OperationPlan,
    OperationState,
)
from drivers.model.problem import Problem
from tests.policy.test_drain import drain, fleet, guest
from tests.policy.test_upgrade import upgrade
from tests.screens.backend import done

LOCAL = guest(2, shared=False)


def plan(web2: Choice) -> OperationPlan:
    chosen = {LOCAL.uuid: web2}
    return upgrade(fleet(guest(1), LOCAL), ("kvm1", "kvm2"), choices=chosen)


def operation(state: OperationState, *stages: MoveState) -> Operation:
    made = plan(web2=Choice.LEAVE)
    assert made.upgrade is not None
    runs = list(stage_runs(made.upgrade))
    for number, each in enumerate(stages):
        runs[number] = replace(runs[number], state=each, note="exit status 0", output="ok")
    one = Operation("upgrade-1", made, state, stages=tuple(runs))
    return replace(one, outcome=upgrade_words(one))


class FakeSession:
    """Plans over a small fleet; follows to the operation it was given."""

    def __init__(self, end: Operation) -> None:
        self.end = end
        self.asked: list[tuple[object, ...]] = []
        self.snapshot = fleet(guest(1), LOCAL)
        self.engine = SimpleNamespace(maintenance=self)

    def find(self, name: str):
        return next(v for v in self.snapshot.vms() if v.name == name)

    def plan_upgrade(self, hosts, name, choices, *, max_out, canary):
        self.asked.append((hosts, name, dict(choices), max_out, canary))
        if name == "nightly":
            raise Gone("how to upgrade hosts is not configured: there is no [upgrades.nightly]")
        return done(upgrade(self.snapshot, hosts, choices=choices))

    def start(self, chosen: OperationPlan, parent: str):
        return done("upgrade-1")

    def leases(self):
        return done({"kvm2": "anna@jump since noon"})

    def wait(self, *_: object) -> None:
        return None

    def follow_operation(self, operation_id: str, watch) -> tuple[Operation, bool]:
        watch(self.end)
        return self.end, False

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        return None


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, FakeSession]:
    session = FakeSession(operation(OperationState.DONE, *[MoveState.DONE] * 10))
    monkeypatch.setattr(verb, "open_session", lambda *_: session)
    context = SimpleNamespace(source=lambda: None, open_store=None)
    status = verb.run_upgrade(parse(["upgrade", *words]), context)  # type: ignore[arg-type]
    return status, session


def test_a_dry_run_shows_it_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A table of hosts and every line that is run; whole as JSON; refused while a choice waits."""
    status, session = run(monkeypatch, "--hosts", "kvm1,kvm2", "--dry-run", "--json")
    assert status == Exit.REFUSED
    assert "a choice is needed for web2" in capsys.readouterr().err
    words = ("--hosts", "kvm1", "kvm2", "--leave", "all", "--canary", "kvm1", "--max-out", "2")
    status, session = run(monkeypatch, *words, "--dry-run", "--json")
    assert status == Exit.OK
    assert session.asked[-1] == (("kvm1", "kvm2"), "", {LOCAL.uuid: Choice.LEAVE}, 2, "kvm1")
    out, err = capsys.readouterr()
    for line in ("apt-get -y full-upgrade", "systemctl reboot", "kvm1 (canary)", "N+1: ",
                 "moves take about", "GOES DOWN", "anna@jump since noon"):  # fmt: skip
        assert line in err
    told = json.loads(out)
    assert [h["host"] for h in told["upgrade"]["hosts"]] == ["kvm1", "kvm2"]
    status, _ = run(monkeypatch, "--hosts", "kvm1", "--leave", "web2", "--yes")
    assert status == Exit.OK
    assert "2 of 2 hosts done; safe to stop: yes" in capsys.readouterr().out


def test_what_is_not_configured_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """With the table that is missing."""
    status, _ = run(monkeypatch, "--hosts", "kvm1", "--name", "nightly", "--dry-run")
    assert status == Exit.REFUSED
    assert "[upgrades.nightly]" in capsys.readouterr().err


def test_stages_are_told_as_they_change_and_a_stop_is_a_failure(
    capsys: pytest.CaptureFixture[str],
):
    """Words once each; JSON whole at each line; paused for a person is no success."""
    watch = OperationWatch(as_json=False)
    watch(operation(OperationState.RUNNING, MoveState.DONE, MoveState.RUNNING))
    watch(operation(OperationState.RUNNING, MoveState.DONE, MoveState.RUNNING))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "kvm1 drain done: exit status 0",
        "kvm1 command running: exit status 0 (apt-get -y full-upgrade)",
    ]
    OperationWatch(as_json=True)(operation(OperationState.RUNNING, MoveState.DONE))
    told = json.loads(capsys.readouterr().out)
    assert told["stages"][0]["state"] == "done"
    assert told["stages"][1]["command"] == "apt-get -y full-upgrade"
    problem = Problem("kvm1 cannot go on at command: exit status 1", "", "novacron jobs skip")
    stopped = operation(OperationState.PAUSED, MoveState.DONE, MoveState.FAILED)
    session = FakeSession(replace(stopped, problem=problem))
    args = Namespace(json=False, dry_run=False, yes=True)
    assert run_plan(args, session, plan(web2=Choice.LEAVE)) == Exit.FAILED  # type: ignore[arg-type]
    assert "novacron jobs skip" in capsys.readouterr().err
    assert parse(["jobs", "skip", "upgrade-1"]).verb == "skip"


def test_a_pause_waits_for_what_moves_but_not_for_commands():
    """Commands go on without a console; a migration is waited for."""
    paused = operation(OperationState.PAUSED, MoveState.RUNNING)
    first = replace(paused.stages[0], ticket="upgrade-1.s1.1")
    paused = replace(paused, stages=(first, *paused.stages[1:]))
    assert _rests(paused, (), ())
    moving = drain(fleet(guest(1)))
    run_ = MoveRun(moving.moves[0], MoveState.RUNNING)
    child = Operation("upgrade-1.s1.1", moving, OperationState.PAUSED, (run_,))
    assert not _rests(paused, (paused, child), ())


def test_what_its_console_gave_up_is_waited_for_only_while_its_jobs_run():
    """Nobody marks its moves as arrived any more."""
    moving = drain(fleet(guest(1)))
    run_ = MoveRun(moving.moves[0], MoveState.RUNNING, ticket="drain-1.m1")
    problem = Problem("the console itself failed", code=DEFECT)
    left = Operation("drain-1", moving, OperationState.PAUSED, (run_,), problem=problem)
    job = SimpleNamespace(plan=SimpleNamespace(id="drain-1.m1"), state=JobState.RUNNING)
    assert not _rests(left, (left,), (job,))  # type: ignore[arg-type]
    job.state = JobState.DONE
    assert _rests(left, (left,), (job,))  # type: ignore[arg-type]
