"""What every driver promises, whatever is behind it."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import MappingProxyType

import pytest

from drivers.errors import DriverError, Failed, Gone, Refused, Unreachable, Unsupported
from drivers.model.event import Event
from drivers.model.host import Protect
from drivers.model.vm import Vm, VmState
from drivers.protocol import HostDriver, MigrationSpec
from tests.contract.conftest import Case

NOBODY = "00000000-dead-beef-0000-000000000000"
PATIENCE_S = 90.0


def ours(value: object) -> bool:
    """True when a value is made of plain data and the project's own frozen types alone."""
    if value is None or isinstance(value, str | int | float | bool | bytes | enum.Enum):
        return True
    if isinstance(value, tuple | list):
        return all(ours(item) for item in value)
    if isinstance(value, dict | MappingProxyType):
        return all(ours(k) and ours(v) for k, v in value.items())
    if dataclasses.is_dataclass(value) and type(value).__module__.startswith("drivers."):
        return all(ours(getattr(value, f.name)) for f in dataclasses.fields(value))
    return False


async def vm_of(driver: HostDriver, uuid: str) -> Vm:
    return next(vm for vm in (await driver.read_slow()).vms if vm.uuid == uuid)


async def becomes(driver: HostDriver, uuid: str, *states: VmState) -> None:
    """Wait until the VM is in one of ``states``."""
    async with asyncio.timeout(PATIENCE_S):
        while (await vm_of(driver, uuid)).state not in states:  # noqa: ASYNC110 - a driver is polled
            await asyncio.sleep(0.02)


