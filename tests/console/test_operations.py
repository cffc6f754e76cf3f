"""Operations are carried out as planned, steered by people, and survive whatever dies."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import pytest

from drivers.errors import Busy, Failed, Gone, Refused
from drivers.model.job import JobState
from drivers.model.operation import (
    Choice,
    Cordon,
    MoveState,
    Operation,
    OperationKind,
    OperationState,
    Wish,
    WishVerb,
)
from drivers.model.vm import VmState
from tests.console.jobworld import Killed
from tests.console.opsworld import OpsConsole, OpsWorld, fleet, until, uuid_of

OTHER = f"you@{socket.gethostname()}:4194304:2"


async def drained(console: OpsConsole, **choices: Choice) -> Operation:
    """Plan and run a drain of kvm1 to its end."""
    named = {d.name: u for (_, u), d in console.world.domains.items()}
    plan = await console.operations.plan_drain("kvm1", {named[n]: c for n, c in choices.items()})
    return await console.ended(await console.operations.start(plan))


async def test_a_host_is_emptied_and_cordoned():
    """Every VM runs where the plan said, once, and two moves at a time at most."""
    world = fleet(5)
    world.meet = 2
    console = OpsConsole(world)
    operation = await drained(console)
    assert operation.state is OperationState.DONE
    assert operation.outcome == "5 of 5 moved, safe to reboot: yes."
    planned = {r.move.uuid: r.move.target for r in operation.runs}
    assert world.where() == planned
    assert set(planned.values()) == {"kvm2", "kvm3"}
    assert set(world.arrivals.values()) == {1}
    assert max(world.busiest.values()) == 2
    assert world.cordons["kvm1"].reason == operation.id
    await console.close()


async def test_a_journal_that_takes_minutes_makes_no_host_look_dead():
    """Each move is judged by a picture read just before it, not before those begun first."""
    world = fleet(4)
    world.meet = 2
    console = OpsConsole(world)

    def minutes_pass(_number: int, name: str) -> None:
        world.now += 300.0 if name == "put_job" else 0.0

    console.console.on_call = minutes_pass
    operation = await drained(console)
    assert operation.state is OperationState.DONE
    assert {r.move.target for r in operation.runs} == {"kvm2", "kvm3"}
    assert {r.tries for r in operation.runs} == {1}
    await console.close()


async def test_nothing_begins_before_every_vm_has_a_choice():
    """A VM on local storage is refused without one; left by choice it stays and says so."""
    world = fleet(2)
    world.local.add(uuid_of(1))
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    with pytest.raises(Refused, match="a choice is needed for web1"):
        await console.operations.start(plan)
    assert not world.operations
    assert not world.cordons
    operation = await drained(console, web1=Choice.LEAVE)
    assert operation.outcome == "1 of 1 moved, web1 left on kvm1 by choice, safe to reboot: no."
    await console.close()


async def test_storage_is_copied_and_guests_are_shut_down_by_choice():
    """Both choices end in what they say."""
    world = fleet(3)
    world.local |= {uuid_of(1), uuid_of(2)}
    for host in ("kvm2", "kvm3"):
        del world.volumes[(host, "/warm/web1.raw")]
    console = OpsConsole(world)
    operation = await drained(console, web1=Choice.COPY, web2=Choice.SHUTDOWN)
    assert operation.state is OperationState.DONE, operation
    assert world.where()[uuid_of(1)] in ("kvm2", "kvm3")
    assert world.domains[("kvm1", uuid_of(2))].state is VmState.OFF
    assert operation.outcome == "3 of 3 moved, safe to reboot: yes."
    await console.close()


async def test_home_again_and_what_was_shut_down_is_started():
    """Return brings back exactly those that left, opens the host, and starts the rest."""
    world = fleet(4, other="kvm2")
    world.local.add(uuid_of(3))
    console = OpsConsole(world)
    drain = await drained(console, web3=Choice.SHUTDOWN)
    plan, parent = await console.operations.plan_return("kvm1")
    assert parent == drain.id
    operation = await console.ended(await console.operations.start(plan, parent))
    assert operation.state is OperationState.DONE, operation
    assert operation.parent == drain.id
    assert world.where() == {**{uuid_of(n): "kvm1" for n in range(4)}, uuid_of(90): "kvm2"}
    assert not world.cordons
    await console.close()


async def test_an_operation_is_paused_resumed_and_cancelled():
    """Paused it begins nothing more; cancelled it leaves what has arrived."""
    world = fleet(5)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    ident = await console.operations.start(plan)
    await until(lambda: any(r.state is MoveState.RUNNING for r in world.operations[ident].runs))
    await console.operations.pause(ident)
    await until(
        lambda: not (any(r.state is MoveState.RUNNING for r in world.operations[ident].runs))
    )
    assert world.operations[ident].state is OperationState.PAUSED
    waiting = [r for r in world.operations[ident].runs if r.state is MoveState.PENDING]
    assert len(waiting) >= 2
    with pytest.raises(Refused, match="is being drained"):
        await console.operations.uncordon("kvm1")
    await console.operations.resume(ident)
    await until(lambda: any(r.state is MoveState.RUNNING for r in world.operations[ident].runs))
    await console.operations.cancel(ident)
    operation = await console.ended(ident)
    assert operation.state is OperationState.CANCELLED
    done = {r.move.uuid for r in operation.runs if r.state is MoveState.DONE}
    assert {u for u, h in world.where().items() if h != "kvm1"} == done
    assert "safe to reboot: no" in operation.outcome
    await console.operations.uncordon("kvm1")
    await console.close()


async def test_an_undo_takes_back_what_was_done_so_far():
    """The inverse plan is checked anew, and leaves alone what never moved."""
    world = fleet(3)
    console = OpsConsole(world)
    drain = await drained(console)
    plan, parent = await console.operations.plan_undo(drain.id)
    assert plan.kind is OperationKind.UNDO
    operation = await console.ended(await console.operations.start(plan, parent))
    assert set(world.where().values()) == {"kvm1"}
    assert operation.outcome == "3 of 3 moved."
    await console.close()


async def test_a_dead_target_is_planned_around():
    """kvm3 dies in mid-drain: what was on its way or still to go there ends on kvm2."""
    world = fleet(6)
    world.die_at["kvm3"] = world.now + 3
    console = OpsConsole(world)
    operation = await drained(console)
    assert operation.state is OperationState.DONE, [(r.state, r.note) for r in operation.runs]
    assert operation.excluded == ("kvm3",)
    assert not [u for u, h in world.where().items() if h == "kvm1"]
    assert max(world.arrivals.values()) == 1
    assert any("planned without it" in text for text in console.events)
    await console.close()


async def test_a_vm_without_room_waits_for_a_person_and_goes_on_after_that():
    """A full fleet is told; once there is room, resume ends it."""
    world = fleet(3)
    world.room = {"kvm2": 1, "kvm3": 2}
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    assert not plan.stuck
    world.room["kvm3"] = 1
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is OperationState.PAUSED
    assert operation.problem is not None
    assert "too little memory" in operation.problem.what
    assert "2 of 3 moved, 1 blocked because" in operation.problem.proof
    world.room["kvm2"] = 5
    world.now += 3600
    await console.operations.resume(operation.id)
    await until(lambda: world.operations[operation.id].state is not OperationState.PAUSED)
    end = await console.ended(operation.id)
    assert end.state is OperationState.DONE
    checks = [s for s in end.trace if s.name.startswith("check ")]
    assert len(checks) > len(end.runs)
    assert max((s.ended_at or 0.0) - s.started_at for s in checks) < 3600
    await console.close()


async def test_another_target_is_taken_or_refused():
    """A VM that waits may be sent elsewhere; where it does not fit it keeps its place."""
    world = fleet(5)
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_drain("kvm1"))
    await console.operations.pause(ident)
    run = world.operations[ident].runs[-2]
    other = {"kvm2": "kvm3", "kvm3": "kvm2"}[run.move.target]
    await console.operations.retarget(ident, run.move.uuid, other)
    last = world.operations[ident].runs[-1].move.uuid
    world.memory[last] = 60
    world.room = {"kvm2": 50, "kvm3": 200}
    with pytest.raises(Refused, match="cannot go to kvm2"):
        await console.operations.retarget(ident, last, "kvm2")
    await until(lambda: world.operations[ident].state is OperationState.PAUSED)
    await console.operations.resume(ident)
    operation = await console.ended(ident)
    assert world.where()[run.move.uuid] == other
    assert operation.state is OperationState.DONE
    await console.close()


async def test_what_a_person_did_meanwhile_is_seen():
    """A VM moved by hand is not moved again; one that was stopped is dropped."""
    world = fleet(4)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    first, second = plan.moves[0], plan.moves[1]
    world.domains[(first.target, first.uuid)] = world.domains.pop(("kvm1", first.uuid))
    world.domains[("kvm1", second.uuid)].state = VmState.OFF
    operation = await console.ended(await console.operations.start(plan))
    states = {r.move.id: r.state for r in operation.runs}
    assert states[first.id] is MoveState.DONE
    assert states[second.id] is MoveState.DROPPED
    assert first.uuid not in world.arrivals
    assert operation.state is OperationState.DONE
    await console.close()


async def test_groups_hold_on_the_way():
    """VMs that belong together move, and end, together."""
    world = fleet(3)
    world.tags = {uuid_of(0): ("together:shop",), uuid_of(2): ("together:shop",)}
    console = OpsConsole(world)
    operation = await drained(console)
    assert operation.state is OperationState.DONE, [(r.state, r.note) for r in operation.runs]
    assert world.where()[uuid_of(0)] == world.where()[uuid_of(2)]
    await console.close()


async def test_one_operation_a_host_and_cordons_are_told():
    """A second drain is refused; a cordoned target gets nothing."""
    world = fleet(3)
    console = OpsConsole(world)
    await console.operations.cordon("kvm3", "old disks")
    plan = await console.operations.plan_drain("kvm1")
    assert {m.target for m in plan.moves} == {"kvm2"}
    ident = await console.operations.start(plan)
    with pytest.raises(Busy, match="another operation"):
        await console.operations.start(plan)
    assert (await console.ended(ident)).state is OperationState.DONE
    with pytest.raises(Gone, match="no host kvm9"):
        await console.operations.cordon("kvm9")
    with pytest.raises(Gone, match="no drain of kvm2"):
        await console.operations.plan_return("kvm2")
    await console.close()


async def interrupted(world: OpsWorld, at: int, mode: str) -> str:
    """Drain until the console is killed at a call; the operation's id, or empty."""
    first = OpsConsole(world, at, mode)
    try:
        plan = await first.operations.plan_drain("kvm1", {uuid_of(3): Choice.LEAVE})
        ident = await first.operations.start(plan)
        await first.ended(ident)
    except (Killed, Exception):  # noqa: BLE001 - a dying console may fail in any way
        ident = next(iter(world.operations), "")
    await first.close()
    return ident


