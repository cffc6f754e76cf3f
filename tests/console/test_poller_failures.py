"""The poller in virtual time: hosts that hang, fail, wait for a person, and come back."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from drivers.errors import AuthFailed, HostKeyChanged, HostKeyUnknown, Unreachable
from drivers.model.host import LinkState
from tests.console.fakes import FakeDriver, failing, hang, nothing
from tests.console.pollerworld import watching
from tests.console.virtual import now, simulate


def test_a_hung_host_delays_nobody() -> None:
    """One host never answers its connection, another hangs in libvirt: a third goes on as ever."""

    async def story() -> None:
        black, hung, fine = FakeDriver("black"), FakeDriver("hung"), FakeDriver("fine")
        black.on_connect, hung.on_slow, hung.on_ping = hang, hang, hang
        async with watching(black, hung, fine) as fleet:
            await asyncio.sleep(60)
            gaps = [b - a for a, b in pairwise(fine.fast_reads)]
            assert max(gaps) <= 1.01
            assert fleet.host("fine").link.state is LinkState.UP
            assert fleet.host("black").link.state is LinkState.DOWN
            assert fleet.host("hung").link.state is LinkState.DOWN
            problem = fleet.host("black").link.problem
            assert problem is not None
            assert problem.code == "timed-out"

    simulate(story())


def test_failures_back_off_and_the_circuit_opens() -> None:
    """A host that stays away is tried after 1, 2, 4, 8, 16 s and then each minute."""

    async def story() -> None:
        driver = FakeDriver("a")
        driver.on_connect = failing(Unreachable("No route to host."))
        async with watching(driver) as fleet:
            await asyncio.sleep(200)
            gaps = [
                round(b - a) for a, b in zip(driver.connects, driver.connects[1:], strict=False)
            ]
            assert gaps[:7] == [1, 2, 4, 8, 16, 60, 60]
            link = fleet.host().link
            assert (link.attempts, link.state) == (len(driver.connects), LinkState.DOWN)
            assert link.retry_at is not None
            assert now() < link.retry_at <= now() + 60
            assert fleet.texts("lost") == ["lost: No route to host."]

    simulate(story())


def test_a_lost_host_keeps_its_last_values_and_comes_back() -> None:
    """A lost host stays on screen with old values and ages; it comes back by itself."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(5)
            before = fleet.host()
            driver.on_connect = failing(Unreachable("Connection refused."))
            driver.emit("", "lost", "libvirtd went away")
            await asyncio.sleep(6)
            host = fleet.host()
            assert host.link.state is LinkState.DOWN
            assert [vm.name for vm in host.vms] == [vm.name for vm in before.vms]
            assert host.vms[0].cpu_pct == 5.0
            assert now() - host.fast_at > 5
            assert host.load is not None
            driver.on_connect = nothing
            await asyncio.sleep(10)
            host = fleet.host()
            assert host.link.state is LinkState.UP
            assert now() - host.fast_at < 1.1
            assert host.link.attempts == 0
            assert fleet.texts("connected")[-1] == "back: connected, fake"

    simulate(story())


def test_every_host_down_points_at_the_local_network() -> None:
    """When all hosts fail at once the snapshot says so, also while they are being retried."""

    async def story() -> None:
        drivers = [FakeDriver(name) for name in "abc"]
        async with watching(*drivers) as fleet:
            await asyncio.sleep(2)
            assert not fleet.poller.snapshot.all_down
            for driver in drivers:
                driver.on_connect = failing(Unreachable("Network is unreachable."))
                driver.emit("", "lost")
            await asyncio.sleep(1)
            start = now()
            assert fleet.poller.snapshot.all_down
            await asyncio.sleep(20)
            assert all(s.all_down for at, s in fleet.published if at > start)

    simulate(story())


def refused_answer() -> AuthFailed:
    """A password was typed, and refused."""
    failure = AuthFailed("Permission denied.")
    failure.answered = True
    return failure


