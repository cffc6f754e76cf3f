"""Drain, return, cordon and jobs on the command line: words, JSON and exit statuses."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from types import SimpleNamespace

import pytest

from console.headless.arguments import parse
from console.headless.choices import named_choices, targets_of
from console.headless.operations import _steer, run_plan
from console.headless.progress import OperationWatch, print_plan
from console.headless.session import Unknown
from console.headless.status import Exit
from console.policy.drain.layout import Wishes
from console.policy.drain.words import progress_words
from drivers.errors import Busy, Refused
from drivers.model.operation import (
    Choice,
    MoveRun,
    MoveState,
    Operation,
    OperationPlan,
    OperationState,
)
from drivers.model.problem import Problem
from tests.policy.test_drain import drain, fleet, guest
from tests.screens.backend import done

LOCAL = guest(2, shared=False)


def plan(**choices: Choice) -> OperationPlan:
    named = {"web2": LOCAL.uuid}
    wishes = Wishes(choices={named[name]: choice for name, choice in choices.items()})
    return drain(fleet(guest(1), LOCAL), wishes)


def operation(state: OperationState, move: MoveState, note: str = "") -> Operation:
    made = plan(web2=Choice.LEAVE)
    one = Operation("op-1", made, state, (MoveRun(made.moves[0], move, note=note),))
    return replace(one, outcome=progress_words(one, 1))


class FakeSession:
    """Starts nothing; follows to the operation it was given."""

    def __init__(self, end: Operation, *, refuses: Exception | None = None) -> None:
        self.end = end
        self.refuses = refuses
        self.started: list[OperationPlan] = []
        self.engine = SimpleNamespace(maintenance=self)

    def start(self, chosen: OperationPlan, parent: str):
        if self.refuses is not None:
            raise self.refuses
        self.started.append(chosen)
        return done("op-1")

    def leases(self):
        return done({"kvm2": "anna@jump since noon", "kvm9": "bert"})

    def follow_operation(self, operation_id: str, watch) -> tuple[Operation, bool]:
        watch(self.end)
        return self.end, False


def run(session: FakeSession, chosen: OperationPlan, **options: object) -> int:
    args = Namespace(**{"json": False, "dry_run": False, "yes": True, **options})
    return run_plan(args, session, chosen)  # type: ignore[arg-type]


def test_the_verbs_and_their_options_are_understood():
    """Choices repeat; a verb of jobs may be left out."""
    args = parse(["drain", "kvm1", "--leave", "a", "--leave", "b", "--copy", "all", "--to", "c=k2"])
    assert (args.command, args.host, args.leave, args.copy) == (
        "drain", "kvm1", ["a", "b"], ["all"],
    )  # fmt: skip
    assert args.to == ["c=k2"]
    assert parse(["jobs"]).verb == "list"
    assert parse(["jobs", "resume", "x"]).id == "x"
    assert parse(["return", "kvm1", "--dry-run"]).dry_run
    assert parse(["cordon", "kvm1", "--reason", "disk"]).reason == "disk"
    assert parse(["uncordon", "kvm1"]).host == "kvm1"


def test_a_plan_is_told_with_blocked_vms_first(capsys: pytest.CaptureFixture[str]):
    """In words on standard error; whole and readable again on standard output."""
    print_plan(plan(), as_json=True)
    out, err = capsys.readouterr()
    assert err.index("cannot simply move: web2") < err.index("migrate web1")
    assert "--copy, --leave, --shutdown" in err
    assert "Refused: a choice is needed for web2." in err
    told = json.loads(out)
    assert [s["vm_name"] for s in told["stuck"]] == ["web2"]
    assert told["outlook"] == "impossible"


def test_exit_statuses_tell_how_it_went(capsys: pytest.CaptureFixture[str]):
    """Undecided and refused plans start nothing; a pause is a failure with the way on."""
    finished = operation(OperationState.DONE, MoveState.DONE)
    session = FakeSession(finished)
    assert run(session, plan()) == Exit.REFUSED
    assert run(session, replace(plan(), refusal=Problem("too old"))) == Exit.REFUSED
    assert run(session, plan(web2=Choice.LEAVE), dry_run=True) == Exit.OK
    assert run(session, plan(web2=Choice.LEAVE), yes=False) == Exit.REFUSED
    assert not session.started
    assert run(session, plan(web2=Choice.LEAVE)) == Exit.OK
    assert len(session.started) == 1
    assert "1 of 1 moved, web2 left on kvm1 by choice" in capsys.readouterr().out
    stopped = operation(OperationState.PAUSED, MoveState.BLOCKED, "kvm2 is full")
    assert run(FakeSession(stopped), plan(web2=Choice.LEAVE)) == Exit.FAILED
    told = capsys.readouterr()
    assert "web1 blocked: kvm2 is full" in told.out
    assert "novacron jobs resume op-1" in told.err
    cancelled = operation(OperationState.CANCELLED, MoveState.DROPPED)
    assert run(FakeSession(cancelled), plan(web2=Choice.LEAVE)) == Exit.FAILED
    busy = FakeSession(finished, refuses=Busy("another operation of kvm1 is under way"))
    assert run(busy, plan(web2=Choice.LEAVE)) == Exit.REFUSED


def test_a_dry_run_says_who_works_on_its_hosts_now(capsys: pytest.CaptureFixture[str]):
    """Hosts that the plan does not touch are left out."""
    chosen = drain(fleet(guest(1), hosts=2))
    session = FakeSession(operation(OperationState.DONE, MoveState.DONE))
    assert run(session, chosen, dry_run=True) == Exit.OK
    told = capsys.readouterr().err
    assert "kvm2 is being worked on by another console" in told
    assert "anna@jump since noon" in told
    assert "bert" not in told


def test_progress_is_one_json_line_a_change(capsys: pytest.CaptureFixture[str]):
    """Every line says the whole: state, sentence, and each move."""
    watch = OperationWatch(as_json=True)
    watch(operation(OperationState.RUNNING, MoveState.RUNNING))
    watch(operation(OperationState.DONE, MoveState.DONE))
    first, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first["progress"].startswith("0 of 1 moved, 1 moving")
    assert last["state"] == "done"
    assert last["moves"][0]["from"] == "kvm1"


def test_waiting_vms_are_given_other_targets_by_name_or_uuid():
    """``jobs resume ID --to VM=HOST``; what fits no VM of the operation is told with its names."""
    one = operation(OperationState.PAUSED, MoveState.BLOCKED)
    move = one.runs[0].move
    for name in (move.vm_name, move.uuid):
        args = parse(["jobs", "resume", "op-1", "--to", f"{name}=kvm3"])
        assert targets_of(args, one) == {move.uuid: "kvm3"}
    for words in ("web9=kvm3", "web1", "web1="):
        with pytest.raises(Unknown, match="--to takes VM=HOST") as told:
            targets_of(parse(["jobs", "resume", "op-1", "--to", words]), one)
        assert told.value.problem.fix == "VMs of it: web1"


def test_a_refusal_names_the_choices_that_would_do(capsys: pytest.CaptureFixture[str]):
    """What to add to the command stands there; a plan that says nothing prints no empty line."""
    print_plan(plan(), as_json=False)
    told = capsys.readouterr().err
    assert "Fix: --copy all, --leave all, --shutdown all, or one for each by its name" in told
    refused = replace(plan(), moves=(), stuck=(), effects=(), outlook_text="", rooms=(), spare=None)
    refused = replace(refused, refusal=Problem("there is no host kvm9", fix="see `novacron hosts`"))
    print_plan(refused, as_json=False)
    assert capsys.readouterr().err.splitlines() == [
        "Drain of kvm1",
        "Refused: there is no host kvm9 Fix: see `novacron hosts`",
    ]


def test_a_choice_for_a_vm_elsewhere_is_refused_rather_than_ignored():
    """A mistyped name must not look as if it had been decided."""
    session = SimpleNamespace(find=lambda name: guest(5, home="kvm2"))
    args = Namespace(copy=["web5"], leave=["all"])
    choices = (Choice.COPY, Choice.LEAVE)
    with pytest.raises(Unknown, match="web5 is not on kvm1"):
        named_choices(args, session, choices, ("kvm1",))  # type: ignore[arg-type]
    found = named_choices(args, session, choices, ("kvm1", "kvm2"))  # type: ignore[arg-type]
    assert list(found.values()) == [Choice.COPY]


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "skip"])
def test_what_cannot_be_asked_of_an_operation_is_a_refusal(
    verb: str, capsys: pytest.CaptureFixture[str]
):
    """Exit status 4 and the reason, whatever was asked."""

    def ended(_ident: str) -> None:
        raise Refused("op-1 has ended: done")

    one = operation(OperationState.DONE, MoveState.DONE)
    maintenance = SimpleNamespace(recorded=lambda: done((one,)), **{verb: ended})
    engine = SimpleNamespace(maintenance=maintenance)
    session = SimpleNamespace(engine=engine, snapshot=fleet(guest(1)))
    args = Namespace(verb=verb, id="op-1", to=[], json=False)
    assert _steer(args, session) == Exit.REFUSED  # type: ignore[arg-type]
    assert "Refused: op-1 has ended: done" in capsys.readouterr().err
