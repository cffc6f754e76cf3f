"""The simulated fleet: believable, repeatable, and breakable on purpose."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from dataclasses import replace
from types import FrameType

import pytest

from drivers.errors import Cancelled, Gone, Refused, Unreachable
from drivers.model.host import Protect
from drivers.model.vm import VmState
from drivers.protocol import MigrationSpec
from drivers.sim.driver import SimDriver
from drivers.sim.fleet import SimFleet
from drivers.sim.readings import fast_reading, slow_reading
from drivers.sim.storage import COPY_BPS
from drivers.sim.waves import MIB, precopy
from tests.console.virtual import now, simulate

NOON = 1_790_000_000.0


def frozen(hosts: int = 6, vms: int = 60, seed: int = 1) -> SimFleet:
    return SimFleet(hosts, vms, seed, lambda: NOON, pace=0.0)


async def drivers_of(fleet: SimFleet) -> dict[str, SimDriver]:
    drivers = {spec.name: fleet.driver(spec) for spec in fleet.specs()}
    for name, driver in drivers.items():
        if fleet.world.hosts[name].down is None:
            await driver.connect()
    return drivers


async def test_a_frozen_clock_gives_identical_readings() -> None:
    """Two snapshot tests at the same instant see the same fleet, whatever was asked before."""
    readings = []
    for warm_up in (0, 3):
        drivers = await drivers_of(frozen())
        first = drivers["kvm01"]
        for _ in range(warm_up):
            await first.read_fast()
        fast, slow, pools = (
            await first.read_fast(),
            await first.read_slow(),
            await first.read_pools(),
        )
        readings.append((fast, slow, pools, first.spec))
    assert readings[0] == readings[1]


def test_another_seed_is_another_fleet() -> None:
    """Seeds differ in names, identities and figures."""
    assert not set(frozen(seed=1).uuids()) & set(frozen(seed=2).uuids())


async def test_the_fleet_is_believable() -> None:
    """Sites, tenants, tiers, states and troubles of every kind are there to be seen."""
    fleet = frozen(10, 400)
    drivers = await drivers_of(fleet)
    specs = fleet.specs()
    assert len({spec.site for spec in specs}) == 3
    vms = [vm for uuid in fleet.uuids() if (vm := fleet.vm(uuid)) is not None]
    assert len({vm.uuid for vm in vms}) == len({vm.name for vm in vms}) == 400
    states = Counter(vm.state for vm in vms)
    assert states[VmState.RUNNING] > 300
    assert {VmState.PAUSED, VmState.OFF, VmState.CRASHED} <= states.keys()
    assert len({vm.tenant for vm in vms}) == 5
    assert {disk.tier for vm in vms for disk in vm.disks} == {"hot", "warm", "cold", ""}
    assert any(disk.shared for vm in vms for disk in vm.disks)
    with pytest.raises(Unreachable) as down:
        await drivers["kvm04"].connect()
    assert down.value.problem.proof
    assert (await drivers["kvm03"].read_slow()).stuck
    bare = await drivers["kvm02"].read_fast()
    assert bare.load.psi_cpu is None
    assert {missing.name for missing in bare.missing} == {"psi", "vm.io"}
    assert await drivers["kvm05"].ping() > 200
    for name in ("kvm01", "kvm05", "kvm06"):
        load = (await drivers[name].read_fast()).load
        assert load.cpu_pct is not None
        assert 0 < load.cpu_pct < 100
        for pool in await drivers[name].read_pools():
            assert 0 < pool.allocation + pool.available <= pool.capacity


def test_load_follows_the_day() -> None:
    """The same fleet is busier at midday than at night."""
    fleet = frozen(1, 200)
    (host,) = fleet.world.hosts.values()
    night, noon = (
        fast_reading(host, 20_000 * 86_400.0 + hour * 3600).load.cpu_pct for hour in (0, 12)
    )
    assert night is not None
    assert noon is not None
    assert noon > night * 1.5


def calls_to_read(vms: int) -> int:
    """Calls of Python functions that one reading of a host with so many VMs takes."""
    (host,) = frozen(1, vms).world.hosts.values()
    fast_reading(host, NOON)  # what is worked out once is no part of it
    slow_reading(host, NOON)
    made = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal made
        made += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        fast_reading(host, NOON)
        slow_reading(host, NOON)
    finally:
        sys.setprofile(before)
    return made


def test_a_reading_costs_little_and_no_more_for_each_vm_of_a_large_host() -> None:
    """Ten thousand VMs can be read once a second beside everything else."""
    few, many = calls_to_read(100), calls_to_read(400)
    assert few < 60 * 100
    assert many < 4.4 * few


def test_precopy_converges_unless_memory_is_rewritten_faster_than_sent() -> None:
    """An ordinary guest is through in a few rounds; a churning one never is."""
    size, rate = 8 << 30, 1000.0 * MIB
    assert not precopy(1.0, size, 0, rate, 50 * MIB).finished
    assert precopy(30.0, size, 0, rate, 50 * MIB).finished
    assert not precopy(3600.0, size, 0, rate, 1500 * MIB).finished
    early, late = precopy(1.0, size, 0, rate, 0.0), precopy(5.0, size, 0, rate, 0.0)
    assert early.done < late.done
    assert early.remaining > late.remaining


def test_migration_moves_the_guest_and_shows_the_receiving_half() -> None:
    """While it moves, the destination holds a paused copy; afterwards it alone has the guest."""

    async def story() -> None:
        fleet = SimFleet(6, 60, clock=now)
        drivers = await drivers_of(fleet)
        uuid = fleet.uuids("kvm01", VmState.RUNNING)[0]
        source, target = drivers["kvm01"], drivers["kvm06"]
        vm = fleet.vm(uuid)
        assert vm is not None
        copy = tuple(disk.target for disk in vm.disks if not disk.shared)
        with pytest.raises(Refused):
            await source.migrate(uuid, MigrationSpec(target, p2p=False))

        task = asyncio.create_task(
            source.migrate(uuid, MigrationSpec(target, p2p=False, copy_disks=copy))
        )
        await asyncio.sleep(1.0)
        progress = await source.job_progress(uuid)
        assert progress is not None
        assert progress.remaining
        incoming = [v for v in (await target.read_slow()).vms if v.uuid == uuid]
        assert [v.state for v in incoming] == [VmState.PAUSED]
        await task
        moved = fleet.vm(uuid)
        assert moved is not None
        assert (moved.host, moved.state) == ("kvm06", VmState.RUNNING)
        with pytest.raises(Gone):
            await source.start(uuid)
        for disk in moved.disks:
            if disk.pool:
                assert await target.find_volume(disk.source) is not None

    simulate(story())


def test_a_migration_that_never_converges_can_be_cancelled() -> None:
    """The guest stays where it was, running, and the destination keeps nothing."""

    async def story() -> None:

        fleet = SimFleet(2, 20, clock=now)
        drivers = await drivers_of(fleet)
        uuid = fleet.churning
        vm = fleet.vm(uuid)
        assert vm is not None
        source, target = drivers[vm.host], drivers["kvm02" if vm.host == "kvm01" else "kvm01"]
        copy = tuple(disk.target for disk in vm.disks)
        task = asyncio.create_task(source.migrate(uuid, MigrationSpec(target, False, copy)))
        await asyncio.sleep(90)
        assert not task.done()
        await source.abort_job(uuid)
        with pytest.raises(Cancelled):
            await task
        still = fleet.vm(uuid)
        assert still is not None
        assert (still.host, still.state) == (vm.host, VmState.RUNNING)
        assert not [v for v in (await target.read_slow()).vms if v.uuid == uuid]

    simulate(story())


def test_block_copy_pivots_only_when_in_step() -> None:
    """A pivot before the copy is ready is refused; afterwards the guest lives on the new pool."""

    async def story() -> None:

        fleet = SimFleet(1, 20, clock=now)
        drivers = await drivers_of(fleet)
        driver = drivers["kvm01"]
        vm = next(
            v
            for u in fleet.uuids(state=VmState.RUNNING)
            if (v := fleet.vm(u)) is not None and v.disks[0].pool == "warm"
        )
        disk = vm.disks[0]
        volume = await driver.create_volume("cold", "moved.qcow2", disk.capacity or 0, "qcow2")
        before = await driver.checksum(disk.source)
        await driver.block_copy(vm.uuid, "vda", volume.path, "qcow2")
        with pytest.raises(Refused):
            await driver.block_pivot(vm.uuid, "vda")
        await asyncio.sleep((disk.capacity or 0) / COPY_BPS)
        job = await driver.block_job(vm.uuid, "vda")
        assert job is not None
        assert job.ready
        await driver.block_pivot(vm.uuid, "vda")
        moved = fleet.vm(vm.uuid)
        assert moved is not None
        assert (moved.disks[0].pool, moved.disks[0].tier) == ("cold", "cold")
        assert await driver.checksum(volume.path) == before
        with pytest.raises(Refused):
            await driver.delete_volume(volume.path)
        await driver.delete_volume(disk.source)

    simulate(story())


def test_a_shutdown_may_be_ignored() -> None:
    """Most guests power down in seconds; one known guest never does."""

    async def story() -> None:

        fleet = SimFleet(1, 20, clock=now)
        driver = (await drivers_of(fleet))["kvm01"]
        polite = next(u for u in fleet.uuids(state=VmState.RUNNING) if u != fleet.deaf)
        await driver.shutdown(polite)
        await driver.shutdown(fleet.deaf)
        await asyncio.sleep(60)
        assert [vm.state for u in (polite, fleet.deaf) if (vm := fleet.vm(u))] == ["off", "running"]

    simulate(story())


async def test_read_only_hosts_refuse_in_the_driver() -> None:
    """protect = "ro" holds even when the interface would have asked."""

    fleet = frozen(1, 5)
    driver = fleet.driver(replace(fleet.specs()[0], protect=Protect.RO))
    await driver.connect()
    uuid = fleet.uuids(state=VmState.RUNNING)[0]
    for call in (driver.destroy(uuid), driver.shutdown(uuid), driver.undefine(uuid)):
        with pytest.raises(Refused, match="read-only"):
            await call


async def test_console_and_shell_echo() -> None:
    """What is typed comes back, Enter answers, and exit hangs up."""
    fleet = frozen(1, 5)
    driver = (await drivers_of(fleet))["kvm01"]
    shell = await driver.open_shell(80, 24, "xterm")
    await shell.write(b"hostname\rexit\r")
    text = b""
    while chunk := await shell.read():
        text += chunk
    assert b"hostname\r\nkvm01\r\n" in text
    uuid = fleet.uuids(state=VmState.RUNNING)[0]
    console = await driver.open_console(uuid)
    assert b"login:" in await console.read()
    await console.close()
    assert await console.read() == b""


def test_a_guest_that_is_off_moves_as_a_definition() -> None:
    """Its volume is sent before; a running one is refused."""

    async def story() -> None:
        fleet = SimFleet(2, 20, clock=now)
        drivers = await drivers_of(fleet)
        uuid = next(u for u in fleet.uuids() if any(d.pool for d in fleet.vm(u).disks))  # type: ignore[union-attr]
        vm = fleet.vm(uuid)
        assert vm is not None
        source, target = drivers[vm.host], drivers["kvm02" if vm.host == "kvm01" else "kvm01"]
        if vm.state.active:
            with pytest.raises(Refused):
                await source.migrate(uuid, MigrationSpec(target, p2p=False, offline=True))
            await source.destroy(uuid)
        disk = next(d for d in vm.disks if d.pool)
        made = await target.create_volume(disk.pool, "sent.img", 1 << 20, "raw")
        seen: list[tuple[int, int]] = []
        await source.send_volume(disk.source, target, made.path, lambda *p: seen.append(p))
        assert seen[-1][0] == seen[-1][1] > 0
        assert await target.checksum(made.path) == await source.checksum(disk.source)
        spec = MigrationSpec(target, p2p=False, offline=True, dest_paths={disk.target: made.path})
        await source.migrate(uuid, spec)
        moved = fleet.vm(uuid)
        assert moved is not None
        assert (moved.host, moved.state) == (target.spec.name, VmState.OFF)
        assert made.path in [d.source for d in moved.disks]
        await target.start(uuid)

    simulate(story())
