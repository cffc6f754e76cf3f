"""A profile of the fleet file carries an operation's migrations, and a wrong one refuses it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.policy.drain.profile import with_profile
from drivers.model.fleet import FleetSnapshot
from drivers.model.migration import AS_USUAL, MoveProfile
from drivers.model.operation import OperationPlan
from tests.policy.test_drain import drain, fleet, guest

SLOW = MoveProfile("slow-link", {"compression": "mt", "compression_level": "1"})


def planned() -> tuple[OperationPlan, FleetSnapshot]:
    snapshot = fleet(guest(1), guest(2))
    return drain(snapshot), snapshot


def with_facts(snapshot: FleetSnapshot, name: str, **facts: str) -> FleetSnapshot:
    """The same fleet, one host of other versions."""
    hosts = [
        replace(h, facts=replace(h.facts, **facts)) if h.name == name and h.facts else h
        for h in snapshot.hosts
    ]
    return replace(snapshot, hosts=tuple(hosts))


def test_it_is_named_among_the_effects_and_one_takes_the_place_of_another() -> None:
    plan, snapshot = planned()
    assert with_profile(plan, AS_USUAL, snapshot) == plan
    told = with_profile(plan, SLOW, snapshot)
    assert told.profile == SLOW
    words = "live migrations go by profile slow-link: compression mt, compression_level 1"
    assert told.effects == (*plan.effects, words)
    other = with_profile(told, MoveProfile("night", {"bandwidth_mib": "20"}), snapshot)
    assert [e for e in other.effects if "profile" in e] == [
        "live migrations go by profile night: bandwidth_mib 20"
    ]
    assert told.refusal is None


def test_what_a_host_of_the_plan_lacks_refuses_it_before_anything_moves() -> None:
    plan, snapshot = planned()
    newer = with_facts(snapshot, plan.moves[0].target, qemu_version="9.1.0")
    refusal = with_profile(plan, SLOW, newer).refusal
    assert refusal is not None
    assert refusal.what.startswith("profile slow-link: mt cannot be had between kvm1 and ")
    assert "QEMU 9.1 gave it up" in refusal.proof
    assert refusal.fix


@pytest.mark.parametrize("options", [{"compression": "lzma"}, {"downtime_ms": "soon"}])
def test_a_profile_that_is_wrong_refuses_the_plan(options: dict[str, str]) -> None:
    plan, snapshot = planned()
    refusal = with_profile(plan, MoveProfile("odd", options), snapshot).refusal
    assert refusal is not None
    assert refusal.what.startswith("profile odd: ")


def test_what_refuses_the_plan_itself_is_not_hidden() -> None:
    plan, snapshot = planned()
    refused = with_profile(plan, MoveProfile("odd", {"compression": "lzma"}), snapshot)
    assert with_profile(refused, SLOW, snapshot).refusal == refused.refusal
