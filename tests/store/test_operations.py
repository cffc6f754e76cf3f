"""Operations, wishes and cordons: durable, shared, and never in two hands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.model.migration import MoveProfile
from drivers.model.operation import (
    Choice,
    Cordon,
    Limits,
    Move,
    MoveRun,
    MoveState,
    MoveVerb,
    Operation,
    OperationKind,
    OperationPlan,
    OperationState,
    Stuck,
    Wish,
    WishVerb,
)
from drivers.model.problem import Problem
from store.api import StoreError
from tests.store.conftest import Opener, scalar
from tests.store.fleet import T0


def operation(ident: str = "op-1", host: str = "kvm1", **fields: object) -> Operation:
    move = Move("m1", MoveVerb.MIGRATE, "u1", "wéb[b]1", host, "kvm2", "it fits", 1, ("m0",), 7, 2)
    stuck = Stuck(
        "u2", "db1", Problem("no place", "why"), (Choice.COPY, Choice.LEAVE), Choice.LEAVE
    )
    plan = OperationPlan(
        OperationKind.DRAIN, host, T0, Limits(), (move,), (stuck,),
        profile=MoveProfile("night", {"bandwidth_mib": "20"}),
    )  # fmt: skip
    made = Operation(
        ident, plan, runs=(MoveRun(move, MoveState.RUNNING, "op-1.m1.1", 1, ("job-1",), T0),),
        actor="me@here", owner="me@here:1:2", created_at=T0, pins=(("u1", "kvm2"),),
    )  # fmt: skip
    return replace(made, **fields)  # type: ignore[arg-type]


def test_an_operation_comes_back_as_it_was(opened: Opener):
    """Every field survives the file, also when it is opened anew."""
    store = opened()
    store.operations.put(operation(), None)
    store.close()
    assert opened().operations.recorded() == [operation()]


def test_only_the_owner_writes_and_a_claim_is_one_step(opened: Opener):
    """Two consoles that resume at the same moment: one of them is told who was first."""
    one, two = opened(), opened()
    one.operations.put(operation(owner=""), None)
    one.operations.put(operation(owner="a"), "")
    with pytest.raises(StoreError) as held:
        two.operations.put(operation(owner="b"), "")
    assert held.value.problem.code == "busy"
    assert held.value.problem.proof == "a"
    assert [o.owner for o in two.operations.recorded(unfinished=True)] == ["a"]


def test_one_operation_a_host(opened: Opener):
    """A second one of the same host waits for the end of the first; another host does not."""
    store = opened()
    store.operations.put(operation("op-1"), None)
    with pytest.raises(StoreError, match="another operation of kvm1"):
        store.operations.put(operation("op-2"), None)
    store.operations.put(operation("op-3", host="kvm3"), None)
    done = operation("op-1", state=OperationState.DONE, ended_at=T0 + 5)
    store.operations.put(done, done.owner)
    store.operations.put(operation("op-2"), None)
    assert {o.id for o in store.operations.recorded(unfinished=True)} == {"op-2", "op-3"}


def test_wishes_are_kept_in_order(opened: Opener):
    """Whoever runs it reads what was asked, and by whom."""
    one, two = opened(), opened()
    asked = [Wish("op-1", WishVerb.PAUSE, T0, "a"), Wish("op-1", WishVerb.CANCEL, T0 + 1, "b")]
    for wish in asked:
        two.operations.wish(wish)
    one.operations.wish(Wish("op-2", WishVerb.RESUME, T0))
    assert one.operations.wishes("op-1") == asked


def test_cordons_last_until_they_are_lifted(opened: Opener):
    """A second cordon replaces the first; both ends and SQL see the same."""
    one, two = opened(), opened()
    one.operations.cordon(Cordon("kvm1", T0, "me", "kernel"))
    two.operations.cordon(Cordon("kvm1", T0 + 1, "you", "disk"))
    one.operations.cordon(Cordon("kvm2", T0, "me"))
    assert [c.by for c in one.operations.cordons()] == ["you", "me"]
    assert scalar(two, "SELECT count(*) FROM cordons WHERE reason = 'disk'") == 1
    two.operations.uncordon("kvm1")
    two.operations.uncordon("kvm1")
    assert [c.host for c in one.operations.cordons()] == ["kvm2"]


def test_a_wish_keeps_its_place_whatever_the_clocks_say(opened: Opener):
    """They are obeyed by their number: one with an earlier time must not slip in before others."""
    store = opened()
    asked = [
        Wish("op-1", WishVerb.PAUSE, T0 + 60, "me@here"),
        Wish("op-1", WishVerb.RESUME, T0, "you@there"),
        Wish("op-1", WishVerb.CANCEL, T0 + 30, "me@here"),
    ]
    for wish in asked:
        store.operations.wish(wish)
    assert store.operations.wishes("op-1") == asked
