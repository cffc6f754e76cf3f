"""Upgrades are carried out as planned, stop on the first failure, and survive whatever dies."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from console.policy.preflight.grounds import Bandwidth
from drivers.errors import Busy, Gone, Refused
from drivers.model.operation import (
    Choice,
    MoveState,
    Operation,
    OperationKind,
    OperationState,
)
from tests.console.opsworld import HOSTS, OpsConsole, until, uuid_of
from tests.console.upgradeworld import (
    NEW,
    REBOOT,
    UPGRADE,
    UpgradeWorld,
    go_on,
    stage,
    states,
    upgrade_fleet,
)

ALL = ("kvm2", "kvm1", "kvm3")


async def upgraded(console: OpsConsole, hosts: tuple[str, ...] = ALL) -> Operation:
    """Plan and run an upgrade to its end."""
    plan = await console.operations.plan_upgrade(hosts)
    assert plan.refusal is None, plan.refusal
    return await console.ended(await console.operations.start(plan))


def home() -> dict[str, str]:
    return {uuid_of(i * 10 + n): host for i, host in enumerate(HOSTS) for n in range(2)}


async def test_hosts_go_one_by_one_and_every_vm_comes_home():
    """The canary first; each is empty, upgraded, rebooted, checked and filled again."""
    world = upgrade_fleet(health=("systemctl is-active chrony",))
    console = OpsConsole(world)
    operation = await upgraded(console)
    assert operation.state is OperationState.DONE, operation.problem
    assert world.where() == home()
    check = "systemctl is-active chrony"
    assert world.ran == [(h, c) for h in ALL for c in (UPGRADE, REBOOT, check)]
    assert set(world.kernels.values()) == {NEW}
    assert world.most_out == 1
    assert not world.damage
    assert not world.cordons
    assert set(world.arrivals.values()) >= {2}
    assert operation.outcome.startswith("kvm3 back after")
    assert operation.outcome.endswith("3 of 3 hosts done; safe to stop: yes.")
    assert "as expected" in stage(operation, "kvm1", "wait").note
    assert "on kvm2" in stage(operation, "kvm2", "command").output
    told = [e.commands for e in world.ledger if e.commands]
    assert (UPGRADE,) in told
    assert (REBOOT,) in told
    with pytest.raises(Refused, match="cannot be taken back"):
        await console.operations.plan_undo(operation.id)
    await console.close()


async def test_without_a_reboot_the_boot_stays():
    """Commands alone; the wait asks for health, not for another boot."""
    world = upgrade_fleet(reboot=False, expect_kernel="")
    console = OpsConsole(world)
    operation = await upgraded(console, ("kvm1",))
    assert operation.state is OperationState.DONE, operation.problem
    assert operation.plan.host == "kvm1 alone"
    assert world.ran == [("kvm1", UPGRADE)]
    assert not world.boots
    assert world.where() == home()
    await console.close()


async def test_the_plan_tells_how_long_moves_take_by_what_was_measured():
    """Two VMs of one byte, there and back."""
    world = upgrade_fleet()
    pairs = ((here, there) for here in HOSTS for there in HOSTS if here != there)
    world.bandwidth = {pair: Bandwidth(0.1, "measured") for pair in pairs}
    console = OpsConsole(world)
    plan = await console.operations.plan_upgrade(("kvm1",))
    assert plan.upgrade is not None
    assert plan.upgrade.move_s == pytest.approx(40.0)
    await console.close()


async def stopped(world: UpgradeWorld) -> tuple[OpsConsole, Operation]:
    """Run until a person is asked."""
    console = OpsConsole(world)
    operation = await upgraded(console)
    assert operation.state is OperationState.PAUSED
    assert operation.problem is not None
    assert states(operation)["kvm3"] == [MoveState.PENDING] * 5
    assert not world.damage
    return console, operation


async def test_a_command_that_fails_stops_everything_and_is_tried_again_by_a_person():
    """Exit 1: the canary stays empty, nobody else is touched; resume runs it once more."""
    world = upgrade_fleet()
    world.statuses[UPGRADE] = 1
    console, operation = await stopped(world)
    assert "exit status 1" in operation.problem.what
    assert "RUNS `apt-get -y full-upgrade` AGAIN" in operation.problem.fix
    assert world.ran == [("kvm2", UPGRADE)]
    assert "safe to stop: no" in operation.outcome
    with pytest.raises(Refused, match="is being drained"):
        await console.operations.uncordon("kvm2")
    world.statuses.clear()
    operation = await go_on(console, operation)
    assert operation.state is OperationState.DONE
    assert Counter(world.ran) == {
        ("kvm2", UPGRADE): 2, ("kvm1", UPGRADE): 1, ("kvm3", UPGRADE): 1,
        **{(h, REBOOT): 1 for h in HOSTS},
    }  # fmt: skip
    assert world.where() == home()
    await console.close()


async def test_what_failed_is_skipped_by_choice():
    """A person may count a failed command as done."""
    world = upgrade_fleet()
    world.statuses[UPGRADE] = 1
    console, operation = await stopped(world)
    world.statuses.clear()
    operation = await go_on(console, operation, "skip")
    assert operation.state is OperationState.DONE
    assert Counter(world.ran)[("kvm2", UPGRADE)] == 1
    assert "skipped by a person" in stage(operation, "kvm2", "command").note
    with pytest.raises(Refused, match="nothing of"):
        await console.operations.skip(operation.id)
    await console.close()


async def test_a_host_that_never_comes_back_is_told():
    """After the deadline the upgrade stops; once it is back, resume does not reboot it again."""
    world = upgrade_fleet(back_s=60.0)
    world.reboots = None
    console, operation = await stopped(world)
    assert "kvm2 cannot go on at reboot: not over after 60 s" in operation.problem.what
    world.down.clear()
    world.kernels["kvm2"], world.reboots = NEW, 20.0
    operation = await go_on(console, operation)
    assert operation.state is OperationState.DONE, operation.problem
    assert Counter(world.ran)[("kvm2", REBOOT)] == 1
    assert world.where() == home()
    await console.close()


async def test_the_wrong_kernel_stops_it_before_vms_come_back():
    """It is told at once, with both kernels."""
    world = upgrade_fleet()
    world.next_kernel = "6.1.0-28-amd64"
    console, operation = await stopped(world)
    assert "kernel 6.1.0-28-amd64 runs, and 6.1.0-30* was expected" in operation.problem.what
    assert "kvm2" not in world.where().values()
    world.kernels["kvm2"], world.next_kernel = NEW, NEW
    assert (await go_on(console, operation)).state is OperationState.DONE
    await console.close()


@pytest.mark.parametrize(
    ("broken", "words"), [("deaf", "libvirtd does not answer"), ("closed_pools", "pool hot")]
)
async def test_a_host_that_is_not_well_takes_no_vms(broken: str, words: str):
    """A dead libvirtd, or pools that did not come back."""
    world = upgrade_fleet(back_s=90.0)
    console = OpsConsole(world)
    plan = await console.operations.plan_upgrade(ALL)
    ident = await console.operations.start(plan)
    await until(lambda: ("kvm2", REBOOT) in world.ran)
    getattr(world, broken).add("kvm2")
    operation = await console.ended(ident)
    assert words in operation.problem.what
    assert "kvm2" not in world.where().values()
    getattr(world, broken).clear()
    assert (await go_on(console, operation)).state is OperationState.DONE
    assert world.where() == home()
    await console.close()


async def test_a_health_check_is_tried_until_it_succeeds():
    """Only then do VMs come back."""
    world = upgrade_fleet(health=("check",))
    world.statuses["check"] = 3
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_upgrade(("kvm1",)))
    await until(lambda: Counter(world.ran)[("kvm1", "check")] == 2)
    assert "check" in stage(world.operations[ident], "kvm1", "wait").note
    assert "kvm1" not in world.where().values()
    world.statuses.clear()
    assert (await console.ended(ident)).state is OperationState.DONE
    await console.close()


async def test_a_health_check_that_hangs_is_ended_with_the_wait():
    """Nothing of it stays on the host, and a resume begins a fresh one."""
    world = upgrade_fleet(health=("check",))
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_upgrade(("kvm1",)))
    await until(lambda: ("kvm1", "check") in world.ran)
    (hung,) = [task for task in world.tasks.values() if task.command == "check"]
    hung.ends_at = float("inf")
    operation = await console.ended(ident)
    assert operation.state is OperationState.PAUSED
    assert "not well after 900 s: check `check` runs" in operation.problem.what
    assert not [task for task in world.tasks.values() if task.command == "check"]
    assert (await go_on(console, operation)).state is OperationState.DONE
    await console.close()


async def test_a_vm_that_does_not_fit_on_return_is_told():
    """Somebody filled its place meanwhile; the rest of the hosts are left alone."""
    world = upgrade_fleet()
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_upgrade(ALL))
    await until(lambda: ("kvm2", REBOOT) in world.ran)
    world.room["kvm2"] = 1
    operation = await console.ended(ident)
    assert operation.state is OperationState.PAUSED
    assert "is not home" in operation.problem.what
    assert states(operation)["kvm1"][0] is MoveState.PENDING
    world.room.clear()
    assert (await go_on(console, operation)).state is OperationState.DONE
    assert world.where() == home()
    await console.close()


async def test_nothing_is_run_under_a_guest_that_appeared():
    """Somebody starts a VM on the empty host: it is neither rebooted nor moved."""
    world = upgrade_fleet()
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_upgrade(("kvm1",)))
    await until(lambda: ("kvm1", UPGRADE) in world.ran)
    stray = world.domains.pop(("kvm3", uuid_of(20)))
    world.domains[("kvm1", uuid_of(20))] = stray
    operation = await console.ended(ident)
    assert "vm20 still there" in operation.problem.what
    assert ("kvm1", REBOOT) not in world.ran
    assert not world.damage
    await console.close()


async def test_nothing_is_run_where_guests_cannot_be_seen():
    """libvirtd is silent after the command: whether guests run there is not known, so no reboot."""
    world = upgrade_fleet()
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_upgrade(("kvm1",)))
    await until(lambda: ("kvm1", UPGRADE) in world.ran)
    world.deaf.add("kvm1")
    operation = await console.ended(ident)
    assert "which guests run on kvm1 could not be read" in operation.problem.what
    assert ("kvm1", REBOOT) not in world.ran
    world.deaf.clear()
    assert (await go_on(console, operation)).state is OperationState.DONE
    await console.close()


async def test_it_is_paused_resumed_and_cancelled():
    """Paused nothing more begins, its drain included; cancelled, the host out is left as it is."""
    world = upgrade_fleet(per_host=4)
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_upgrade(ALL))
    await until(lambda: any(o.plan.kind is OperationKind.DRAIN for o in world.operations.values()))
    drain = next(o.id for o in world.operations.values() if o.plan.kind is OperationKind.DRAIN)
    await console.operations.pause(ident)
    await until(lambda: world.operations[drain].state is OperationState.PAUSED)
    assert world.operations[ident].state is OperationState.PAUSED
    await console.operations.resume(ident)
    await until(lambda: ("kvm2", UPGRADE) in world.ran)
    await console.operations.cancel(ident)
    operation = await console.ended(ident)
    assert operation.state is OperationState.CANCELLED
    assert ("kvm2", REBOOT) not in world.ran
    assert stage(operation, "kvm2", "command").state is MoveState.DONE
    assert any("novacron return kvm2" in text for text in console.events)
    plan, parent = await console.operations.plan_return("kvm2")
    assert parent == drain
    back = await console.ended(await console.operations.start(plan, parent))
    assert back.state is OperationState.DONE
    await console.close()


async def test_what_cannot_be_planned_is_refused():
    """No rules, no root, a read-only world, and hosts that others work on."""
    world = upgrade_fleet()
    console = OpsConsole(world)
    with pytest.raises(Gone, match="not configured"):
        await console.operations.plan_upgrade(ALL, "nightly")
    world.rootless.add("kvm3")
    plan = await console.operations.plan_upgrade(ALL)
    assert plan.refusal is not None
    assert plan.refusal.what == "commands need root on kvm3, and the login ops is not"
    world.rootless.clear()
    world.down.add("kvm3")
    assert (await console.operations.plan_upgrade(ALL)).refusal.code == "unreachable"
    world.down.clear()
    plan = await console.operations.plan_upgrade(ALL)
    drain = await console.operations.plan_drain("kvm1")
    ident = await console.operations.start(plan)
    with pytest.raises(Busy, match="another operation works on kvm1"):
        await console.operations.start(drain)
    assert world.leases.keys() == set(HOSTS)
    await console.operations.cancel(ident)
    await console.ended(ident)
    await console.close()


async def test_two_hosts_are_out_at_a_time_where_the_plan_says_so():
    """With three hosts N+1 allows one; two out are never more, and what fails is told of both."""
    world = upgrade_fleet(max_out=2)
    console = OpsConsole(world)
    plan = await console.operations.plan_upgrade(ALL)
    assert [h.batch for h in plan.upgrade.hosts] == [1, 2, 3]
    hosts = tuple(replace(h, batch=min(h.batch, 2)) for h in plan.upgrade.hosts)
    plan = replace(plan, upgrade=replace(plan.upgrade, hosts=hosts))
    world.statuses[UPGRADE], world.lasts = 1, 100.0
    ident = await console.operations.start(plan)
    await go_on(console, await console.ended(ident), "skip")
    both = "kvm1 cannot go on at command: exit status 1: apt-get -y full-upgrade on kvm1: status 1"
    await until(lambda: "kvm3 cannot go on" in str(world.operations[ident].problem))
    operation = world.operations[ident]
    assert operation.problem.what.startswith(f"{both}; kvm3 cannot go on at command: exit status 1")
    assert "counts these 2 steps as done" in operation.problem.fix
    world.statuses.clear()
    operation = await go_on(console, operation)
    assert operation.state is OperationState.DONE, operation.problem
    assert Counter(c for _, c in world.ran) == {UPGRADE: 5, REBOOT: 3}
    assert world.most_out == 2
    assert world.where() == home()
    assert not world.damage
    await console.close()


async def test_guests_left_and_shut_down_by_choice_are_told():
    """Never silently: the choice is needed, and its effect said."""
    world = upgrade_fleet()
    world.local |= {uuid_of(0), uuid_of(1)}
    console = OpsConsole(world)
    plan = await console.operations.plan_upgrade(("kvm1",))
    assert {s.vm_name for s in plan.undecided} == {"vm0", "vm1"}
    with pytest.raises(Refused, match="a choice is needed"):
        await console.operations.start(plan)
    choices = {uuid_of(0): Choice.SHUTDOWN, uuid_of(1): Choice.LEAVE}
    plan = await console.operations.plan_upgrade(("kvm1",), "", choices)
    told = " ".join(plan.effects)
    assert "vm0 is SHUT DOWN while kvm1 is out" in told
    assert "vm1, left on kvm1 by choice, GOES DOWN, and does not start by itself" in told
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is OperationState.DONE, operation.problem
    assert world.where()[uuid_of(0)] == "kvm1"
    assert world.damage == ["vm1 was cut off on kvm1"]
    await console.close()


async def test_a_command_that_outlives_its_time_is_not_run_again_once_it_succeeded():
    """It ends just when it is given up: its host still tells so, and resume believes that."""
    world = upgrade_fleet(command_s=60.0)
    world.lasts = 300.0
    console = OpsConsole(world)

    def end(_number: int, name: str) -> None:
        if name == "forget_task":
            world.now += 300.0

    console.console.on_call = end
    ident = await console.operations.start(await console.operations.plan_upgrade(("kvm1",)))
    operation = await console.ended(ident)
    assert "not over after 60 s, and left alone" in operation.problem.what
    world.now += 300.0
    operation = await go_on(console, operation)
    assert operation.state is OperationState.DONE, operation.problem
    assert stage(operation, "kvm1", "command").note == "it had succeeded"
    assert Counter(world.ran)[("kvm1", UPGRADE)] == 1
    await console.close()
