"""The driver against real libvirtd and QEMU: software-emulated guests without a system."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.errors import Busy, Cancelled, DriverError, Failed, Refused, Unreachable
from drivers.kvm.driver import KvmDriver
from drivers.model.event import Event
from drivers.model.host import Protect
from drivers.model.vm import Vm, VmState
from drivers.protocol import MigrationSpec
from tests.kvm.conftest import Connect, add_pools
from tests.kvm.daemon import Daemon, guest_xml

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab

Daemons = tuple[Daemon, Daemon]


async def guest(driver: KvmDriver, disk: Path, name: str = "web1", *, memory: int = 32) -> str:
    """Define and start a guest on ``disk``; its UUID."""
    await driver.redefine(guest_xml(name, disk, memory=memory))
    vm = next(v for v in (await driver.read_slow()).vms if v.name == name)
    await driver.start(vm.uuid)
    return vm.uuid


async def the(driver: KvmDriver, uuid: str) -> Vm:
    """The VM as a new sweep shows it."""
    return next(v for v in (await driver.read_slow()).vms if v.uuid == uuid)


async def heard(events: AsyncIterator[Event], change: str) -> Event:
    """The next event of that kind."""
    async with asyncio.timeout(90):
        async for event in events:
            if event.change == change:
                return event
    raise AssertionError(f"the events ended without {change}")


async def test_a_guest_lives_and_is_seen(daemons: Daemons, connect: Connect) -> None:
    """Start, figures, console, pause, resume and force-off of a real guest."""
    one, _ = daemons
    driver = await connect(one)
    await add_pools(driver, one)
    events = driver.events()
    uuid = await guest(driver, one.image("hot", "web1.qcow2"))
    event = await heard(events, "started")
    assert 0 <= time.time() - event.at < 60
    await driver.read_pools()
    await driver.read_slow()
    vm = await the(driver, uuid)
    assert (vm.state, vm.tags, vm.tenant) == (VmState.RUNNING, ("web", "prod"), "acme")
    assert (vm.disks[0].pool, vm.disks[0].tier, vm.disks[0].capacity) == ("hot", "hot", 64 << 20)
    assert vm.disks[0].read_bps is not None
    assert "hunter2" not in await driver.xml(uuid)
    console = await driver.open_console(uuid)
    await driver.reset(uuid)
    said = b""
    async with asyncio.timeout(90):
        while b"SeaBIOS" not in said:
            said += await console.read()
    await console.write(b"\r")
    await console.close()
    assert await console.read() == b""
    await driver.suspend(uuid)
    assert (await the(driver, uuid)).state is VmState.PAUSED
    await driver.resume(uuid)
    await driver.destroy(uuid)
    await heard(events, "stopped")
    assert (await the(driver, uuid)).state is VmState.OFF


async def test_a_running_disk_moves_to_another_pool(daemons: Daemons, connect: Connect) -> None:
    """Copy, ready, pivot: both definitions name the new volume, which is not deleted."""
    one, _ = daemons
    driver = await connect(one)
    await add_pools(driver, one)
    disk = one.image("hot", "web1.qcow2")
    uuid = await guest(driver, disk)
    events = driver.events()
    made = await driver.create_volume("cold", "web1.qcow2", 64 << 20, "qcow2")
    await driver.block_copy(uuid, "vda", made.path, "qcow2")
    assert (await heard(events, "block-ready")).detail == "vda"
    job = await driver.block_job(uuid, "vda")
    assert job is not None
    assert job.ready
    await driver.block_pivot(uuid, "vda")
    assert await driver.block_job(uuid, "vda") is None
    for inactive in (False, True):
        assert made.path in await driver.xml(uuid, inactive=inactive)
        assert str(disk) not in await driver.xml(uuid, inactive=inactive)
    await driver.read_pools()
    assert (await the(driver, uuid)).disks[0].tier == "cold"
    with pytest.raises(Refused, match="web1 uses it"):
        await driver.delete_volume(made.path)


async def test_a_copy_can_be_cancelled(daemons: Daemons, connect: Connect) -> None:
    """After a cancelled copy the guest is on its old disk and the target can be deleted."""
    one, _ = daemons
    driver = await connect(one)
    await add_pools(driver, one)
    disk = one.image("hot", "web1.qcow2")
    uuid = await guest(driver, disk)
    made = await driver.create_volume("cold", "web1.qcow2", 64 << 20, "qcow2")
    await driver.block_copy(uuid, "vda", made.path, "qcow2")
    await driver.block_abort(uuid, "vda")
    assert (await the(driver, uuid)).disks[0].source == str(disk)
    await driver.delete_volume(made.path)


async def test_a_stopped_disk_is_copied_verified_and_repointed(
    daemons: Daemons, connect: Connect
) -> None:
    """The cold path: clone, equal checksums, new definition, secrets kept."""
    one, _ = daemons
    driver = await connect(one)
    await add_pools(driver, one)
    disk = one.image("hot", "db.qcow2")
    await driver.redefine(guest_xml("db", disk))
    (vm,) = (await driver.read_slow()).vms
    await driver._up().session.call(
        lambda: driver._up().session.conn.storagePoolLookupByName("hot").refresh(), "refresh"
    )
    told: list[tuple[int, int]] = []
    copy = await driver.clone_volume(
        str(disk), "cold", "db.qcow2", lambda d, t: told.append((d, t))
    )
    assert await driver.checksum(str(disk)) == await driver.checksum(copy.path)
    await driver.repoint_disk(vm.uuid, "vda", copy.path, copy.format)
    assert (await the(driver, vm.uuid)).disks[0].source == copy.path
    session = driver._up().session
    domain = session.conn.lookupByUUIDString(vm.uuid)
    assert "hunter2" in await session.call(lambda: domain.XMLDesc(1), "xml")
    await driver.delete_volume(str(disk))


@pytest.mark.parametrize("p2p", [False, True], ids=["managed", "p2p"])
async def test_a_guest_migrates_with_its_disk(
    daemons: Daemons, connect: Connect, p2p: bool
) -> None:
    """Afterwards the guest runs on the other host from the copied disk, and only there."""
    one, two = daemons
    source, target = await connect(one), await connect(two)
    for driver, daemon in ((source, one), (target, two)):
        await add_pools(driver, daemon)
    uuid = await guest(source, one.image("hot", "web1.qcow2"))
    path = str(two.folder / "cold/web1.qcow2")
    spec = MigrationSpec(target, p2p, ("vda",), dest_paths={"vda": path})
    await source.migrate(uuid, spec)
    assert uuid not in {v.uuid for v in (await source.read_slow()).vms}
    vm = await the(target, uuid)
    assert (vm.state, vm.persistent, vm.disks[0].source) == (VmState.RUNNING, True, path)
    session = target._up().session
    domain = session.conn.lookupByUUIDString(uuid)
    assert "hunter2" in await session.call(lambda: domain.XMLDesc(3), "xml")


async def test_a_cancelled_migration_leaves_the_guest_at_home(
    daemons: Daemons, connect: Connect
) -> None:
    """Progress can be followed, cancel works, the guest runs on, and no half copy is left."""
    one, two = daemons
    source, target = await connect(one), await connect(two)
    for driver, daemon in ((source, one), (target, two)):
        await add_pools(driver, daemon)
    disk = one.image("hot", "web1.qcow2", "256M")
    await fill(disk, 256)
    uuid = await guest(source, disk)
    path = str(two.folder / "cold/web1.qcow2")
    spec = MigrationSpec(target, False, ("vda",), bandwidth_mib=1, dest_paths={"vda": path})
    work = asyncio.create_task(source.migrate(uuid, spec))
    async with asyncio.timeout(90):
        while (job := await source.job_progress(uuid)) is None or not job.total:
            assert not work.done(), work.result()
    assert job.phase
    await source.abort_job(uuid)
    with pytest.raises((Cancelled, Failed)):
        await work
    assert (await the(source, uuid)).state is VmState.RUNNING
    assert uuid not in {v.uuid for v in (await target.read_slow()).vms}
    assert await target.find_volume(path) is None


async def fill(disk: Path, mebibytes: int) -> None:
    """Make ``disk`` a qcow2 image full of data."""
    raw = disk.with_suffix(".raw")
    with raw.open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
    process = await asyncio.create_subprocess_exec(
        "qemu-img", "convert", "-O", "qcow2", str(raw), str(disk)
    )
    assert await process.wait() == 0
    raw.unlink()
    if os.geteuid() == 0:
        os.chown(disk, 65534, 65534)


async def test_a_stuck_qemu_does_not_blank_the_others(daemons: Daemons, connect: Connect) -> None:
    """A stopped QEMU is named in seconds, slows no later sweep, and comes back by itself."""
    one, _ = daemons
    driver = await connect(one)
    first = await guest(driver, one.image("hot", "a.qcow2"), "a")
    second = await guest(driver, one.image("hot", "b.qcow2"), "b")
    await driver.read_slow()
    pid = one.qemu_pids()["b"]
    os.kill(pid, signal.SIGSTOP)
    try:
        reading = await driver.read_slow()
        assert set(reading.stuck) == {second}
        took = []
        for _ in range(5):
            began = time.monotonic()
            seen = {v.uuid: v for v in (await driver.read_slow()).vms}
            took.append(time.monotonic() - began)
        assert min(took) < 0.9, "none of them waits for it"
        assert seen[first].monitor_stuck_s is None
        assert (seen[second].monitor_stuck_s or 0) > 0
        assert seen[first].slow_at > seen[second].slow_at
        with pytest.raises(Busy):
            await driver.suspend(second)
        assert await driver.ping() < 30_000
    finally:
        os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(90):
        while (await driver.read_slow()).stuck:
            await driver.ping()
    assert (await the(driver, second)).monitor_stuck_s is None


async def test_a_stuck_vm_can_be_forced_off(daemons: Daemons, connect: Connect) -> None:
    """Pulling the plug needs no answer from a hung QEMU."""
    one, _ = daemons
    driver = await connect(one)
    uuid = await guest(driver, one.image("hot", "a.qcow2"), "a")
    os.kill(one.qemu_pids()["a"], signal.SIGSTOP)
    assert uuid in (await driver.read_slow()).stuck
    await driver.destroy(uuid)
    assert (await the(driver, uuid)).state is VmState.OFF


async def test_a_killed_daemon_is_noticed_at_once(daemons: Daemons, connect: Connect) -> None:
    """libvirtd dies: the loss is told in milliseconds, and connecting again works."""
    one, _ = daemons
    driver = await connect(one)
    uuid = await guest(driver, one.image("hot", "a.qcow2"), "a")
    events = driver.events()
    began = time.monotonic()
    one.kill()
    lost = await heard(events, "lost")
    assert time.monotonic() - began < 5.0, "no keepalive is waited for"
    assert lost.text.startswith("connection lost")
    with pytest.raises(Unreachable):
        await driver.read_slow()
    with pytest.raises(DriverError):
        await driver.connect()
    one.start()
    await driver.connect()
    assert (await the(driver, uuid)).state is VmState.RUNNING


async def test_libvirt_itself_refuses_changes_on_a_read_only_host(
    daemons: Daemons, connect: Connect
) -> None:
    """protect = "ro" opens libvirt read-only: the daemon would refuse as well."""
    one, _ = daemons
    writer = await connect(one)
    uuid = await guest(writer, one.image("hot", "a.qcow2"), "a")
    reader = await connect(one, protect=Protect.RO)
    assert (await the(reader, uuid)).state is VmState.RUNNING
    session = reader._up().session
    with pytest.raises(Refused):
        await session.call(lambda: session.conn.lookupByUUIDString(uuid).destroy(), "destroyed")
    spec = MigrationSpec(reader, False)
    with pytest.raises(Refused, match="read-only"):
        await writer.migrate(uuid, spec)
