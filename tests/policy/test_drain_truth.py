"""What became of a move whose link broke after its switch to post-copy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.policy.drain.truth import found_idle, found_move
from console.policy.recovery import BROKEN, DISMISS, RECOVER
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Link, LinkState
from drivers.model.job import Action, Job, JobState, Plan, Request
from drivers.model.operation import Move, MoveState, MoveVerb
from drivers.model.vm import Vm, VmState
from tests.policy.fleet import NOW, host, vm

WEB = replace(vm(VmState.PAUSED), reason=BROKEN)
MOVE = Move("m1", MoveVerb.MIGRATE, WEB.uuid, "web1", "kvm1", "kvm2")
PLAN = Plan("p", Request(Action.MIGRATE, WEB.uuid, "kvm2"), "web1", "kvm1", NOW, "")
OUTCOME = "web1 is paused on kvm1; the link broke after the switch to post-copy."


def split(there: Vm | None = None) -> FleetSnapshot:
    """The guest stands still on its source, and where it went there is what ``there`` says."""
    vms = () if there is None else (there,)
    return FleetSnapshot(NOW, 1, (host("kvm1", WEB), host("kvm2", *vms)))


def job(*followup: str, state: JobState = JobState.INTERRUPTED) -> Job:
    return Job("j1", PLAN, state, outcome=OUTCOME, followup=followup)


@pytest.mark.parametrize("there", [replace(WEB, host="kvm2", state=VmState.RUNNING), None])
@pytest.mark.parametrize(
    ("left", "fix"),
    [
        (job(RECOVER, DISMISS), "Jobs offers to recover it"),
        (job(Action.FORCE_OFF.value, DISMISS), "Jobs offers to force it off"),
        (job(), OUTCOME),
        (job(DISMISS, state=JobState.FAILED), OUTCOME),
    ],
)
def test_a_split_guest_is_not_told_as_taken_back(there: Vm | None, left: Job, fix: str) -> None:
    """Part of its memory is elsewhere: only a person can go on from there."""
    found = found_move(split(there), MOVE, left, now=NOW)
    assert found.state is MoveState.FAILED
    assert "taken back" not in found.note
    assert fix in found.note
    assert not found.followup
    assert not found.dead


def test_what_its_source_lost_did_not_arrive_whole() -> None:
    """The target alone knows it, and waits for memory that never comes."""
    there = replace(WEB, host="kvm2", state=VmState.RUNNING)
    fleet = FleetSnapshot(NOW, 1, (host("kvm1"), host("kvm2", there)))
    found = found_move(fleet, MOVE, job(DISMISS), now=NOW)
    assert found.state is MoveState.FAILED
    assert "kvm2 has a part of its memory" in found.note


def test_nor_is_it_planned_elsewhere_while_its_target_is_silent() -> None:
    """The rest of its memory is there."""
    fleet = split()
    silent = replace(fleet.hosts[1], link=Link(LinkState.DOWN), slow_at=1.0)
    found = found_move(replace(fleet, hosts=(fleet.hosts[0], silent)), MOVE, job(), now=NOW)
    assert found.state is MoveState.FAILED
    assert not found.dead


def test_it_is_not_moved_again_before_it_is_recovered() -> None:
    """Also once its operation is resumed."""
    found = found_idle(split(), MOVE, now=NOW)
    assert found.state is MoveState.FAILED
    assert "a part of its memory" in found.note
    arrived = replace(WEB, host="kvm2", state=VmState.RUNNING, reason="migrated here")
    fleet = FleetSnapshot(NOW, 1, (host("kvm1"), host("kvm2", arrived)))
    assert found_idle(fleet, MOVE, now=NOW).state is MoveState.DONE
