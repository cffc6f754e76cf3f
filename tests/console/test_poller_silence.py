"""The poller in virtual time: a link that falls silent without an error."""

from __future__ import annotations

import asyncio

import pytest

from drivers.model.host import LinkState
from tests.console.fakes import FakeDriver, hang, nothing
from tests.console.pollerworld import Fleet, watching
from tests.console.virtual import VirtualLoop, now, simulate


def silence(driver: FakeDriver) -> None:
    """Nothing that the host is asked gets an answer any more."""
    driver.on_fast = driver.on_slow = driver.on_pools = driver.on_ping = driver.on_connect = hang


def texts(fleet: Fleet, after: float) -> list[str]:
    """What the host's link was said to suffer from, one after another."""
    told: list[str] = []
    for at, snapshot in fleet.published:
        problem = snapshot.hosts[0].link.problem
        if at >= after and problem is not None and problem.what not in told:
            told.append(problem.what)
    return told


def test_a_silent_link_is_told_within_seconds_and_down_within_its_deadline() -> None:
    """Three seconds without an answer are shown, each second more, and ten make it down."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(30.2)
            silence(driver)
            cut = now()
            await asyncio.sleep(4.1)
            host = fleet.host()
            assert host.link.state is LinkState.DEGRADED
            assert host.link.problem is not None
            assert host.link.problem.code == "silent"
            await asyncio.sleep(6.1)
            host = fleet.host()
            assert host.link.state is LinkState.DOWN
            assert host.link.retry_at is not None
            assert host.vms
            assert texts(fleet, cut) == [f"No answer for {n} s." for n in range(3, 11)]
            for hook in ("on_fast", "on_slow", "on_pools", "on_ping", "on_connect"):
                setattr(driver, hook, nothing)
            await asyncio.sleep(30)
            assert fleet.host().link.state is LinkState.UP
            assert fleet.texts("connected")[-1].startswith("back")

    simulate(story())


@pytest.mark.parametrize("deadline_s", [2.0, 4.0])
def test_a_shorter_deadline_is_kept(deadline_s: float) -> None:
    """deadline_s of the configuration decides when a silent host counts as down."""

    async def story() -> None:
        driver = FakeDriver("a", deadline_s=deadline_s)
        async with watching(driver) as fleet:
            await asyncio.sleep(20)
            silence(driver)
            await asyncio.sleep(deadline_s + 0.1)
            assert fleet.host().link.state is LinkState.DOWN

    simulate(story())


def test_a_host_that_is_slow_to_let_go_shows_as_down_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hanging up on a mute host takes seconds; the screen does not wait for it."""

    async def story() -> None:
        driver = FakeDriver("a")
        closed: list[float] = []

        async def close() -> None:
            await asyncio.sleep(4)
            closed.append(now())

        monkeypatch.setattr(driver, "close", close)
        async with watching(driver) as fleet:
            await asyncio.sleep(5)
            driver.emit("", "lost", "cut")
            await asyncio.sleep(0.1)
            assert fleet.host().link.state is LinkState.DOWN
            assert closed == []
            await asyncio.sleep(5)
            assert fleet.host().link.state is LinkState.UP
            assert closed

    simulate(story())


def test_a_silent_reader_alone_is_no_silent_host() -> None:
    """libvirt still answers: the host is never said to be mute, and stays connected."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(5)
            driver.on_fast = hang
            start = now()
            await asyncio.sleep(60)
            assert not [text for text in texts(fleet, start) if text.startswith("No answer")]
            assert len(driver.connects) == 1
            assert fleet.host().link.state is LinkState.DEGRADED

    simulate(story())


def test_a_console_that_stood_still_blames_no_host() -> None:
    """After a suspended laptop or a starved machine the hosts are up as before."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(30.5)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.jumping.now += 300.0
            start = now()
            await asyncio.sleep(5)
            assert texts(fleet, start) == []
            assert fleet.host().link.state is LinkState.UP
            assert len(driver.connects) == 1

    simulate(story())


def test_a_pause_is_no_silence() -> None:
    """While a person has paused reading, nothing is expected, and the host stays up."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(5)
            fleet.poller.pause(True)
            start = now()
            await asyncio.sleep(120)
            assert texts(fleet, start) == []
            assert fleet.host().link.state is LinkState.UP

    simulate(story())
