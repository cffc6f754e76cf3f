"""The rest of an operation is checked and planned anew: dead ends, full hosts, paused guests."""

from __future__ import annotations

import socket

import pytest

from console.operations.tools import STEP_AGE_S
from drivers.errors import Refused
from drivers.model.operation import Choice, MoveState, Operation, OperationState
from drivers.model.vm import VmState
from tests.console.opsworld import OpsConsole, fleet, until, uuid_of
from tests.console.test_operations import drained


async def test_a_step_is_checked_by_what_the_hosts_themselves_say():
    """The way to kvm3 breaks after the plan was made: no snapshot shows it; nobody goes there."""
    world = fleet(4)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    assert {m.target for m in plan.moves} == {"kvm2", "kvm3"}
    world.severed.add(("kvm1", "kvm3"))
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is OperationState.DONE, [(r.state, r.note) for r in operation.runs]
    assert set(world.where().values()) == {"kvm2"}
    assert set(world.arrivals.values()) == {1}
    asked = [(uuids, targets) for uuids, targets, age in console.gathered if age == STEP_AGE_S]
    assert {((m.uuid,), (m.target,)) for m in plan.moves} <= set(asked)
    await console.close()


async def test_a_host_that_was_mended_is_a_target_again_after_a_resume():
    """Ruled out while it was dead, it takes VMs once a person said to go on."""
    world = fleet(2)
    world.room = {"kvm2": 0}
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    assert {m.target for m in plan.moves} == {"kvm3"}
    world.down.add("kvm3")
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is OperationState.PAUSED
    assert operation.excluded == ("kvm3",)
    assert "0 of 2 moved, 2 blocked because" in operation.outcome
    world.down.clear()
    await console.operations.resume(operation.id)
    await until(lambda: world.operations[operation.id].state is not OperationState.PAUSED)
    assert (await console.ended(operation.id)).state is OperationState.DONE
    assert set(world.where().values()) == {"kvm3"}
    await console.close()


async def test_a_host_that_is_emptied_next_is_no_target_after_a_resume_either():
    """kvm3 is next in the upgrade that drains kvm1: a VM would only have to move once more."""
    world = fleet(2)
    console = OpsConsole(world)
    await console.operations.cordon("kvm3", "upgrade")
    plan = await console.operations.plan_drain("kvm1")
    await console.operations.uncordon("kvm3")
    assert {m.target for m in plan.moves} == {"kvm2"}
    world.room["kvm2"] = 0
    ident = await console.operations.start(plan, barred=("kvm3",))
    operation = await console.ended(ident)
    assert operation.state is OperationState.PAUSED
    await console.operations.resume(ident)
    await until(lambda: world.operations[ident].state is not OperationState.PAUSED)
    again = await console.ended(ident)
    assert again.state is OperationState.PAUSED, again.outcome
    assert set(world.where().values()) == {"kvm1"}
    await console.close()


async def test_a_guest_paused_on_the_way_waits_for_a_person():
    """Nobody chose to move it paused: it is told, and the rest goes on."""
    world = fleet(3)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    held = plan.moves[-1].uuid
    world.domains[("kvm1", held)].state = VmState.PAUSED
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is OperationState.PAUSED
    assert operation.problem is not None
    assert "is paused" in operation.problem.what
    assert "QEMU 7.2" in operation.problem.what
    assert world.where()[held] == "kvm1"
    world.domains[("kvm1", held)].state = VmState.RUNNING
    await console.operations.resume(operation.id)
    await until(lambda: world.operations[operation.id].state is not OperationState.PAUSED)
    assert (await console.ended(operation.id)).state is OperationState.DONE
    await console.close()


async def test_a_paused_guest_comes_home_by_choice_alone():
    """The return is refused without one; left by choice it stays, chosen it moves."""
    world = fleet(2)
    console = OpsConsole(world)
    await drained(console)
    held = uuid_of(1)
    world.domains[(world.where()[held], held)].state = VmState.PAUSED
    plan, parent = await console.operations.plan_return("kvm1")
    with pytest.raises(Refused, match="a choice is needed for web1") as refused:
        await console.operations.start(plan, parent)
    assert refused.value.problem.fix == "choose for each: move, leave"
    plan, parent = await console.operations.plan_return("kvm1", {held: Choice.MOVE})
    operation = await console.ended(await console.operations.start(plan, parent))
    assert operation.state is OperationState.DONE
    assert set(world.where().values()) == {"kvm1"}
    assert world.domains[("kvm1", held)].state is VmState.PAUSED
    await console.close()