@pytest.mark.parametrize("mode", ["kill", "kill-after"])
@pytest.mark.parametrize("start", range(4))
async def test_a_killed_drain_goes_on_and_moves_nobody_twice(start: int, mode: str):
    """At whatever call the console dies, with two or four on their way: it ends as planned."""
    for at in range(1 + start * 2, 120, 8):
        world = fleet(4)
        world.small_at_once = 2 + 2 * (at // 8 % 2)
        world.local.add(uuid_of(3))
        ident = await interrupted(world, at, mode)
        if not ident:
            assert world.where() == {uuid_of(n): "kvm1" for n in range(4)}
            continue
        second = OpsConsole(world, owner=OTHER)
        await second.operations.plan_drain("kvm1")
        if not world.operations[ident].state.ended:
            await second.operations.resume(ident)
            await second.ended(ident)
        operation = world.operations[ident]
        told = (at, [(r.state, r.note) for r in operation.runs])
        assert operation.state is OperationState.DONE, told
        planned = {r.move.uuid: r.move.target for r in operation.runs}
        assert world.where() == {**planned, uuid_of(3): "kvm1"}, told
        assert set(world.arrivals.values()) == {1}, told
        assert world.damage == []
        open_jobs = [j for j in world.journal.values() if not j.state.ended]
        assert not open_jobs, told
        await second.close()


async def test_what_a_dead_console_left_is_shown_as_waiting():
    """Nothing says running that nobody runs; the way on is told."""
    world = fleet(4)
    ident = await interrupted(world, 40, "kill")
    second = OpsConsole(world, owner=OTHER)
    await second.operations.plan_drain("kvm1")
    (left,) = second.shown
    assert left.state is OperationState.PAUSED
    assert left.problem is not None
    assert f"novacron jobs resume {ident}" in left.problem.fix
    assert world.operations[ident].state is OperationState.RUNNING
    await second.close()


async def test_a_console_that_lives_keeps_its_operation(monkeypatch: pytest.MonkeyPatch):
    """Resume elsewhere is passed on as a wish; an unknown machine is refused."""
    world = fleet(3)
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_drain("kvm1"))
    other = OpsConsole(world, owner=OTHER)
    monkeypatch.setattr("console.operations.runner.owner_alive", lambda _owner: None)
    with pytest.raises(Refused, match="cannot be told from here"):
        await other.operations.resume(ident)
    monkeypatch.setattr("console.operations.runner.owner_alive", lambda _owner: True)
    await other.operations.resume(ident)
    assert [w.verb for w in world.wishes] == ["resume"]
    assert (await console.ended(ident)).state is OperationState.DONE
    assert all(j.state is JobState.DONE for j in world.journal.values())
    with pytest.raises(Refused, match="has ended"):
        await other.operations.resume(ident)
    await other.close()
    await console.close()


