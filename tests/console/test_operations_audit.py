"""The audit ledger knows of every operation and cordon, and each operation keeps its times."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.operations.auditing import upgrade_commands
from console.policy.otlp import otlp_operation
from drivers.errors import Busy, Failed
from drivers.model.audit import Deed
from drivers.model.operation import (
    Limits,
    Move,
    MoveRun,
    MoveState,
    MoveVerb,
    Operation,
    OperationKind,
    OperationPlan,
    OperationState,
    UpgradeHost,
    UpgradePlan,
    Wish,
    WishVerb,
)
from drivers.model.operation_trace import whole_trace
from drivers.model.upgrade import UpgradeRules
from tests.console.opsworld import OpsConsole, fleet
from tests.console.test_operations import drained


async def test_an_operation_is_on_the_ledger_with_plan_and_commands():
    world = fleet(2)
    console = OpsConsole(world)
    operation = await drained(console)
    mine = [e for e in world.ledger if e.job == operation.id]
    await console.close()
    first, last = mine
    assert (first.deed, first.title) == (Deed.BEGUN, "Drain of kvm1")
    assert first.actor.user
    assert set(first.hosts) == {"kvm1", "kvm2", "kvm3"}
    assert any("wave 1: migrate web0, kvm1 to" in line for line in first.plan)
    assert "kvm1 is cordoned: it takes no VMs until it is uncordoned" in first.plan
    moves = {r.move.vm_name: r.move.target for r in operation.runs}
    assert first.commands == tuple(
        "virsh -c qemu+ssh://kvm1/system migrate --live --persistent --undefinesource"
        f" {name} qemu+ssh://{target}/system"
        for name, target in moves.items()
    )
    assert (last.deed, last.state) == (Deed.ENDED, "done")
    assert last.outcome == operation.outcome


async def test_the_ledger_is_written_before_anything_is_done():
    world = fleet(2)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    world.ledger_full = True
    with pytest.raises(Failed, match="audit ledger"):
        await console.operations.start(plan)
    assert not world.operations
    assert not world.cordons
    assert not world.leases
    await console.close()


async def test_an_end_that_the_store_takes_late_is_on_the_ledger_once():
    """Although one write was tried often enough; what is asked meanwhile comes too late."""
    world = fleet(2)
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_drain("kvm1"))
    refused = 0

    def full(_number: int, name: str) -> None:
        nonlocal refused
        over = (world.ledger[-1].job, world.ledger[-1].deed) == (ident, Deed.ENDED)
        if name == "put_operation" and over and refused < 9:
            refused += 1
            world.wishes[:] = [Wish(ident, WishVerb.CANCEL, world.now, "me")]
            raise Failed("the disk is full")

    console.console.on_call = full
    operation = await console.ended(ident)
    await console.close()
    assert refused == 9
    (last,) = [e for e in world.ledger if e.job == ident and e.deed is Deed.ENDED]
    assert (last.state, last.outcome) == (operation.state.value, operation.outcome)
    assert operation.state is OperationState.DONE


@pytest.mark.parametrize("asked", [None, WishVerb.CANCEL])
async def test_an_end_on_the_ledger_stands_when_the_console_dies_before_it_is_on_record(
    asked: WishVerb | None,
):
    """Killed between the two; the next console tells no second end, and records that one."""
    world = fleet(2)
    console = OpsConsole(world)
    ident = await console.operations.start(await console.operations.plan_drain("kvm1"))

    def killed(_number: int, name: str) -> None:
        over = (world.ledger[-1].job, world.ledger[-1].deed) == (ident, Deed.ENDED)
        if name == "put_operation" and over:
            console.console.die()

    console.console.on_call = killed
    assert not (await console.ended(ident)).state.ended
    assert console.console.dead
    await console.close()
    if asked is not None:
        world.wishes.append(Wish(ident, asked, world.now, "me"))
    second = OpsConsole(world, owner="me@elsewhere:1:1")
    await second.operations.resume(ident)
    operation = await second.ended(ident)
    await second.close()
    (last,) = [e for e in world.ledger if (e.deed, e.title) == (Deed.ENDED, "Drain of kvm1")]
    assert (last.state, last.outcome) == (operation.state.value, operation.outcome)
    assert operation.state is OperationState.DONE


async def test_what_could_not_begin_is_told_on_the_ledger():
    world = fleet(2)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    ident = await console.operations.start(plan)
    with pytest.raises(Busy):
        await console.operations.start(plan)
    refused = [e for e in world.ledger if e.outcome.startswith("Nothing was done")]
    assert [(e.deed, e.state, e.job != ident) for e in refused] == [
        (Deed.ENDED, OperationState.CANCELLED.value, True)
    ]
    await console.ended(ident)
    await console.close()


async def test_cordons_and_steering_are_deeds_too():
    world = fleet(1)
    console = OpsConsole(world)
    await console.operations.cordon("kvm2", "new memory")
    await console.operations.uncordon("kvm2")
    assert [(e.title, e.deed.value, e.hosts) for e in world.ledger] == [
        ("Cordon kvm2", "begun", ("kvm2",)),
        ("Cordon kvm2", "ended", ("kvm2",)),
        ("Uncordon kvm2", "begun", ("kvm2",)),
        ("Uncordon kvm2", "ended", ("kvm2",)),
    ]
    assert world.ledger[0].commands == ("novacron cordon kvm2 --reason 'new memory'",)
    ident = await console.operations.start(await console.operations.plan_drain("kvm1"))
    await console.operations.cancel(ident)
    await console.ended(ident)
    titles = [e.title for e in world.ledger if e.job == ident]
    assert titles == ["Drain of kvm1", *["Cancel: Drain of kvm1"] * 2, "Drain of kvm1"]
    await console.close()


async def test_an_operation_keeps_the_times_of_what_it_did():
    world = fleet(2)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    world.now += 30
    operation = await console.ended(await console.operations.start(plan))
    names = [s.name for s in operation.trace if not s.parent]
    assert names[:2] == ["plan shown and confirmed", "leases"]
    assert {"check web0", "check web1"} <= set(names)
    assert operation.trace[0].busy_s == pytest.approx(30)
    await console.close()


async def test_the_trace_goes_on_in_the_console_that_takes_over():
    world = fleet(3)
    console = OpsConsole(world, at=40, mode="kill")
    ident = await console.operations.start(await console.operations.plan_drain("kvm1"))
    before = await console.ended(ident)
    assert console.console.dead
    await console.close()
    second = OpsConsole(world, owner="me@elsewhere:1:1")
    await second.operations.resume(ident)
    after = await second.ended(ident)
    assert after.state is OperationState.DONE
    assert after.trace[0] == before.trace[0]
    assert [s.name for s in after.trace].count("leases") == 2
    assert all(s.ended_at is not None for s in after.trace)
    await second.close()


async def test_the_exported_trace_is_one_tree_with_the_jobs_as_children():
    world = fleet(2)
    console = OpsConsole(world)
    operation = await drained(console)
    await console.close()
    request = otlp_operation(operation, world.journal.values(), "1.2.3")
    (resource,) = request["resourceSpans"]  # type: ignore[misc]
    spans = resource["scopeSpans"][0]["spans"]
    by_id = {span["spanId"]: span for span in spans}
    assert len(by_id) == len(spans)
    assert len({span["traceId"] for span in spans}) == 1
    roots = [span for span in spans if "parentSpanId" not in span]
    assert [span["name"] for span in roots] == ["drain kvm1"]
    top = [s["name"] for s in spans if s.get("parentSpanId") == roots[0]["spanId"]]
    titles = [job.plan.title for job in world.journal.values()]
    assert len(titles) == 2
    assert set(titles) < set(top)
    assert {"leases", "check web0"} <= set(top)

    def path(span: dict) -> list[str]:
        above = span.get("parentSpanId")
        return [*(path(by_id[above]) if above else []), span["name"]]

    calls = [path(s) for s in spans if s["name"] == "kvm1 virDomainMigrate3"]
    assert sorted(calls) == sorted(
        ["drain kvm1", title, "migrate", "kvm1 virDomainMigrate3"] for title in titles
    )
    for span in spans:
        above = by_id.get(span.get("parentSpanId", ""))
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        if above is not None:
            assert int(above["startTimeUnixNano"]) <= int(span["startTimeUnixNano"])
            assert int(span["endTimeUnixNano"]) <= int(above["endTimeUnixNano"])


def test_a_move_whose_job_is_not_at_hand_is_told_by_its_own_times():
    world = fleet(1)
    move = Move("m1", MoveVerb.MIGRATE, "u", "web0", "kvm1", "kvm2")
    plan = OperationPlan(OperationKind.DRAIN, "kvm1", world.now, Limits(), (move,))
    run = MoveRun(move, MoveState.DONE, jobs=("gone",), started_at=10.0, ended_at=14.0)
    operation = Operation("drain-1", plan, runs=(run,), created_at=9.0)
    (span,) = whole_trace(operation, ())
    assert (span.name, span.started_at, span.ended_at) == ("migrate web0", 10.0, 14.0)


def test_an_upgrade_tells_what_it_runs_on_each_host():
    rules = UpgradeRules(commands=("apt-get -y upgrade",), reboot=True)
    hosts = tuple(UpgradeHost(name, batch, ()) for batch, name in enumerate(("a", "b"), 1))
    plan = OperationPlan(
        OperationKind.UPGRADE, "a,b", 0.0, Limits(), upgrade=UpgradePlan(rules, hosts)
    )
    assert upgrade_commands(plan) == (
        "ssh a 'apt-get -y upgrade'",
        "ssh a 'systemctl reboot'",
        "ssh b 'apt-get -y upgrade'",
        "ssh b 'systemctl reboot'",
    )
    assert upgrade_commands(replace(plan, upgrade=None)) == ()
