"""One compartment that is full holds up nobody else: connections, migrations, jobs."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from console.bulkheads import ALL, Bulkheads
from console.config.load import bounds_of
from console.config.schema import FleetFile
from console.jobs.gates import Gates
from console.policy.bounds import BOUNDS, Bounds
from console.poller.connecting import HAND_ON_S
from drivers.errors import Unreachable
from drivers.model.job import Action, Plan, Request, Step
from tests.console.fakes import FakeDriver, hang
from tests.console.pollerworld import Fleet, watching
from tests.console.virtual import now, simulate


def storm(count: int, site: str) -> list[FakeDriver]:
    """Hosts of one site that never answer."""
    hosts = [FakeDriver(f"{site}{n}", site=site, connect_s=15.0) for n in range(count)]
    for host in hosts:
        host.on_connect = hang
    return hosts


async def first_data(fleet: Fleet, name: str) -> float:
    """Seconds until a host's VMs are known."""
    began = now()
    while not fleet.host(name).slow_at:  # noqa: ASYNC110 - the time is virtual
        await asyncio.sleep(0.05)
    return now() - began


@pytest.mark.parametrize("bounds", [BOUNDS, Bounds(connects_per_site=4, connects=4)])
def test_a_site_of_black_holed_hosts_delays_no_other_site(bounds: Bounds) -> None:
    """Even where its connections fill every turn there is."""

    async def work() -> tuple[float, float]:
        async with watching(FakeDriver("b", site="b"), bounds=bounds) as alone:
            usual = await first_data(alone, "b")
        hosts = [*storm(100, "a"), FakeDriver("b", site="b")]
        async with watching(*hosts, bounds=bounds) as fleet:
            late = await first_data(fleet, "b")
            assert sum(len(h.connects) for h in hosts[:100]) <= bounds.connects_per_site + 1
        return usual, late

    usual, late = simulate(work())
    assert late == pytest.approx(usual, abs=0.06)


def test_hosts_of_the_same_site_wait_for_the_slow_ones_only_a_moment() -> None:
    """A connection that only waits hands its turn on, long before its deadline."""

    async def work() -> float:
        hosts = [*storm(100, "a"), FakeDriver("fine", site="a")]
        async with watching(*hosts, bounds=Bounds(connects_per_site=50)) as fleet:
            return await first_data(fleet, "fine")

    assert simulate(work()) < 3 * HAND_ON_S


def test_a_site_that_comes_back_late_gets_its_turn_within_a_storm_of_retries() -> None:
    async def work() -> float:
        hosts = [*storm(40, "a"), FakeDriver("b", site="b")]
        late = hosts[-1]
        down = True

        async def connect() -> None:
            if down:
                raise Unreachable("no route to host")

        late.on_connect = connect
        async with watching(*hosts, bounds=Bounds(connects_per_site=8, connects=8)) as fleet:
            await asyncio.sleep(300)
            down = False
            fleet.poller.refresh("b")
            return await first_data(fleet, "b")

    assert simulate(work()) < 1.0


def move(number: int, source: str, target: str, action: Action = Action.MIGRATE) -> Plan:
    return Plan(f"p{number}", Request(action, f"u{number}", target), f"vm{number}", source, 0.0)


SITES = {"a1": "a", "a2": "a", "a3": "a", "a4": "a", "b1": "b", "b2": "b"}


class Yard:
    """Moves that stay under way until they are let go."""

    def __init__(self, bounds: Bounds, memory: dict[str, int] | None = None) -> None:
        self.gates = Gates(bounds, lambda host: SITES.get(host, ""), (memory or {}).get)
        self.running: dict[str, asyncio.Event] = {}
        self.given_up: dict[str, asyncio.Event] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self, *plans: Plan) -> set[str]:
        """Start them; returns all that are under way once nothing moves any more."""
        self.tasks += [asyncio.create_task(self._run(plan)) for plan in plans]
        return await self.rest()

    async def rest(self) -> set[str]:
        for _ in range(20):
            await asyncio.sleep(0)
        return set(self.running)

    async def _run(self, plan: Plan) -> None:
        async with self.gates.passing(plan, self.given_up.setdefault(plan.id, asyncio.Event())):
            self.running[plan.id] = asyncio.Event()
            await self.running[plan.id].wait()
        del self.running[plan.id]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_moves_keep_the_caps_of_host_link_site_and_whole() -> None:
    bounds = Bounds(moves_per_host=2, moves_per_link=1, moves_per_site=3, moves=4)
    yard = Yard(bounds)
    under_way = await yard.begin(move(1, "a1", "a2"), move(2, "a1", "a2"))
    assert under_way == {"p1"}  # one at a time from a1 to a2
    assert await yard.begin(move(3, "a1", "a3"), move(4, "a1", "a4")) == {"p1", "p3"}
    assert await yard.begin(move(5, "a4", "a2"), move(6, "a4", "a3")) == {"p1", "p3", "p5"}
    assert "p7" in await yard.begin(move(7, "b1", "b2"))  # site a is full, b is not
    assert await yard.begin(move(8, "x1", "x2")) == {"p1", "p3", "p5", "p7"}  # the whole is
    yard.running["p5"].set()
    assert await yard.rest() == {"p1", "p3", "p6", "p7"}
    await yard.end()


