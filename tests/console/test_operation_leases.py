"""Two consoles do not work on one host: who holds it is told, and the dead hold nothing."""

from __future__ import annotations

import asyncio

import pytest

from console.operations.leases import LeaseDesk
from drivers.errors import Busy, Failed, Unsupported
from drivers.model.operation import Operation, OperationState
from drivers.protocol import HeldLease
from tests.console.jobworld import Console
from tests.console.opsworld import OpsConsole, fleet, until


class Fleet:
    """Hosts whose leases are held, lost and taken away."""

    def __init__(self) -> None:
        self.held: dict[str, HeldLease] = {}
        self.taken: set[str] = set()
        self.mute: set[str] = set()
        self.calls: list[str] = []

    async def hold(self, host: str, words: str) -> HeldLease:
        self.calls.append(host)
        if host in self.mute:
            raise Unsupported("no command can be run there")
        if host in self.taken or (host in self.held and not self.held[host].lost.is_set()):
            raise Busy(f"{host} is being worked on", "bert since noon")
        lost = asyncio.Event()

        async def release() -> None:
            lost.set()
            self.held.pop(host, None)

        self.held[host] = HeldLease(lost, release)
        return self.held[host]


async def soon(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_all_hosts_are_held_or_none() -> None:
    fleet = Fleet()
    fleet.taken.add("kvm2")
    desk = LeaseDesk(fleet.hold, soon)
    with pytest.raises(Busy) as refused:
        await desk.take("op1", ("kvm3", "kvm1", "kvm2"), "anna")
    assert refused.value.problem.proof == "bert since noon"
    assert fleet.held == {}


async def test_operations_of_one_console_share_a_host() -> None:
    fleet = Fleet()
    desk = LeaseDesk(fleet.hold, soon)
    await desk.take("op1", ("kvm1", "kvm3"), "anna")
    await desk.take("op2", ("kvm2", "kvm3"), "anna")
    await desk.release("op1")
    assert set(fleet.held) == {"kvm2", "kvm3"}
    await desk.release("op2")
    assert fleet.held == {}


async def test_a_host_that_gives_no_lease_hinders_nobody() -> None:
    fleet = Fleet()
    fleet.mute.add("kvm2")
    desk = LeaseDesk(fleet.hold, soon)
    await desk.take("op1", ("kvm1", "kvm2"), "anna")
    assert set(fleet.held) == {"kvm1"}


async def test_a_host_that_hangs_delays_no_other():
    """Neither the other hosts of its operation nor another operation wait for it."""
    fleet = Fleet()
    answer = asyncio.Event()

    async def hold(host: str, words: str) -> HeldLease:
        if host == "kvm1":
            await answer.wait()
        return await fleet.hold(host, words)

    desk = LeaseDesk(hold, soon)
    first = asyncio.create_task(desk.take("op1", ("kvm1", "kvm2"), "anna"))
    await until(lambda: desk.holds("kvm2"))
    async with asyncio.timeout(60):
        await desk.take("op2", ("kvm2", "kvm3"), "anna")
        await desk.release("op2")
    assert set(fleet.held) == {"kvm2"}
    assert not first.done()
    answer.set()
    await first
    assert set(fleet.held) == {"kvm1", "kvm2"}


async def test_hosts_that_were_asked_in_vain_are_not_held():
    """Whoever asked for them gave up while one of them hung."""
    fleet = Fleet()

    async def hold(host: str, words: str) -> HeldLease:
        if host == "kvm1":
            await asyncio.Event().wait()
        return await fleet.hold(host, words)

    desk = LeaseDesk(hold, soon)
    await desk.take("op1", ("kvm3",), "anna")
    taking = asyncio.create_task(desk.take("op1", ("kvm1", "kvm2"), "anna"))
    await until(lambda: desk.holds("kvm2"))
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert set(fleet.held) == {"kvm3"}
    await desk.release("op1")
    assert fleet.held == {}


async def test_a_lease_that_is_given_late_is_given_back_too():
    """Another console has kvm2; what a slow host gives after that is not kept."""
    fleet = Fleet()
    fleet.taken.add("kvm2")
    answer = asyncio.Event()

    async def hold(host: str, words: str) -> HeldLease:
        if host == "kvm1":
            await answer.wait()
        return await fleet.hold(host, words)

    desk = LeaseDesk(hold, soon)
    taking = asyncio.create_task(desk.take("op1", ("kvm1", "kvm2"), "anna"))
    await until(lambda: "kvm2" in fleet.calls)
    answer.set()
    with pytest.raises(Busy):
        await taking
    assert fleet.calls == ["kvm2", "kvm1"]
    assert fleet.held == {}
    assert not desk.holds("kvm1")


async def test_a_lost_lease_is_taken_again_and_one_taken_away_is_told() -> None:
    fleet = Fleet()
    desk = LeaseDesk(fleet.hold, soon)
    await desk.take("op1", ("kvm1",), "anna")
    told: asyncio.Queue[Busy] = asyncio.Queue()
    keeper = asyncio.create_task(desk.keep("op1", lambda: ("kvm1",), "anna", told.put))
    fleet.held["kvm1"].lost.set()
    async with asyncio.timeout(60):
        while fleet.calls.count("kvm1") < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert told.empty()
    fleet.taken.add("kvm1")
    fleet.held["kvm1"].lost.set()
    async with asyncio.timeout(60):
        assert (await told.get()).problem.proof == "bert since noon"
    keeper.cancel()


async def test_what_could_not_be_told_of_a_lost_lease_is_told_with_the_next_look() -> None:
    """A journal that fails for a moment leaves no operation at work on another's host."""
    fleet = Fleet()
    fleet.taken.add("kvm1")
    desk = LeaseDesk(fleet.hold, soon)
    told: asyncio.Queue[Busy] = asyncio.Queue()
    fails = [Failed("the job journal cannot be written")]

    async def lost(taken: Busy) -> None:
        if fails:
            raise fails.pop()
        await told.put(taken)

    keeper = asyncio.create_task(desk.keep("op1", lambda: ("kvm1",), "anna", lost))
    async with asyncio.timeout(60):
        assert (await told.get()).problem.proof == "bert since noon"
    keeper.cancel()


async def test_a_drain_is_refused_while_another_console_works_on_a_target() -> None:
    world = fleet(2)
    other = Console(world)
    world.leases["kvm2"] = (other, "bert@jump2 since noon: drain of kvm2")
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    assert "kvm2" in plan.hosts
    with pytest.raises(Busy) as refused:
        await console.operations.start(plan)
    assert "bert@jump2" in refused.value.problem.proof
    assert not world.operations
    assert not world.cordons
    other.dead = True
    operation = await console.ended(await console.operations.start(plan))
    assert operation.state is OperationState.DONE
    await console.close()
    assert world.leases == {}


async def test_an_operation_that_nobody_begins_any_more_holds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its start was given up while the store was asked to take it."""
    world = fleet(2)
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    asked = asyncio.Event()

    async def begin(_operation: Operation) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(console.book, "begin", begin)
    starting = asyncio.create_task(console.operations.start(plan))
    await asked.wait()
    assert "kvm1" in world.leases
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    assert world.leases == {}
    await console.close()