class Listener:
    """Collects a driver's events."""

    def __init__(self, driver: HostDriver) -> None:
        self.events: list[Event] = []
        self._task = asyncio.create_task(self._listen(driver))

    async def _listen(self, driver: HostDriver) -> None:
        async for event in driver.events():
            self.events.append(event)

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._task

    async def heard(self, uuid: str, *changes: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not any(e.vm == uuid and e.change in changes for e in self.events):  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def test_facts_and_route_say_what_was_reached(case: Case) -> None:
    """After connecting, the host has a name, a route and plain facts; before, no route."""
    driver = case.driver()
    assert driver.route == ""
    facts = await driver.connect()
    assert ours(facts)
    assert facts.hostname
    assert facts.cpus > 0
    assert facts.memory > 0
    assert driver.route
    assert await driver.ping() >= 0.0
    await driver.close()


async def test_a_closed_driver_connects_again(case: Case) -> None:
    """Reconnecting after a close reads the same VMs; closing twice is no error."""
    driver = case.driver()
    await driver.connect()
    names = {vm.name for vm in (await driver.read_slow()).vms}
    await driver.close()
    await driver.close()
    await driver.connect()
    assert {vm.name for vm in (await driver.read_slow()).vms} == names
    await driver.close()


async def test_an_unconnected_driver_says_so(case: Case) -> None:
    """Reading without a connection is a DriverError, not a crash."""
    driver = case.driver()
    for read in (driver.read_slow, driver.read_fast, driver.read_pools, driver.ping):
        with pytest.raises(Unreachable):
            await read()


async def test_slow_reading(case: Case, driver: HostDriver) -> None:
    """Every VM has identity, name, host, state and an age; nothing foreign leaks out."""
    before = time.time()
    reading = await driver.read_slow()
    assert ours(reading)
    assert before - 1 <= reading.at <= time.time() + 1
    assert reading.vms
    assert len({vm.uuid for vm in reading.vms}) == len(reading.vms)
    for vm in reading.vms:
        assert vm.name
        assert vm.host == driver.spec.name
        assert vm.state is not VmState.UNKNOWN
        assert vm.vcpus > 0
        assert vm.memory > 0
        assert vm.uuid in reading.stuck or vm.slow_at >= before - 1


async def test_fast_reading_or_a_reason(case: Case, driver: HostDriver) -> None:
    """Load figures with an age, or Unsupported with words where there is no /proc."""
    await driver.read_slow()
    if case.kind == "test":
        with pytest.raises(Unsupported) as refusal:
            await driver.read_fast()
        assert refusal.value.problem.what
        return
    await driver.read_fast()
    reading = await driver.read_fast()
    assert ours(reading)
    assert abs(reading.at - time.time()) < 60
    assert reading.load.memory_total
    assert reading.vms
    for uuid, fast in reading.vms.items():
        assert fast.uuid == uuid
        assert fast.cpu_pct is None or 0.0 <= fast.cpu_pct <= 110.0


async def test_pools_reading(case: Case, driver: HostDriver) -> None:
    """Pools tell sizes that add up, their host, and volumes that belong to them."""
    await driver.read_slow()
    pools = await driver.read_pools()
    assert ours(pools)
    assert pools
    for pool in pools:
        assert pool.host == driver.spec.name
        assert pool.allocation <= pool.capacity
        assert all(volume.pool == pool.name for volume in pool.volumes)


async def test_refreshing_pools_stops_none(driver: HostDriver) -> None:
    """Looking for new volumes leaves every pool as active as it was, and its volumes there."""
    before = {p.name: (p.active, {v.path for v in p.volumes}) for p in await driver.read_pools()}
    await driver.refresh_pools()
    after = {p.name: (p.active, {v.path for v in p.volumes}) for p in await driver.read_pools()}
    assert {name: active for name, (active, _) in after.items()} == {
        name: active for name, (active, _) in before.items()
    }
    assert all(paths <= after[name][1] for name, (_, paths) in before.items())


async def test_facts_are_read_again(case: Case) -> None:
    """While connected, a host still says what it is."""
    driver = case.driver()
    facts = await driver.connect()
    try:
        again = await driver.read_facts()
    finally:
        await driver.close()
    assert ours(again)
    assert (again.hostname, again.cpus, again.libvirt_version, again.networks) == (
        facts.hostname,
        facts.cpus,
        facts.libvirt_version,
        facts.networks,
    )


async def test_lifecycle_with_events(case: Case, driver: HostDriver) -> None:
    """Pause, resume, force off and start each do what they say, and say it as an event."""
    uuid = await case.find(driver)
    listener = Listener(driver)
    await driver.suspend(uuid)
    await listener.heard(uuid, "suspended")
    assert (await vm_of(driver, uuid)).state is VmState.PAUSED
    await driver.resume(uuid)
    await listener.heard(uuid, "resumed")
    assert (await vm_of(driver, uuid)).state in (VmState.RUNNING, VmState.BLOCKED)
    await driver.destroy(uuid)
    await listener.heard(uuid, "stopped")
    assert (await vm_of(driver, uuid)).state is VmState.OFF
    await driver.start(uuid)
    await listener.heard(uuid, "started")
    await becomes(driver, uuid, VmState.RUNNING, VmState.BLOCKED)
    assert all(ours(event) for event in listener.events)
    assert all(event.host == driver.spec.name for event in listener.events)
    await listener.stop()


async def test_events_end_when_the_driver_is_closed(case: Case) -> None:
    """Nobody who listens is left waiting after the console let go of a host."""
    driver = case.driver()
    await driver.connect()
    listener = Listener(driver)
    await asyncio.sleep(0)
    await driver.close()
    await listener.ended()


async def test_a_lost_connection_is_the_last_event(case: Case) -> None:
    """When the host goes away, the stream says so, ends, and the driver comes back on request."""
    if case.lose is None:
        pytest.skip("a driver inside this process cannot be lost")
    driver = case.driver()
    await driver.connect()
    listener = Listener(driver)
    await asyncio.sleep(0)
    with case.lose():
        await listener.ended()
        assert listener.events[-1].change == "lost"
        assert listener.events[-1].text
        with pytest.raises(DriverError):
            await driver.read_slow()
    await driver.connect()
    assert (await driver.read_slow()).vms
    await driver.close()


@pytest.mark.parametrize("verb", ["start", "shutdown", "suspend", "destroy", "xml", "undefine"])
async def test_an_unknown_vm_is_gone(case: Case, driver: HostDriver, verb: str) -> None:
    """A UUID nobody has is Gone, whatever is asked of it."""
    with pytest.raises(Gone) as gone:
        await getattr(driver, verb)(NOBODY)
    assert gone.value.problem.what


async def test_a_bad_state_is_refused(case: Case, driver: HostDriver) -> None:
    """Starting what runs, and stopping or pausing what is off, is refused with proof."""
    uuid = await case.find(driver)
    # libvirt's own test driver calls both an internal error.
    kinds = (Refused, Failed) if case.kind == "test" else (Refused,)
    with pytest.raises(kinds) as refusal:
        await driver.start(uuid)
    assert isinstance(refusal.value, DriverError)
    assert refusal.value.problem.proof
    await driver.destroy(uuid)
    for verb in (driver.destroy, driver.suspend, driver.shutdown):
        with pytest.raises(kinds):
            await verb(uuid)
    await driver.start(uuid)


async def test_read_only_is_kept_in_the_driver(case: Case) -> None:
    """protect = "ro" refuses every change and still reads everything."""
    driver = case.driver(Protect.RO)
    await driver.connect()
    reading = await driver.read_slow()
    vm = reading.vms[0]
    changes: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: driver.start(vm.uuid),
        lambda: driver.destroy(vm.uuid),
        lambda: driver.shutdown(vm.uuid),
        lambda: driver.suspend(vm.uuid),
        lambda: driver.undefine(vm.uuid),
        lambda: driver.set_autostart(vm.uuid, True),
        lambda: driver.redefine("<domain/>"),
        lambda: driver.abort_job(vm.uuid),
        lambda: driver.migrate(vm.uuid, MigrationSpec(driver, p2p=False)),
        lambda: driver.create_volume("hot", "x", 1 << 20, "raw"),
        lambda: driver.delete_volume("/nowhere/x"),
        lambda: driver.block_copy(vm.uuid, "vda", "/nowhere/x", "raw"),
    )
    for change in changes:
        with pytest.raises(Refused):
            await change()
    after = await vm_of(driver, vm.uuid)
    assert after.state is vm.state
    await driver.close()


