"""What the button under a recovery's preview says: what running it does, not what once began."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from console.policy.plans import make_plan
from console.policy.recovery import FINISH, UNDO, Left
from console.policy.recovery_plan import recovery_plan, take_over_plan
from console.policy.truth import Sighting
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Job, JobState, Request
from drivers.model.vm import Vm, VmDisk, VmState
from tests.policy.fleet import NOW, UUID, fleet, vm

NEW = "/srv/cold/web1.qcow2"
MADE = json.dumps([{"disk": "vda", "host": "kvm1", "path": NEW}])


def job(action: Action, target: str, **facts: str) -> Job:
    """A job whose console ended."""
    request = Request(action, UUID, target)
    made = make_plan(fleet(), request, now=NOW, plan_id="p1")
    assert made.refusal is None
    assert made.label == ""
    return Job("j1", made, JobState.INTERRUPTED, facts=facts)


def labelled(old: Job, choice: str, left: Left) -> str:
    """The label of what is planned then."""
    snapshot: FleetSnapshot = fleet()
    specs = {host.name: host.spec for host in snapshot.hosts}
    made = recovery_plan(old, choice, left, specs, now=NOW, plan_id="p2")
    assert made.refusal is None
    return made.label


def here(seen: Vm | None = None, **changes: object) -> Left:
    """The VM on kvm1 and nowhere else."""
    source = Sighting("kvm1", seen or vm())
    return Left(source, source, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choice", "left", "label"),
    [
        (FINISH, here(vm(disks=(VmDisk("vda", NEW),))), "Finish: delete the old copy"),
        (FINISH, here(running=True), "Finish: copy it"),
        (FINISH, here(), "Finish: copy it"),
        (UNDO, here(), "Undo"),
    ],
)
def test_a_tier_move_that_was_interrupted(choice: str, left: Left, label: str) -> None:
    """With the disk on the new volume only the old one is left to delete."""
    assert labelled(job(Action.TIER, "cold", made=MADE), choice, left) == label


@pytest.mark.parametrize(
    ("choice", "running", "label"),
    [(FINISH, True, "Finish: follow it"), (UNDO, False, "Undo")],
)
def test_a_migration_that_was_interrupted(choice: str, running: bool, label: str) -> None:
    """One that still runs is followed; it is not begun anew."""
    left = Left(Sighting("kvm1", vm()), Sighting("kvm2"), running)
    assert labelled(job(Action.MIGRATE, "kvm2"), choice, left) == label


def test_a_job_taken_over() -> None:
    """Nothing is migrated by that."""
    plan = take_over_plan(job(Action.MIGRATE, "kvm2"), now=NOW, plan_id="p2")
    assert plan.label == "Take over"


@pytest.mark.parametrize(
    ("state", "reason"),
    [(VmState.RUNNING, "migration cancelled"), (VmState.PAUSED, "migrating")],
)
def test_nothing_is_undone_of_a_vm_that_runs_on_its_target(state: VmState, reason: str) -> None:
    """What would stay is the older copy: that is ended, and never the newer one."""
    source = Sighting("kvm1", replace(vm(state), reason=reason))
    there = Sighting("kvm2", replace(vm(host="kvm2"), reason="migrated here"))
    specs = {host.name: host.spec for host in fleet().hosts}
    old = job(Action.MIGRATE, "kvm2")
    made = recovery_plan(old, UNDO, Left(source, there), specs, now=NOW, plan_id="p2")
    assert made.steps == ()
    assert made.refusal is not None
    assert made.refusal.what == "web1 has arrived: the copy on kvm1 is the older one"
    assert "finish" in made.refusal.fix
    assert made.refusal.code != "done"
    finish = recovery_plan(old, FINISH, Left(source, there), specs, now=NOW, plan_id="p3")
    assert finish.refusal is None
    under_way = recovery_plan(old, UNDO, Left(source, there, True), specs, now=NOW, plan_id="p4")
    assert under_way.refusal is None
