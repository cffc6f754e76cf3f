"""Whoever dies in the middle of an upgrade, another console goes on, and nothing runs twice."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from console.operations.begin import Starter
from console.operations.children import Children
from drivers.model.operation import MoveState, OperationState, StageRun
from tests.console.jobworld import Console, Killed
from tests.console.opsworld import HOSTS, OpsConsole, until, uuid_of
from tests.console.upgradeworld import (
    REBOOT,
    UPGRADE,
    UpgradeWorld,
    go_on,
    stage,
    upgrade_fleet,
)

OTHER = f"you@{socket.gethostname()}:4194304:2"
LAST_CALL = 250
"""By then two hosts of one VM each are through, killed or not."""


async def killed(world: UpgradeWorld, at: int, mode: str) -> str:
    """Upgrade until the console is killed at a call; the operation's id, or empty."""
    first = OpsConsole(world, at, mode)
    ident = ""
    try:
        plan = await first.operations.plan_upgrade(("kvm2", "kvm1"))
        ident = await first.operations.start(plan)
        await first.ended(ident)
    except (Killed, Exception):  # noqa: BLE001 - a dying console may fail in any way
        ident = next((i for i in world.operations if i.startswith("upgrade")), "")
    await first.close()
    return ident


@pytest.mark.parametrize("mode", ["kill", "kill-after"])
@pytest.mark.parametrize("start", range(2))
async def test_a_killed_upgrade_goes_on_and_runs_nothing_twice(start: int, mode: str):
    """At whatever call the console dies, a resume ends as planned: no command twice."""
    await kill_and_resume(range(1 + start * 9, LAST_CALL, 18), mode)


async def kill_and_resume(calls: range, mode: str) -> None:
    """Kill a console at each of these calls, and have another one go on."""
    for at in calls:
        world = upgrade_fleet(per_host=1)
        ident = await killed(world, at, mode)
        if not ident:
            assert not world.ran
            continue
        second = OpsConsole(world, owner=OTHER)
        await second.operations.recorded()
        if not world.operations[ident].state.ended:
            await second.operations.resume(ident)
            await second.ended(ident)
        operation = world.operations[ident]
        told = (at, operation.problem, [(r.stage.verb, r.state, r.note) for r in operation.stages])
        assert operation.state is OperationState.DONE, told
        assert world.where() == {uuid_of(n * 10): h for n, h in enumerate(HOSTS)}, told
        assert Counter(world.ran) == {
            (h, c): 1 for h in ("kvm1", "kvm2") for c in (UPGRADE, REBOOT)
        }
        assert not world.damage, told
        assert not world.cordons, told
        assert not [o for o in world.operations.values() if not o.state.ended], told
        await second.close()


async def test_an_outcome_that_nobody_knows_is_asked_for():
    """The host rebooted while a command ran and its console was dead: it is not run again."""
    world = upgrade_fleet()
    world.lasts = 1e6
    first = OpsConsole(world)
    ident = await first.operations.start(await first.operations.plan_upgrade(("kvm2", "kvm1")))
    await until(lambda: ("kvm2", UPGRADE) in world.ran)
    first.console.dead = True
    await first.close()
    world.reboots = 1.0
    world.reboot("kvm2")
    second = OpsConsole(world, owner=OTHER)
    await second.operations.recorded()
    await second.operations.resume(ident)
    operation = await second.ended(ident)
    assert operation.state is OperationState.PAUSED
    assert "whether it did its work is not known" in operation.problem.what
    assert "novacron jobs skip" in operation.problem.fix
    assert world.ran == [("kvm2", UPGRADE)]
    await second.close()


@pytest.mark.parametrize("kind", ["drain", "return"])
async def test_a_host_is_closed_and_opened_also_by_who_takes_over(kind: str):
    """Killed when the drain, or the way back, was recorded and no more."""
    world = upgrade_fleet(per_host=1)
    first = OpsConsole(world, mode="kill-after")

    def die(number: int, name: str) -> None:
        tickets = [
            r.ticket for o in world.operations.values() for r in o.stages
            if r.stage.verb.value == kind and r.state is MoveState.RUNNING
        ]  # fmt: skip
        if name == "put_operation" and any(t not in world.operations for t in tickets):
            first.console.at = number

    first.console.on_call = die
    await first.operations.start(await first.operations.plan_upgrade(("kvm2",)))
    await until(lambda: first.console.dead)
    await first.close()
    assert bool(world.cordons) is (kind == "return")
    second = OpsConsole(world, owner=OTHER)
    await second.operations.recorded()
    (ident,) = [i for i in world.operations if i.endswith("-1")]
    await second.operations.resume(ident)
    if kind == "drain":
        await until(lambda: "kvm2" in world.cordons)
    operation = await second.ended(ident)
    assert operation.state is OperationState.DONE, operation.problem
    assert not world.cordons
    await second.close()


async def left_at(world: UpgradeWorld, call: str, done: str) -> str:
    """Upgrade kvm1 until its console dies just before such a call, a command having been run."""
    first = OpsConsole(world, mode="kill")

    def die(number: int, name: str) -> None:
        if name == call and ("kvm1", done) in world.ran:
            first.console.at = number

    first.console.on_call = die
    ident = await first.operations.start(await first.operations.plan_upgrade(("kvm1",)))
    await until(lambda: first.console.dead)
    await first.close()
    return ident