async def test_what_this_console_gave_up_is_cancelled_by_it(monkeypatch: pytest.MonkeyPatch):
    """Recorded as its own, but nothing carries it out: a wish would be heard by nobody."""
    world = fleet(3)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")

    async def fails(_cordon: Cordon) -> None:
        raise Failed("the cordon could not be written")

    monkeypatch.setattr(console.book, "cordon", fails)
    with pytest.raises(Failed, match="could not be written"):
        await console.operations.start(plan)
    (ident,) = world.operations
    monkeypatch.setattr("console.operations.runner.owner_alive", lambda _owner: True)
    with pytest.raises(Refused, match="given up here"):
        await console.operations.pause(ident)
    await console.operations.cancel(ident)
    assert (await console.ended(ident)).state is OperationState.CANCELLED
    assert not world.wishes
    assert not world.arrivals
    await console.close()


async def test_a_wish_made_while_an_operation_is_taken_up_is_obeyed(
    monkeypatch: pytest.MonkeyPatch,
):
    """Only what was wished before it changed hands counts as heard."""
    world = fleet(4)
    ident = await interrupted(world, 40, "kill")
    second = OpsConsole(world, owner=OTHER)
    change = second.book.change

    async def overtaken(*args: Any) -> Operation:
        changed = await change(*args)
        if not world.wishes:
            world.wishes.append(Wish(ident, WishVerb.CANCEL, world.now, "you@there"))
        return changed

    monkeypatch.setattr(second.book, "change", overtaken)
    await second.operations.resume(ident)
    assert (await second.ended(ident)).state is OperationState.CANCELLED
    await second.close()


def test_a_reopened_operation_tries_again_what_failed():
    """Only what was blocked or failed is tried anew."""
    from console.operations.steering import reopened
    from drivers.model.operation import MoveRun
    from tests.policy.test_drain import drain, guest
    from tests.policy.test_drain import fleet as small

    plan = drain(small(*(guest(n) for n in range(3))))
    states = (MoveState.DONE, MoveState.FAILED, MoveState.DROPPED)
    runs = tuple(MoveRun(m, s) for m, s in zip(plan.moves, states, strict=True))
    again = reopened(Operation("o", plan, OperationState.PAUSED, runs))
    assert [r.state for r in again.runs] == [MoveState.DONE, MoveState.PENDING, MoveState.DROPPED]
    assert replace(again, runs=()).state is OperationState.RUNNING
