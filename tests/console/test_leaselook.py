"""A single move keeps out of the way of another console's operation, and says whose it is."""

from __future__ import annotations

import asyncio

import pytest

from console.headless.session import has_pools, open_session
from console.jobs.leaselook import LEASED, LeaseLook
from console.operations.leases import LeaseDesk
from console.sources import FleetSource, simulated_fleet
from drivers.errors import Unsupported
from drivers.model.job import Action, Plan, Request, Step
from drivers.protocol import HeldLease
from drivers.sim.driver import SimDriver
from store.api import StoreError

WORDS = "bert@desk since 2026-11-21 10:00 UTC: drain of kvm2"


class Leased:
    """A host whose lease may be held, or that cannot tell."""

    def __init__(self, holder: str = "", fails: Exception | None = None) -> None:
        self.holder, self.fails, self.asked = holder, fails, 0

    async def lease_holder(self) -> str:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return self.holder


def plan(action: Action = Action.MIGRATE, target: str = "kvm2") -> Plan:
    return Plan("p", Request(action, "u", target), "web1", "kvm1", 0.0, steps=(Step("x", "x"),))


def look(mine: str = "", **hosts: Leased) -> LeaseLook:
    return LeaseLook(hosts, lambda host: host == mine)  # type: ignore[arg-type]


@pytest.mark.parametrize("held", ["kvm1", "kvm2"])
async def test_a_move_beside_another_operation_is_refused(held: str) -> None:
    hosts = {"kvm1": Leased(), "kvm2": Leased()}
    hosts[held].holder = WORDS
    (checked,) = await look(**hosts).checked([plan()])
    assert checked.refusal is not None
    assert checked.refusal.what == f"{held} is being worked on by another console"
    assert checked.refusal.proof == WORDS
    assert "novacron jobs" in checked.refusal.fix
    assert checked.refusal.code == LEASED
    assert checked.steps == ()


async def test_a_tier_move_looks_at_its_host_alone() -> None:
    hosts = {"kvm1": Leased(WORDS), "cold": Leased()}
    (checked,) = await look(**hosts).checked([plan(Action.TIER, "cold")])
    assert checked.refusal is not None
    assert hosts["cold"].asked == 0


async def test_what_moves_nothing_goes_on() -> None:
    hosts = {"kvm1": Leased(WORDS)}
    (checked,) = await look(**hosts).checked([plan(Action.SHUTDOWN, "")])
    assert checked == plan(Action.SHUTDOWN, "")
    assert hosts["kvm1"].asked == 0


async def test_ones_own_operation_is_no_hurdle_and_many_plans_ask_a_host_once() -> None:
    hosts = {"kvm1": Leased(WORDS), "kvm2": Leased()}
    checked = await look("kvm1", **hosts).checked([plan()] * 5)
    assert checked == (plan(),) * 5
    assert (hosts["kvm1"].asked, hosts["kvm2"].asked) == (0, 1)


async def test_a_host_that_gives_no_leases_hinders_nobody() -> None:
    hosts = {"kvm1": Leased(fails=Unsupported("no command can be run there")), "kvm2": Leased()}
    assert await look(**hosts).checked([plan()]) == (plan(),)


async def test_a_lease_that_was_lost_is_not_ones_own() -> None:
    held = HeldLease(asyncio.Event(), lambda: asyncio.sleep(0))

    async def hold(_host: str, _words: str) -> HeldLease:
        return held

    desk = LeaseDesk(hold, lambda _seconds: asyncio.sleep(0))
    await desk.take("op", ["kvm1"], "me")
    assert desk.holds("kvm1")
    assert not desk.holds("kvm2")
    held.lost.set()
    assert not desk.holds("kvm1")


def test_the_preview_of_a_migration_says_who_works_there() -> None:
    source = simulated_fleet(3, 6)
    worlds: list[SimDriver] = []

    def make(spec: object, ask: object) -> SimDriver:
        driver = source.make(spec, ask)  # type: ignore[arg-type]
        assert isinstance(driver, SimDriver)
        worlds.append(driver)
        return driver

    def no_store() -> None:
        raise StoreError("nothing is recorded here")

    kept = FleetSource(source.name, source.specs, make, simulated=True)
    with open_session(kept, no_store) as session:  # type: ignore[arg-type]
        snapshot = session.wait(has_pools, 60.0)
        vm = next(vm for vm in snapshot.vms() if vm.state.active)
        target = next(h.name for h in snapshot.hosts if h.name != vm.host)
        request = Request(Action.MIGRATE, vm.uuid, target)
        (before,) = session.plan((request,))
        next(d for d in worlds if d.spec.name == target).host.lease = WORDS
        (after,) = session.plan((request,))
    assert before.refusal is None
    assert after.refusal is not None
    assert (after.refusal.code, after.refusal.proof) == (LEASED, WORDS)