async def homeward(console: OpsConsole) -> tuple[Operation, str]:
    """A drain of kvm1 that is done, and its return, begun and paused at once."""
    drain = await drained(console)
    plan, parent = await console.operations.plan_return("kvm1")
    ident = await console.operations.start(plan, parent)
    await console.operations.pause(ident)
    await until(lambda: console.world.operations[ident].state is OperationState.PAUSED)
    return drain, ident


async def test_a_return_tells_who_has_no_room_at_home_and_brings_the_rest():
    """Home filled up meanwhile: who does not fit stays where it is, with the reason."""
    world = fleet(4)
    console = OpsConsole(world)
    _, ident = await homeward(console)
    last = world.operations[ident].runs[-1].move
    world.memory[last.uuid] = 98
    await console.operations.resume(ident)
    await until(lambda: world.operations[ident].state is not OperationState.PAUSED)
    operation = await console.ended(ident)
    assert operation.state is OperationState.PAUSED
    assert "kvm1 has too little memory" in operation.outcome
    assert world.where()[last.uuid] == last.source
    assert sorted(world.where().values()).count("kvm1") == 3
    world.memory[last.uuid] = 1
    await console.operations.resume(ident)
    await until(lambda: world.operations[ident].state is not OperationState.PAUSED)
    assert (await console.ended(ident)).state is OperationState.DONE
    assert set(world.where().values()) == {"kvm1"}
    await console.close()


async def test_a_vm_is_sent_elsewhere_than_home_by_a_person_alone():
    """The target of a waiting move home is changed as that of a drain is."""
    world = fleet(4)
    console = OpsConsole(world)
    _, ident = await homeward(console)
    waits = [r.move for r in world.operations[ident].runs if r.state is MoveState.PENDING][-1]
    other = {"kvm2": "kvm3", "kvm3": "kvm2"}[waits.source]
    await console.operations.retarget(ident, waits.uuid, other)
    await console.operations.resume(ident)
    await until(lambda: world.operations[ident].state is not OperationState.PAUSED)
    assert (await console.ended(ident)).state is OperationState.DONE
    assert world.where()[waits.uuid] == other
    assert sorted(world.where().values()).count("kvm1") == 3
    await console.close()


async def test_an_undone_return_goes_around_a_dead_host():
    """What leaves the host again goes elsewhere when the host it was on before has died."""
    world = fleet(4)
    console = OpsConsole(world)
    await drained(console)
    plan, parent = await console.operations.plan_return("kvm1")
    back = await console.ended(await console.operations.start(plan, parent))
    undo, parent = await console.operations.plan_undo(back.id)
    assert {m.target for m in undo.moves} == {"kvm2", "kvm3"}
    world.lose("kvm3")
    world.arrivals.clear()
    operation = await console.ended(await console.operations.start(undo, parent))
    assert operation.state is OperationState.DONE, [(r.state, r.note) for r in operation.runs]
    assert operation.excluded == ("kvm3",)
    assert set(world.where().values()) == {"kvm2"}
    assert any("kvm3 cannot take it" in r.move.reason for r in operation.runs)
    assert set(world.arrivals.values()) == {1}
    await console.close()


async def test_what_a_dead_target_kept_is_taken_back_when_it_answers_again():
    """The half copy on kvm3 outlives the host's silence, not the operation."""
    world = fleet(3)
    world.local |= {uuid_of(n) for n in range(3)}
    for n in range(3):
        del world.volumes[("kvm2", f"/warm/web{n}.raw")]
        del world.volumes[("kvm3", f"/warm/web{n}.raw")]
    console = OpsConsole(world)
    choices = {uuid_of(n): Choice.COPY for n in range(3)}
    plan = await console.operations.plan_drain("kvm1", choices)
    assert "kvm3" in {m.target for m in plan.moves}
    ident = await console.operations.start(plan)
    await until(lambda: any(m.target == "kvm3" for m in world.moves.values()))
    world.lose("kvm3")
    await until(lambda: world.operations[ident].excluded == ("kvm3",))
    assert [path for host, path in world.volumes if host == "kvm3"]
    world.down.clear()
    operation = await console.ended(ident)
    assert operation.state is OperationState.DONE, [(r.state, r.note) for r in operation.runs]
    await until(lambda: all(j.state.ended for j in console.jobs.jobs))
    kept = {path for host, path in world.volumes if host == "kvm3"}
    there = {d.path for (host, _), d in world.domains.items() if host == "kvm3"}
    assert kept == there
    assert world.damage == []
    await console.close()