async def test_a_command_that_was_only_recorded_is_not_begun_under_guests_that_came_since():
    """The console died just before the reboot; hours later somebody runs a VM there."""
    world = upgrade_fleet()
    ident = await left_at(world, "begin_task", UPGRADE)
    assert stage(world.operations[ident], "kvm1", "reboot").state is MoveState.RUNNING
    stray = world.domains.pop(("kvm3", uuid_of(20)))
    world.domains[("kvm1", uuid_of(20))] = stray
    second = OpsConsole(world, owner=OTHER)
    await second.operations.recorded()
    await second.operations.resume(ident)
    operation = await second.ended(ident)
    assert operation.state is OperationState.PAUSED
    assert "it was not begun: vm20 still there" in operation.problem.what
    assert world.ran == [("kvm1", UPGRADE)]
    assert not world.damage
    world.domains[("kvm3", uuid_of(20))] = world.domains.pop(("kvm1", uuid_of(20)))
    assert (await go_on(second, operation)).state is OperationState.DONE
    assert world.ran == [("kvm1", UPGRADE), ("kvm1", REBOOT)]
    await second.close()


@pytest.mark.parametrize(("reboots", "call"), [(None, "look_task"), (20.0, "standing")])
async def test_a_host_that_is_out_when_its_upgrade_is_taken_up_is_given_its_time(
    reboots: float | None, call: str
):
    """The time that nobody looked is not held against it."""
    world = upgrade_fleet(back_s=60.0)
    world.reboots = reboots
    ident = await left_at(world, call, REBOOT)
    world.now += 5000.0
    world.down.add("kvm1")
    world.up_at["kvm1"] = world.now + 30.0
    second = OpsConsole(world, owner=OTHER)
    await second.operations.recorded()
    await second.operations.resume(ident)
    operation = await second.ended(ident)
    assert operation.state is OperationState.DONE, operation.problem
    assert Counter(world.ran)[("kvm1", REBOOT)] == 1
    await second.close()


async def test_a_cancel_that_takes_over_begins_no_move():
    """The console died in the middle of a drain; another one is asked to cancel."""
    world = upgrade_fleet(per_host=4)
    first = OpsConsole(world)
    ident = await first.operations.start(await first.operations.plan_upgrade(("kvm1",)))
    await until(lambda: bool(world.arrivals))
    first.console.dead = True
    await first.close()
    (drain,) = [o for o in world.operations if o != ident]
    second, seen = OpsConsole(world, owner=OTHER), set()

    def look(_number: int, _name: str) -> None:
        seen.add((world.operations[drain].owner, world.operations[drain].state))

    second.console.on_call = look
    await second.operations.recorded()
    await second.operations.cancel(ident)
    assert (await second.ended(ident)).state is OperationState.CANCELLED
    assert (OTHER, OperationState.CANCELLING) in seen
    assert (OTHER, OperationState.RUNNING) not in seen
    assert world.operations[drain].state is OperationState.CANCELLED
    await second.close()


@pytest.mark.parametrize("verb", ["resume", "cancel"])
async def test_a_drain_whose_target_another_console_works_on_is_waited_for(verb: str):
    """The upgrade itself does not want that host: it says who has it, and goes on after."""
    world = upgrade_fleet(per_host=2)
    first = OpsConsole(world)
    await first.operations.cordon("kvm3")
    plan = await first.operations.plan_upgrade(("kvm1",))
    assert "kvm3" not in plan.hosts
    await first.operations.uncordon("kvm3")
    await first.operations.cordon("kvm2")
    ident = await first.operations.start(plan)
    await until(lambda: bool(world.moves))
    first.console.dead = True
    await first.close()
    await first.operations.stop()
    other = Console(world)
    world.leases["kvm3"] = (other, "bert@jump2 since noon: drain of kvm3")
    second = OpsConsole(world, owner=OTHER)
    await second.operations.recorded()
    await getattr(second.operations, verb)(ident)

    def told() -> bool:
        notes = (r.note for r in world.operations[ident].stages)
        return any("kvm3 is being worked on by another console" in note for note in notes)

    await until(lambda: told() or not second.operations.drives(ident))
    assert second.operations.drives(ident)
    assert not world.operations[ident].state.ended
    other.dead = True
    operation = await second.ended(ident)
    wanted = OperationState.DONE if verb == "resume" else OperationState.CANCELLED
    assert operation.state is wanted, operation.problem
    await second.close()


async def test_a_drain_that_its_console_gave_up_after_a_defect_waits_for_a_person(
    monkeypatch: pytest.MonkeyPatch,
):
    """It is not begun again, and again, by its upgrade, also where that looks late."""
    world = upgrade_fleet(per_host=1)
    console, tries = OpsConsole(world), 0
    gone: set[str] = set()
    look = Children.look

    async def fail(_starter: Starter) -> None:
        nonlocal tries
        tries += 1
        raise TypeError("two were given")

    async def look_late(children: Children, run: StageRun) -> None:
        if console.operations.drives(run.ticket):
            return
        gone.add(run.ticket)
        await look(children, run)

    with monkeypatch.context() as broken:
        broken.setattr(Starter, "begin", fail)
        broken.setattr(Children, "look", look_late)
        ident = await console.operations.start(await console.operations.plan_upgrade(("kvm1",)))
        await until(lambda: world.operations[ident].problem is not None or tries > 1)
    operation = world.operations[ident]
    assert tries == 1
    assert gone
    assert "drain waits: the console itself failed" in operation.problem.what
    operation = await go_on(console, operation)
    assert operation.state is OperationState.DONE, operation.problem
    await console.close()
