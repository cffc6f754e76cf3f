"""The poller in virtual time: what a person sees while hosts work, hang, fail and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest

from console.poller import Poller
from drivers.errors import (
    AuthFailed,
    HostKeyChanged,
    HostKeyUnknown,
    TimedOut,
    Unreachable,
    Unsupported,
)
from drivers.model.event import Event
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, LinkState
from drivers.model.vm import VmState
from tests.console.fakes import FakeDriver, failing, hang, nothing
from tests.console.virtual import now, simulate


class Fleet:
    """A running poller over fake drivers, and everything it published."""

    def __init__(self, *drivers: FakeDriver) -> None:
        self.published: list[tuple[float, FleetSnapshot]] = []
        self.events: list[Event] = []
        self.poller = Poller(
            {d.spec.name: d.api for d in drivers},
            lambda snapshot: self.published.append((now(), snapshot)),
            self.events.extend,
            clock=now,
            chance=lambda: 0.0,
        )

    def host(self, name: str = "a") -> Host:
        host = self.poller.snapshot.host(name)
        assert host is not None
        return host

    def texts(self, change: str) -> list[str]:
        return [e.text for e in self.events if e.change == change]


@asynccontextmanager
async def watching(*drivers: FakeDriver) -> AsyncIterator[Fleet]:
    fleet = Fleet(*drivers)
    task = asyncio.create_task(fleet.poller.run())
    try:
        yield fleet
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_first_data_comes_at_once() -> None:
    """VMs, load and pools are there as soon as the host answers, not an interval later."""

    async def story() -> None:
        async with watching(FakeDriver("a")) as fleet:
            await asyncio.sleep(0.2)
            host = fleet.host()
            assert host.link.state is LinkState.UP
            assert [vm.state for vm in host.vms] == [VmState.RUNNING] * 2
            assert host.vms[0].cpu_pct == 5.0
            assert [pool.name for pool in host.pools] == ["hot"]
            assert host.link.rtt_ms == 2.0
            assert fleet.texts("connected") == ["connected, fake"]

    simulate(story())


def test_lanes_keep_their_own_pace() -> None:
    """Figures come each second, libvirt is asked each ten seconds, pools each minute."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver):
            await asyncio.sleep(121.5)
            assert 118 <= len(driver.fast_reads) <= 124
            assert 12 <= len(driver.slow_reads) <= 14
            assert 2 <= len(driver.pool_reads) <= 3

    simulate(story())


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


def test_event_reaches_the_snapshot_before_any_reading() -> None:
    """A stopped VM shows as off within milliseconds of libvirt's event, and stays so."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(3)
            reads = len(driver.slow_reads)
            driver.vms["a-u0"] = VmState.OFF
            sent = now()
            driver.emit("a-u0", "stopped", "stopped (destroyed)")
            await asyncio.sleep(0.04)
            seen = [
                at for at, s in fleet.published if at >= sent and s.hosts[0].vms[0].state == "off"
            ]
            assert seen
            assert seen[0] - sent <= 0.02
            assert len(driver.slow_reads) == reads
            vm = fleet.host().vms[0]
            assert (vm.reason, vm.cpu_pct) == ("destroyed", None)
            assert fleet.texts("stopped") == ["stopped (destroyed)"]
            await asyncio.sleep(1)
            assert len(driver.slow_reads) == reads + 1

    simulate(story())


def test_a_reading_older_than_the_event_does_not_undo_it() -> None:
    """A slow reading under way when the VM stops does not bring it back on screen."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(1)

            async def slow() -> None:
                driver.emit("a-u1", "stopped")
                await asyncio.sleep(0.4)
                driver.on_slow = nothing
                driver.vms["a-u1"] = VmState.OFF

            driver.on_slow = slow
            fleet.poller.nudge("a")
            await asyncio.sleep(5)
            start = next(i for i, (_, s) in enumerate(fleet.published) if _off(s))
            assert all(_off(s) for _, s in fleet.published[start:])

    def _off(snapshot: FleetSnapshot) -> bool:
        return any(vm.state is VmState.OFF for vm in snapshot.vms())

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


def test_one_slow_lane_degrades_only_itself() -> None:
    """libvirt not answering marks the host degraded with its reason; /proc figures go on."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(2)
            driver.on_slow = failing(TimedOut("libvirt did not answer within 10 s."))
            fleet.poller.nudge("a")
            await asyncio.sleep(20)
            host = fleet.host()
            assert host.link.state is LinkState.DEGRADED
            assert host.link.problem is not None
            assert "libvirt did not answer" in host.link.problem.what
            assert now() - host.fast_at < 1.1
            assert now() - host.slow_at > 15
            driver.on_slow = nothing
            await asyncio.sleep(45)
            assert fleet.host().link.state is LinkState.UP

    simulate(story())


def test_a_stuck_monitor_is_named() -> None:
    """One VM whose QEMU hangs degrades its host, by name; the others stay."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            driver.stuck["a-u1"] = 12.0
            await asyncio.sleep(2)
            host = fleet.host()
            assert host.link.state is LinkState.DEGRADED
            assert host.link.problem is not None
            assert "a-u1" in host.link.problem.what
            assert [vm.monitor_stuck_s for vm in host.vms] == [None, 12.0]

    simulate(story())


def test_a_missing_lane_is_missing_with_its_reason() -> None:
    """Where there is no /proc to read, the host says why; it is not degraded, round trips go on."""

    async def story() -> None:
        driver = FakeDriver("a")
        driver.on_fast = failing(Unsupported("The test driver has no /proc."))
        async with watching(driver) as fleet:
            await asyncio.sleep(30)
            host = fleet.host()
            assert host.link.state is LinkState.UP
            assert [m.reason for m in host.missing] == ["The test driver has no /proc."]
            assert len(driver.fast_reads) == 1
            assert host.link.rtt_ms == 1.0

    simulate(story())


def test_a_dead_pool_server_stops_nothing_else() -> None:
    """Pools that hang leave VMs and load fresh, and are told as missing."""

    async def story() -> None:
        driver = FakeDriver("a")
        driver.on_pools = hang
        async with watching(driver) as fleet:
            await asyncio.sleep(40)
            host = fleet.host()
            assert host.link.state is LinkState.DEGRADED
            assert now() - host.fast_at < 1.1
            assert now() - host.slow_at < 11
            assert "pools" in [m.name for m in host.missing]

    simulate(story())


def test_pause_stops_reading_and_keeps_connections() -> None:
    """While paused nothing is read; events still come, and resuming needs no new connection."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(5)
            fleet.poller.pause(True)
            await asyncio.sleep(2)
            count = len(driver.fast_reads)
            await asyncio.sleep(30)
            assert len(driver.fast_reads) == count
            driver.emit("a-u0", "suspended", "suspended (user)")
            await asyncio.sleep(0.1)
            assert fleet.host().vms[0].state is VmState.PAUSED
            fleet.poller.pause(False)
            await asyncio.sleep(2)
            assert len(driver.fast_reads) > count
            assert len(driver.connects) == 1

    simulate(story())


def test_a_storm_of_events_is_coalesced() -> None:
    """A thousand events at once are all told, and cost few repaints and few readings."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(2)
            reads, shown = len(driver.slow_reads), len(fleet.published)
            for index in range(1000):
                driver.emit("a-u0", "suspended" if index % 2 else "resumed")
            await asyncio.sleep(0.5)
            assert len(fleet.texts("suspended")) == 500
            assert len(fleet.published) - shown <= 20
            assert len(driver.slow_reads) - reads <= 2

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