async def test_a_migration_to_a_silent_host_says_what_it_waits_for():
    """Neither ended nor failed while the host is silent; once it answers, it goes on."""
    world = fleet(1)
    world.room = {"kvm2": 0}
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_drain("kvm1"))
    await until(lambda: bool(world.moves))
    world.down.add("kvm3")
    await until(lambda: "kvm3 cannot be read" in world.operations[ident].runs[0].note)
    assert "1 moving (kvm3 cannot be read: " in world.operations[ident].outcome
    assert world.operations[ident].state is OperationState.RUNNING
    world.down.clear()
    operation = await console.ended(ident)
    assert operation.state is OperationState.DONE
    assert world.where() == {uuid_of(0): "kvm3"}
    assert set(world.arrivals.values()) == {1}
    await console.close()


async def test_what_an_ended_console_left_is_given_another_target_before_it_goes_on():
    """No console runs it: the change is recorded, and the resume obeys it."""
    world = fleet(4)
    first = OpsConsole(world)
    ident = await first.operations.start(await first.operations.plan_drain("kvm1"))
    await first.operations.pause(ident)
    await until(lambda: world.operations[ident].state is OperationState.PAUSED)
    await first.close()
    waits = [r.move for r in world.operations[ident].runs if r.state is MoveState.PENDING][-1]
    other = {"kvm2": "kvm3", "kvm3": "kvm2"}[waits.target]
    second = OpsConsole(world, owner=f"you@{socket.gethostname()}:4194304:2")
    await second.operations.recorded()
    await second.operations.retarget(ident, waits.uuid, other)
    assert world.operations[ident].state is OperationState.PAUSED
    await second.operations.resume(ident)
    assert (await second.ended(ident)).state is OperationState.DONE
    assert world.where()[waits.uuid] == other
    assert set(world.arrivals.values()) == {1}
    await second.close()


async def test_a_move_that_failed_is_given_another_target():
    """Its VM did not arrive; a person sends it elsewhere, and it goes there."""
    world = fleet(2)
    world.die_at["kvm3"] = world.now + 1e9
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    ident = await console.operations.start(plan)
    bound = next(m for m in plan.moves if m.target == "kvm3")
    await until(lambda: any(m.target == "kvm3" for m in world.moves.values()))
    next(m for m in world.moves.values() if m.target == "kvm3").aborted = True
    operation = await console.ended(ident)
    assert operation.state is OperationState.PAUSED
    failed = next(r for r in operation.runs if r.move.uuid == bound.uuid)
    assert failed.state is MoveState.FAILED
    await console.operations.retarget(ident, bound.uuid, "kvm2")
    await console.operations.resume(ident)
    await until(lambda: world.operations[ident].state is not OperationState.PAUSED)
    assert (await console.ended(ident)).state is OperationState.DONE
    assert set(world.where().values()) == {"kvm2"}
    await console.close()


async def test_more_small_guests_move_at_a_time_and_what_they_need_is_asked_at_once():
    """Six side by side, and one question for all of them before each is judged for itself."""
    world = fleet(6)
    world.meet = world.small_at_once = 6
    console = OpsConsole(world)
    operation = await drained(console)
    assert operation.outcome == "6 of 6 moved, safe to reboot: yes."
    assert world.busiest["kvm1"] == 6
    assert set(world.arrivals.values()) == {1}
    together = {tuple(sorted(uuids)) for uuids, _, _ in console.gathered if len(uuids) == 6}
    assert len(together) == 1
    alone = [uuids for uuids, _, age_s in console.gathered if len(uuids) == 1 and age_s < 60.0]
    assert {uuids[0] for uuids in alone} == {run.move.uuid for run in operation.runs}
    await console.close()
