"""The poller in virtual time: what a person sees while hosts work, and lanes fare badly."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from drivers.errors import TimedOut, Unsupported
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import LinkState
from drivers.model.vm import VmState
from tests.console.fakes import FakeDriver, failing, hang, nothing
from tests.console.pollerworld import watching
from tests.console.virtual import now, simulate


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
            first, second = (vm.monitor_stuck_s for vm in host.vms)
            assert first is None
            assert second is not None
            assert 12.0 <= second <= 14.0

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


def test_a_stuck_monitor_is_counted_each_second() -> None:
    """Between two sweeps the time goes on, on the VM and in the host's reason."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            driver.stuck["a-u1"] = 12.0
            await asyncio.sleep(6.3)
            reads = len(driver.slow_reads)
            told = []
            for _ in range(5):
                await asyncio.sleep(1)
                host = fleet.host()
                assert host.link.problem is not None
                told.append((host.vms[1].monitor_stuck_s, host.link.problem.proof))
            assert len(driver.slow_reads) == reads
            assert [round((b[0] or 0) - (a[0] or 0), 3) for a, b in pairwise(told)] == [1.0] * 4
            assert len({proof for _, proof in told}) == 5
            del driver.stuck["a-u1"]
            fleet.poller.nudge("a")
            await asyncio.sleep(1)
            assert fleet.host().vms[1].monitor_stuck_s is None
            assert fleet.host().link.state is LinkState.UP

    simulate(story())


def test_volumes_made_outside_libvirt_are_looked_for_only_when_asked() -> None:
    """Ctrl-r refreshes pools before it reads them; the pools' own pace never does."""

    async def story() -> None:
        driver = FakeDriver("a", pools_s=20.0)
        async with watching(driver) as fleet:
            await asyncio.sleep(70)
            assert len(driver.pool_reads) >= 3
            assert driver.pool_refreshes == []
            reads = len(driver.pool_reads)
            fleet.poller.refresh("a")
            await asyncio.sleep(1)
            assert len(driver.pool_refreshes) == 1
            assert len(driver.pool_reads) == reads + 1
            assert driver.pool_refreshes[0] <= driver.pool_reads[-1]
            await asyncio.sleep(60)
            assert len(driver.pool_refreshes) == 1

    simulate(story())


def test_what_a_host_is_is_read_again() -> None:
    """A clock that drifts away while connected is seen at the pools' pace, and at Ctrl-r."""

    async def story() -> None:
        driver = FakeDriver("a")
        async with watching(driver) as fleet:
            await asyncio.sleep(50)
            assert driver.fact_reads == []
            driver.clock_skew_s = 90.0
            await asyncio.sleep(20)
            facts = fleet.host().facts
            assert facts is not None
            assert facts.clock_skew_s == 90.0
            driver.clock_skew_s = 0.0
            fleet.poller.refresh()
            await asyncio.sleep(1)
            facts = fleet.host().facts
            assert facts is not None
            assert facts.clock_skew_s == 0.0
            assert len(driver.connects) == 1

    simulate(story())
