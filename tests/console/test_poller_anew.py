"""Hosts read anew on demand: never answered by a reading that began before."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from console.poller.watch import ANEW_S
from drivers.errors import Unreachable, Unsupported
from drivers.model.host import LinkState
from drivers.model.vm import VmState
from tests.console.fakes import FakeDriver, failing, hang, nothing
from tests.console.pollerworld import watching
from tests.console.virtual import now, simulate


def held() -> tuple[asyncio.Event, asyncio.Event]:
    """A reading has begun; it may go on."""
    return asyncio.Event(), asyncio.Event()


def test_a_reading_that_began_before_does_not_count() -> None:
    """It may not show what was done while it ran; one that begins afterwards does."""

    async def story() -> None:
        driver = FakeDriver("a", pools_s=60)
        async with watching(driver) as fleet:
            await asyncio.sleep(30)
            begun, go_on = held()

            async def slowly() -> None:
                begun.set()
                await go_on.wait()

            driver.on_slow = slowly
            fleet.poller.nudge("a")
            await begun.wait()
            driver.vms["a-u0"] = VmState.OFF
            asked = now()
            anew = asyncio.create_task(fleet.poller.read_anew(["a"], pools=True))
            await asyncio.sleep(1)
            assert not anew.done()
            driver.on_slow = nothing
            go_on.set()
            await anew
            assert fleet.host().vms[0].state is VmState.OFF
            assert driver.pool_reads[-1] >= asked
            assert driver.slow_reads[-1] >= driver.pool_reads[-1], "disks by the pools as they are"

    simulate(story())


def test_pools_are_left_out_where_no_volume_changed() -> None:
    """A start need not wait for a file server."""

    async def story() -> None:
        driver = FakeDriver("a", pools_s=60)
        async with watching(driver) as fleet:
            await asyncio.sleep(10)
            read = len(driver.pool_reads)
            await fleet.poller.read_anew(["a", "nobody"], pools=False)
            assert len(driver.pool_reads) == read
            assert now() - driver.slow_reads[-1] < 1

    simulate(story())


def test_a_host_that_cannot_answer_holds_nobody_up_for_ever() -> None:
    """Down, lost meanwhile, paused, without pools, or hung: each at most ten seconds."""

    async def took(fleet: object, *, pools: bool = True) -> float:
        began = now()
        await fleet.poller.read_anew(["a"], pools=pools)  # type: ignore[attr-defined]
        return now() - began

    async def story() -> None:
        driver = FakeDriver("a")
        driver.on_pools = failing(Unsupported("no pools"))
        async with watching(driver) as fleet:
            await asyncio.sleep(5)
            assert await took(fleet) < 1
            fleet.poller.pause(True)
            assert await took(fleet) == 0
            fleet.poller.pause(False)
            driver.on_slow = hang
            assert await took(fleet) == ANEW_S
            driver.on_slow = nothing
            await asyncio.sleep(60)
            driver.on_slow = failing(Unreachable("gone"))
            assert await took(fleet) < 1
            await asyncio.sleep(0.1)
            assert fleet.host().link.state is LinkState.DOWN
            assert await took(fleet) == 0

    simulate(story())


def test_a_failing_reading_is_not_waited_for_again() -> None:
    """Its age tells how old what is shown is: nothing is gained by more of the same."""

    async def story() -> None:
        driver = FakeDriver("a")
        driver.spec = replace(driver.spec, slow_s=300.0)
        async with watching(driver) as fleet:
            await asyncio.sleep(5)
            read = len(driver.slow_reads)
            driver.on_slow = failing(Unsupported("no domains"))
            await fleet.poller.read_anew(["a"], pools=False)
            assert len(driver.slow_reads) == read + 1
            await fleet.poller.read_anew(["a"], pools=False)
            assert len(driver.slow_reads) == read + 1

    simulate(story())
