"""Plans that empty a host, on fleets small enough to read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.policy.drain.fits import fits_in
from console.policy.drain.inverse import plan_inverse
from console.policy.drain.layout import Wishes
from console.policy.drain.plan import plan_drain
from console.policy.drain.rules import limits_of, with_groups
from console.policy.drain.truth import found_move
from console.policy.drain.words import progress_words
from console.policy.migration_checks import cpu_checks
from console.policy.preflight.grounds import Group, Rules
from console.policy.subject import Subject
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import HostLoad, Link, LinkState, Protect
from drivers.model.job import Action, Job, JobState, Plan, Request, Verdict
from drivers.model.operation import (
    Choice,
    MoveRun,
    MoveState,
    MoveVerb,
    Operation,
    OperationKind,
    OperationPlan,
    OperationState,
)
from drivers.model.vm import Vm, VmState
from tests.policy.fleet import GIB, NOW, change, disk, host, vm

USUAL = limits_of(Rules())


def guest(number: int, *, home: str = "kvm1", shared: bool = True, **fields: object) -> Vm:
    made = vm(
        name=f"web{number}",
        uuid=f"{number:08d}-2222-3333-4444-555555555555",
        host=home,
        disks=(replace(disk(name=f"web{number}.qcow2"), shared=shared),),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def fleet(*guests: Vm, hosts: int = 3) -> FleetSnapshot:
    names = [f"kvm{n}" for n in range(1, hosts + 1)]
    return FleetSnapshot(NOW, 1, tuple(host(n, *(g for g in guests if g.host == n)) for n in names))


def drain(snapshot: FleetSnapshot, wishes: Wishes | None = None) -> OperationPlan:
    return plan_drain(snapshot, "kvm1", fits_in(snapshot, now=NOW), USUAL, wishes, now=NOW)


def test_vms_are_spread_and_every_one_has_a_reason():
    """Four guests, two hosts: two each, in waves that keep two moves a host."""
    plan = drain(fleet(*(guest(n) for n in range(4))))
    assert sorted(m.target for m in plan.moves) == ["kvm2", "kvm2", "kvm3", "kvm3"]
    assert [m.wave for m in plan.moves] == [1, 1, 2, 2]
    assert all("fits there" in m.reason for m in plan.moves)
    assert plan.outlook_text == "all 4 VMs have a place"
    assert plan.effects[0] == "4 VMs move from kvm1 to kvm2 (2), kvm3 (2)"


def test_local_storage_needs_a_choice_and_is_copied_only_by_choice():
    """The VM is listed with its choices; nothing is decided for a person."""
    snapshot = fleet(guest(1), guest(2, shared=False))
    plan = drain(snapshot)
    (stuck,) = plan.stuck
    assert stuck.vm_name == "web2"
    assert stuck.choices == (Choice.COPY, Choice.LEAVE, Choice.SHUTDOWN)
    assert plan.undecided == (stuck,)
    assert [m.verb for m in plan.moves] == [MoveVerb.MIGRATE]
    assert plan.effects[0] == "1 VM moves from kvm1 to kvm2 (1)"
    assert plan.outlook_text.startswith("1 VM has a place; 1 cannot simply move")
    chosen = drain(snapshot, Wishes(choices={stuck.uuid: Choice.COPY}))
    assert not chosen.stuck
    assert [m.copy_bytes for m in chosen.moves if m.uuid == stuck.uuid] == [2 * GIB]


def test_a_paused_guest_moves_by_choice_and_never_back_by_itself():
    """A QEMU that once took it in paused may end it at the next move: a person decides."""
    snapshot = fleet(guest(1, state=VmState.PAUSED))
    (stuck,) = drain(snapshot).stuck
    assert "it is paused" in stuck.why.proof
    assert stuck.choices == (Choice.MOVE, Choice.LEAVE)
    plan = drain(snapshot, Wishes(choices={stuck.uuid: Choice.MOVE}))
    assert [m.verb for m in plan.moves] == [MoveVerb.MIGRATE]
    after = fleet(guest(1, home=plan.moves[0].target, state=VmState.PAUSED))
    runs = [MoveRun(plan.moves[0], MoveState.DONE)]
    back = plan_inverse(
        after, OperationKind.RETURN, "kvm1", runs, fits_in(after, now=NOW), USUAL, now=NOW
    )
    assert not back.moves
    assert back.effects == ("kvm1 takes VMs again: its cordon, if it has one, is lifted",)
    (held,) = back.undecided
    assert "it is paused" in held.why.proof
    assert held.choices == (Choice.MOVE, Choice.LEAVE)
    for choice, moved in ((Choice.MOVE, ["kvm1"]), (Choice.LEAVE, [])):
        wishes = Wishes(choices={held.uuid: choice})
        back = plan_inverse(
            after, OperationKind.RETURN, "kvm1", runs, fits_in(after, now=NOW), USUAL, wishes,
            now=NOW,
        )  # fmt: skip
        assert not back.undecided
        assert [m.target for m in back.moves if m.paused] == moved


def test_a_shutdown_happens_only_when_it_was_chosen():
    """It then is a move of its own, said in capitals, after all migrations."""
    snapshot = fleet(guest(1), guest(2, shared=False))
    plan = drain(snapshot, Wishes(choices={guest(2).uuid: Choice.SHUTDOWN}))
    assert [m.verb for m in plan.moves] == [MoveVerb.MIGRATE, MoveVerb.SHUTDOWN]
    assert "web2 is SHUT DOWN on kvm1, as chosen" in plan.effects
    assert not plan.undecided


def test_what_is_left_keeps_the_host_from_a_reboot():
    """A choice to leave is told in the effects."""
    snapshot = fleet(guest(1, shared=False))
    plan = drain(snapshot, Wishes(choices={guest(1).uuid: Choice.LEAVE}))
    assert not plan.moves
    assert any("not safe to reboot" in line for line in plan.effects)


def test_cordoned_dead_and_protected_hosts_get_nothing():
    """With no host left each VM says so."""
    snapshot = fleet(guest(1), hosts=4)
    snapshot = change(snapshot, "kvm3", link=Link(LinkState.DOWN))
    guarded = replace(snapshot.hosts[3].spec, protect=Protect.RO)
    snapshot = change(snapshot, "kvm4", spec=guarded)
    plan = drain(snapshot, Wishes(cordoned={"kvm2"}))
    assert not plan.moves
    assert plan.stuck[0].why.code == "no-target"
    assert [m.target for m in drain(snapshot).moves] == ["kvm2"]


def test_vms_that_must_stay_apart_never_meet():
    """Two replicas leave for different hosts; a third one has no place and says with whom."""
    replicas = [guest(n, tags=("apart:db",)) for n in range(3)]
    plan = drain(fleet(*replicas))
    assert len({m.target for m in plan.moves}) == len(plan.moves) == 2
    assert "leave too little room" in plan.stuck[0].why.proof


def test_vms_that_belong_together_move_together():
    """They follow the one that is elsewhere already."""
    pair = [guest(n, tags=("together:shop",)) for n in range(2)]
    away = guest(7, home="kvm3", tags=("together:shop",))
    assert {m.target for m in drain(fleet(*pair, away)).moves} == {"kvm3"}


def test_configured_groups_count_like_tags():
    """A group of the fleet file keeps VMs apart; one that only warns does not."""
    snapshot = fleet(*(guest(n) for n in range(3)))
    group = Group("db", "apart", vms=frozenset({"web0", "web1", "web2"}))
    assert len(drain(with_groups(snapshot, (group,))).stuck) == 1
    assert not drain(with_groups(snapshot, (replace(group, strict=False),))).stuck


def test_memory_kept_for_the_host_is_never_given_away():
    """The reserve of the fleet file narrows the room."""
    limits = limits_of(Rules(memory_reserve=31 * GIB))
    snapshot = fleet(guest(1))
    plan = plan_drain(snapshot, "kvm1", fits_in(snapshot, now=NOW), limits, now=NOW)
    assert "too little memory" in plan.stuck[0].why.proof


@pytest.mark.parametrize("rules", [Rules(), Rules(cpu_overcommit=2.0)])
def test_a_drain_places_up_to_where_preflight_speaks_against_it(rules):
    """Both count vCPUs with one number; beyond it the drain says what to set."""
    room = int(8 * rules.vcpu_share)
    fits_in_whole, over = guest(1, vcpus=room), guest(1, vcpus=room + 1)
    for one, stuck, verdict in ((fits_in_whole, 0, Verdict.OK), (over, 1, Verdict.WARN)):
        snapshot = fleet(one, hosts=2)
        target = snapshot.host("kvm2")
        subject = Subject(snapshot, snapshot.host("kvm1"), one)
        told = {c.name: c.verdict for c in cpu_checks(subject, target, rules)}
        refused = verdict is not Verdict.OK and rules.cpu_overcommit is not None
        assert told["vcpus in all"] is (Verdict.BLOCKED if refused else verdict)
        fits = fits_in(snapshot, now=NOW)
        plan = plan_drain(snapshot, "kvm1", fits, limits_of(rules), now=NOW)
        assert len(plan.stuck) == stuck
        assert all("cpu_overcommit" in s.why.fix for s in plan.stuck)


def test_a_pin_is_kept_or_refused_but_never_ignored():
    """A wanted target that does not fit makes the VM stuck, with the reason."""
    snapshot = fleet(guest(1))
    uuid = guest(1).uuid
    assert drain(snapshot, Wishes(pins={uuid: "kvm3"})).moves[0].target == "kvm3"
    full = change(snapshot, "kvm3", load=HostLoad(memory_total=64 * GIB, memory_available=GIB))
    plan = drain(full, Wishes(pins={uuid: "kvm3"}))
    assert "too little memory" in plan.stuck[0].why.proof


def test_a_host_nobody_can_read_is_not_drained():
    """What is not known is not planned with."""
    snapshot = change(fleet(guest(1)), "kvm1", slow_at=NOW - 900)
    plan = drain(snapshot)
    assert plan.refusal is not None
    assert plan.refusal.code == "stale"


def test_losing_one_more_host_is_judged():
    """Room for everybody, or the sentence with the numbers."""
    small = [guest(n) for n in range(4)]
    assert drain(fleet(*small)).spare.verdict is Verdict.OK
    two = drain(fleet(*small, hosts=2))
    assert two.spare.verdict is Verdict.WARN
    assert "its 4 VMs have no place" in two.spare.text


def test_a_dead_target_is_planned_around_what_moves_already():
    """What is on its way keeps its room and is not planned twice."""
    snapshot = fleet(*(guest(n, memory=20 * GIB) for n in range(2)))
    moving = {guest(0).uuid: "kvm2"}
    plan = drain(snapshot, Wishes(moving=moving, excluded=("kvm3",), first_id=5))
    assert not plan.moves
    assert plan.stuck[0].why.proof == "kvm2 has too little memory"
    plan = drain(snapshot, Wishes(moving=moving, first_id=5))
    assert [(m.id, m.target) for m in plan.moves] == [("m5", "kvm3")]


def test_the_way_back_starts_what_was_shut_down_and_leaves_what_moved_on():
    """Home comes whoever is still away and runs."""
    snapshot = fleet(guest(1), guest(2, shared=False), guest(3), guest(4))
    plan = drain(snapshot, Wishes(choices={guest(2).uuid: Choice.SHUTDOWN}))
    runs = tuple(MoveRun(m, MoveState.DONE) for m in plan.moves)
    after = fleet(
        guest(1, home="kvm2"),
        guest(2, shared=False, state=VmState.OFF),
        guest(3),
        guest(4, home="kvm3", state=VmState.OFF),
    )
    back = plan_inverse(
        after, OperationKind.RETURN, "kvm1", runs, fits_in(after, now=NOW), USUAL, now=NOW
    )
    assert {(m.verb, m.vm_name) for m in back.moves} == {
        (MoveVerb.MIGRATE, "web1"),
        (MoveVerb.START, "web2"),
    }
    assert set(back.staying) == {"web3 is on kvm1 already", "web4 stays on kvm3: it is off"}


def test_progress_says_whether_a_reboot_is_safe():
    """Only a finished drain of a host that was seen empty says yes."""
    plan = drain(fleet(*(guest(n) for n in range(3))))
    runs = (
        MoveRun(plan.moves[0], MoveState.DONE),
        MoveRun(plan.moves[1], MoveState.BLOCKED, note="kvm3 has too little memory"),
        MoveRun(plan.moves[2]),
    )
    one = Operation("o", plan, runs=runs)
    assert progress_words(one, 2) == (
        "1 of 3 moved, 1 blocked because kvm3 has too little memory, safe to reboot: no"
    )
    done = replace(
        one,
        state=OperationState.DONE,
        runs=tuple(MoveRun(m, MoveState.DONE) for m in plan.moves),
    )
    assert progress_words(done, 0) == "3 of 3 moved, safe to reboot: yes"
    assert progress_words(done, 1).endswith("safe to reboot: no")
    assert progress_words(done, None).endswith("safe to reboot: not known")


def test_a_guest_whose_qemu_ended_on_the_way_is_told_as_crashed():
    """Nothing runs it: where it was last seen, and how, stands in the note."""
    (move,) = drain(fleet(guest(1))).moves
    after = fleet(guest(1, state=VmState.CRASHED))
    plan = Plan("p", Request(Action.MIGRATE, move.uuid, move.target), "web1", "kvm1", NOW, "")
    job = Job("j", plan, JobState.FAILED)
    found = found_move(after, move, job, now=NOW)
    assert found.state is MoveState.FAILED
    assert "runs on neither end: it is crashed on kvm1; look at it" in found.note