async def test_autostart_is_told_by_the_next_reading(case: Case, driver: HostDriver) -> None:
    """Switching autostart shows after the next reading."""
    uuid = await case.find(driver)
    was = (await vm_of(driver, uuid)).autostart
    await driver.set_autostart(uuid, not was)
    assert (await vm_of(driver, uuid)).autostart is not was
    await driver.set_autostart(uuid, was)


async def test_xml_is_domain_xml(case: Case, driver: HostDriver) -> None:
    """The XML names the VM and its UUID, and holds no password."""
    uuid = await case.find(driver)
    xml = await driver.xml(uuid)
    assert uuid in xml
    assert "<domain" in xml
    assert "<domain" in await driver.xml(uuid, inactive=True)
    assert "<capabilities" in await driver.capabilities()


async def test_a_cancelled_call_leaves_the_driver_usable(case: Case, driver: HostDriver) -> None:
    """Giving up on a call (a closed screen) harms nothing that comes after."""
    uuid = await case.find(driver)
    for call in (driver.read_slow, driver.read_pools, lambda: driver.xml(uuid), driver.ping):
        task: asyncio.Task[object] = asyncio.ensure_future(call())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (await driver.read_slow()).vms


async def test_what_a_driver_cannot_do_is_a_driver_error(case: Case, driver: HostDriver) -> None:
    """Consoles, jobs and volumes that cannot be had say so; nothing of libvirt's own escapes."""
    uuid = await case.find(driver)
    asks: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: driver.block_copy(uuid, "nope", "/nowhere/x", "raw"),
        lambda: driver.block_pivot(uuid, "nope"),
        lambda: driver.block_abort(uuid, "nope"),
        lambda: driver.abort_job(uuid),
        lambda: driver.checksum("/nowhere/x"),
        lambda: driver.delete_volume("/nowhere/x"),
        lambda: driver.create_volume("no-such-pool", "x", 1 << 20, "raw"),
        lambda: driver.redefine("<nonsense"),
        lambda: driver.migrate(uuid, MigrationSpec(driver, p2p=False)),
        lambda: driver.migrate(uuid, MigrationSpec(driver, p2p=False, offline=True)),
        lambda: driver.send_volume("/nowhere/x", driver, "/nowhere/y", lambda *_: None),
        lambda: driver.guest_answers("00000000-0000-4000-8000-000000000000"),
    )
    for ask in asks:
        with pytest.raises(DriverError) as error:
            await ask()
        assert error.value.problem.what
    assert await driver.find_volume("/nowhere/x") is None
    assert (await vm_of(driver, uuid)).state.active


async def test_no_job_is_no_progress(case: Case, driver: HostDriver) -> None:
    """A VM without a job has no progress to show."""
    uuid = await case.find(driver)
    with suppress(Unsupported):
        assert await driver.job_progress(uuid) is None
        assert await driver.job_progress(uuid, ended=True) is None


async def test_a_guest_is_asked_or_has_no_agent(driver: HostDriver, case: Case) -> None:
    """None where the VM has no channel for an agent: nobody claims that it was tested."""
    assert await driver.guest_answers(await case.find(driver)) is (
        True if case.kind == "sim" else None
    )