def test_refused_keys_are_tried_again_rarely() -> None:
    """After an outage of its directory a host is back by itself, without a storm of logins."""

    async def story() -> None:
        driver = FakeDriver("a")
        driver.on_connect = failing(AuthFailed("Permission denied."))
        async with watching(driver) as fleet:
            await asyncio.sleep(600)
            assert 10 <= len(driver.connects) <= 16
            assert fleet.host().link.retry_at is not None
            driver.on_connect = nothing
            await asyncio.sleep(61)
            assert fleet.host().link.state is LinkState.UP

    simulate(story())


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (HostKeyUnknown("Nobody has decided."), LinkState.DECISION),
        (HostKeyChanged("Another key is on record."), LinkState.DECISION),
        (refused_answer(), LinkState.DOWN),
    ],
)
def test_a_refused_key_or_password_is_not_tried_again(error: Exception, state: LinkState) -> None:
    """Nothing more goes to that host until somebody asks for it."""

    async def story() -> None:
        driver = FakeDriver("a")
        driver.on_connect = failing(error)  # type: ignore[arg-type]
        async with watching(driver) as fleet:
            await asyncio.sleep(600)
            assert len(driver.connects) == 1
            assert fleet.host().link.state is state
            assert fleet.host().link.retry_at is None
            driver.on_connect = nothing
            fleet.poller.refresh("a")
            await asyncio.sleep(1)
            assert fleet.host().link.state is LinkState.UP

    simulate(story())


def test_no_deadline_runs_while_a_person_is_asked() -> None:
    """A question may stay open for minutes; the host shows that it waits for a decision."""

    async def story() -> None:
        driver = FakeDriver("a")
        answered = asyncio.Event()

        async def ask() -> None:
            await answered.wait()

        driver.on_connect = ask
        async with watching(driver) as fleet:
            await asyncio.sleep(1)
            fleet.poller.deciding("a", True)
            await asyncio.sleep(180)
            assert fleet.host().link.state is LinkState.DECISION
            assert len(driver.connects) == 1
            fleet.poller.deciding("a", False)
            answered.set()
            await asyncio.sleep(1)
            assert fleet.host().link.state is LinkState.UP

    simulate(story())


def test_the_time_of_questions_is_not_taken_from_the_connection() -> None:
    """Two questions one after the other, a login between them and after: it is still in time."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:

            async def ask() -> None:
                for answered_after in (17.0, 27.0):
                    await asyncio.sleep(2)
                    fleet.poller.deciding("a", True)
                    await asyncio.sleep(answered_after)
                    fleet.poller.deciding("a", False)
                await asyncio.sleep(5)

            driver.on_connect = ask
            await asyncio.sleep(60)
            assert fleet.host().link.state is LinkState.UP
            assert len(driver.connects) == 1

    simulate(story())


def test_refresh_closes_an_open_circuit() -> None:
    """Ctrl-r tries a host again at once, however rarely it was being tried."""

    async def story() -> None:
        driver = FakeDriver("a")
        driver.on_connect = failing(Unreachable("No route to host."))
        async with watching(driver) as fleet:
            await asyncio.sleep(100)
            driver.on_connect = nothing
            fleet.poller.refresh()
            await asyncio.sleep(0.5)
            assert fleet.host().link.state is LinkState.UP

    simulate(story())


def test_a_defect_in_one_driver_stays_there() -> None:
    """An exception nobody foresaw shows as a problem of that host alone."""

    async def story() -> None:
        broken, fine = FakeDriver("a"), FakeDriver("b")

        async def defect() -> None:
            raise KeyError("boom")

        broken.on_slow = defect
        async with watching(broken, fine) as fleet:
            await asyncio.sleep(30)
            problem = fleet.host("a").link.problem
            assert problem is not None
            assert "KeyError" in problem.proof
            assert fleet.host("b").link.state is LinkState.UP

    simulate(story())


def test_a_host_that_cannot_be_let_go_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect while hanging up after a failure: that host is tried again, the other stays up."""

    async def story() -> None:
        broken, fine = FakeDriver("a"), FakeDriver("b")
        broken.on_connect = failing(Unreachable("no route"))

        async def close() -> None:
            raise KeyError("boom")

        monkeypatch.setattr(broken, "close", close)
        async with watching(broken, fine) as fleet:
            await asyncio.sleep(30)
            assert len(broken.connects) > 2
            assert fleet.host("b").link.state is LinkState.UP

    simulate(story())