async def test_small_guests_fill_the_room_beside_large_ones() -> None:
    """Two large ones at a time as ever, four in all; one that copies disks is never small."""
    bounds = Bounds(small=100, small_per_host=4, small_per_link=4)
    yard = Yard(bounds, {f"u{n}": 900 if n < 4 else 100 for n in range(1, 10)})
    large = [move(n, "a1", f"b{n}") for n in (1, 2, 3)]
    small = [move(n, "a1", "x1") for n in (4, 5, 6)]
    assert await yard.begin(*large, *small) == {"p1", "p2", "p4", "p5"}
    yard.running["p4"].set()
    assert await yard.rest() == {"p1", "p2", "p5", "p6"}
    copying = replace(move(7, "a1", "x1"), steps=(Step("migrate", "", args={"copy": "vda"}),))
    assert "p7" not in await yard.begin(copying)
    for name in ("p1", "p5"):
        yard.running[name].set()
    assert await yard.rest() == {"p2", "p3", "p6"}
    await yard.end()


async def test_whoever_waits_for_one_host_holds_no_other() -> None:
    """A disk copy of a2 waits; a move from a3 to a4 passes it."""
    yard = Yard(Bounds(moves_per_host=1))
    copy = move(2, "a2", "cold", Action.TIER)
    assert await yard.begin(move(1, "a1", "a2"), copy, move(3, "a3", "a4")) == {"p1", "p3"}
    yard.running["p1"].set()
    assert await yard.rest() == {"p2", "p3"}
    await yard.end()


async def test_jobs_that_move_nothing_have_room_of_their_own() -> None:
    yard = Yard(Bounds(jobs_per_host=2, moves=1))
    starts = [move(n, "a1", "", Action.START) for n in range(10, 14)]
    assert await yard.begin(move(1, "a1", "a2"), *starts) == {"p1", "p10", "p11"}
    await yard.end()
    assert not yard.gates._light._waiting


async def test_what_is_cancelled_waits_for_no_room_and_takes_none() -> None:
    """However long the one before it hangs; who waited behind it passes in its turn."""
    yard = Yard(Bounds(moves_per_host=1))
    assert await yard.begin(move(1, "a1", "a2"), move(2, "a1", "a3"), move(3, "a1", "a4")) == {"p1"}
    yard.given_up["p2"].set()
    assert await yard.rest() == {"p1", "p2"}  # only to say that it was cancelled
    yard.running["p1"].set()
    assert await yard.rest() == {"p2", "p3"}
    yard.running["p2"].set()
    yard.running["p3"].set()
    assert await yard.rest() == set()
    assert yard.gates._heavy._held == Counter()


async def test_all_that_wait_and_run_are_let_go_at_once() -> None:
    """As a console that closes does: room that comes free goes to nobody who gave up."""
    yard = Yard(Bounds(moves_per_host=1))
    await yard.begin(*(move(n, "a1", f"a{n}") for n in range(2, 5)))
    ended = asyncio.gather(*yard.tasks, return_exceptions=True)
    await yard.end()
    await yard.rest()
    assert all(isinstance(one, asyncio.CancelledError) for one in await ended)
    assert yard.gates._heavy._held == Counter()
    assert not yard.gates._heavy._waiting


async def test_room_that_comes_free_goes_to_nobody_who_has_just_given_up() -> None:
    gates, needs = Bulkheads(), {ALL: 1}
    await gates.enter(needs)
    first = asyncio.create_task(gates.enter(needs))
    second = asyncio.create_task(gates.enter(needs))
    await asyncio.sleep(0)
    first.cancel()
    gates.leave(needs)
    (error, _) = await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(error, asyncio.CancelledError)
    assert gates._held == Counter({ALL: 1})
    assert not gates._waiting


async def test_one_who_gives_up_waiting_leaves_no_trace() -> None:
    """Also when its turn came in the same moment."""
    gates, needs = Bulkheads(), {ALL: 1}
    await gates.enter(needs)
    first = asyncio.create_task(gates.enter(needs))
    second = asyncio.create_task(gates.enter(needs))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    gates.leave(needs)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        await gates.enter(needs)
        stack.callback(gates.leave, needs)
    assert gates._held == Counter()


def test_limits_are_read_from_the_fleet_file() -> None:
    told = {"limits": {"moves": 4, "moves_per_site": 2, "connects": 9, "connects_per_site": 5,
                       "jobs_per_host": 3},
            "policy": {"moves_per_host": 1, "moves_per_link": 1}}  # fmt: skip
    wanted = Bounds(3, 1, 1, 2, 4, 5, 9, small_per_host=1, small_per_link=1)
    assert bounds_of(FleetFile.model_validate(told)) == wanted
    faster = {"policy": {"migration_mib_s": 1000}}  # what counts as small depends on the link
    assert bounds_of(FleetFile.model_validate(faster)).small == 2000 << 20
    assert bounds_of(FleetFile()) == BOUNDS
    with pytest.raises(ValueError, match="one site cannot have more than all"):
        FleetFile.model_validate({"limits": {"moves": 2, "moves_per_site": 3}})
