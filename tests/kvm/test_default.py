"""The driver against libvirt's own test driver, in this process."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest

from drivers.errors import DriverError, Gone, Refused, Unreachable, Unsupported
from drivers.kvm.driver import KvmDriver
from drivers.model.event import EventKind
from drivers.model.host import HostSpec, Protect
from drivers.model.job import Verdict
from drivers.model.vm import VmState
from tests.kvm.conftest import Connect, Nobody
from tests.node import ONE_VM

pytest.importorskip("libvirt")


async def test_connecting_says_what_the_host_is(connect: Connect) -> None:
    """Hostname, CPUs, memory, libvirt's version and the networks are there at once."""
    driver = await connect(ONE_VM)
    facts = await driver.connect()
    assert facts.hypervisor == "TEST"
    assert facts.cpus > 0
    assert facts.libvirt_version.count(".") == 2
    assert [n.name for n in facts.networks] == ["default"]
    assert driver.route == "this machine"


async def test_a_sweep_shows_the_vm_and_the_pool(connect: Connect) -> None:
    """The VM has name, state, memory, disks and NICs; its disk figures are missing with reason."""
    driver = await connect(ONE_VM)
    (vm,) = (await driver.read_slow()).vms
    assert (vm.name, vm.host, vm.state, vm.vcpus) == ("test", "kvm", VmState.RUNNING, 2)
    assert vm.disks
    assert "vm.disks" in {m.name for m in vm.missing}
    (pool,) = await driver.read_pools()
    assert (pool.name, pool.active, pool.problem) == ("default-pool", True, None)


async def test_an_action_is_told_as_an_event_within_milliseconds(connect: Connect) -> None:
    """What is done to a VM reaches the listener at once, and the next sweep shows it."""
    driver = await connect(ONE_VM)
    events = driver.events()
    (vm,) = (await driver.read_slow()).vms
    assert (await anext(events)).change == "connected"
    for act, change, state in (
        (driver.suspend, "suspended", VmState.PAUSED),
        (driver.resume, "resumed", VmState.RUNNING),
        (driver.destroy, "stopped", VmState.OFF),
        (driver.start, "started", VmState.RUNNING),
    ):
        asked = time.time()
        await act(vm.uuid)
        event = await anext(events)
        assert (event.kind, event.change, event.vm) == (EventKind.LIFECYCLE, change, vm.uuid)
        assert event.at - asked < 0.05
        assert (await driver.read_slow()).vms[0].state is state


async def test_a_vm_can_be_defined_listed_and_deleted(connect: Connect) -> None:
    """A new definition appears, autostart can be set, and deleting it makes it vanish."""
    driver = await connect(ONE_VM)
    text = "<domain type='test'><name>evil\u202e</name><memory>1024</memory>"
    await driver.redefine(f"{text}<os><type>hvm</type></os></domain>")
    made = next(v for v in (await driver.read_slow()).vms if v.name == "evil")
    assert made.state is VmState.OFF
    await driver.set_autostart(made.uuid, True)
    seen = {v.uuid: v for v in (await driver.read_slow()).vms}
    assert seen[made.uuid].autostart
    await driver.undefine(made.uuid)
    assert made.uuid not in {v.uuid for v in (await driver.read_slow()).vms}
    with pytest.raises(Gone) as gone:
        await driver.start(made.uuid)
    assert gone.value.problem.fix


async def test_a_running_vm_is_not_deleted(connect: Connect) -> None:
    """Deleting a running VM is refused before libvirt is asked."""
    driver = await connect(ONE_VM)
    (vm,) = (await driver.read_slow()).vms
    with pytest.raises(Refused, match="runs"):
        await driver.undefine(vm.uuid)


async def test_volumes_are_created_found_and_deleted(connect: Connect) -> None:
    """A volume's whole life; a path that is gone says so."""
    driver = await connect(ONE_VM)
    made = await driver.create_volume("default-pool", "a.raw", 1 << 20, "raw")
    assert (await driver.find_volume(made.path)) is not None
    told: list[tuple[int, int]] = []
    copy = await driver.clone_volume(
        made.path, "default-pool", "b.raw", lambda d, t: told.append((d, t))
    )
    assert copy.name == "b.raw"
    assert told[-1][0] == told[-1][1]
    for volume in (made, copy):
        await driver.delete_volume(volume.path)
        assert await driver.find_volume(volume.path) is None
    with pytest.raises(Gone):
        await driver.delete_volume(made.path)


async def test_a_volume_that_others_are_built_on_is_not_deleted(connect: Connect) -> None:
    """The image behind a clone stays, though no definition names it, and the clone is named."""
    driver = await connect(ONE_VM)
    base = await driver.create_volume("default-pool", "golden.qcow2", 1 << 20, "qcow2")
    xml = (
        "<volume><name>clone.qcow2</name><capacity>1048576</capacity>"
        "<target><format type='qcow2'/></target><backingStore>"
        f"<path>{base.path}</path><format type='qcow2'/></backingStore></volume>"
    )
    session = driver._up().session
    clone = await session.call(
        lambda: session.conn.storagePoolLookupByName("default-pool").createXML(xml, 0).path(), ""
    )
    with pytest.raises(Refused, match=r"clone\.qcow2 is built on it"):
        await driver.delete_volume(base.path)
    await driver.delete_volume(clone)
    await driver.delete_volume(base.path)


async def test_a_read_only_host_refuses_every_change(connect: Connect) -> None:
    """protect = "ro": each mutating call is refused in the driver itself, with the fix."""
    driver = await connect(ONE_VM)
    (vm,) = (await driver.read_slow()).vms
    driver.spec = replace(driver.spec, protect=Protect.RO)
    calls = [
        driver.start(vm.uuid),
        driver.shutdown(vm.uuid),
        driver.reboot(vm.uuid),
        driver.reset(vm.uuid),
        driver.suspend(vm.uuid),
        driver.resume(vm.uuid),
        driver.destroy(vm.uuid),
        driver.set_autostart(vm.uuid, True),
        driver.undefine(vm.uuid),
        driver.redefine("<domain/>"),
        driver.repoint_disk(vm.uuid, "vda", "/x", "raw"),
        driver.abort_job(vm.uuid),
        driver.block_copy(vm.uuid, "vda", "/x", "raw"),
        driver.block_pivot(vm.uuid, "vda"),
        driver.block_abort(vm.uuid, "vda"),
        driver.create_volume("default-pool", "x", 1, "raw"),
        driver.clone_volume("/x", "default-pool", "y", lambda d, t: None),
        driver.delete_volume("/x"),
        driver.open_console(vm.uuid),
        driver.open_shell(80, 24, "xterm"),
    ]
    for call in calls:
        with pytest.raises(Refused, match="read-only"):
            await call
    assert (await driver.read_slow()).vms[0].state is VmState.RUNNING


async def test_what_cannot_be_had_says_why(connect: Connect) -> None:
    """The test driver has no /proc and no console: a reason is given, nothing breaks."""
    driver = await connect(ONE_VM)
    (vm,) = (await driver.read_slow()).vms
    with pytest.raises(Unsupported):
        await driver.read_fast()
    with pytest.raises(DriverError):
        await driver.open_console(vm.uuid)
    assert await driver.job_progress(vm.uuid) is None if vm.job else True


async def test_events_end_when_the_driver_closes(connect: Connect) -> None:
    """A listener of a closed driver ends instead of waiting for ever; calls say why they fail."""
    driver = await connect(ONE_VM)
    events = driver.events()
    await driver.close()
    assert [event.change async for event in events] == ["connected"]
    with pytest.raises(Unreachable):
        await driver.read_slow()
    await driver.connect()
    assert (await driver.read_slow()).vms


async def test_nothing_reaches_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """libvirt prints no error over the screen when a host cannot be opened."""
    driver = KvmDriver(HostSpec("gone", "qemu+unix:///system?socket=/nowhere"), Nobody())
    with pytest.raises(Unreachable) as failure:
        await driver.connect()
    assert failure.value.problem.fix
    assert capfd.readouterr() == ("", "")


async def test_the_doctor_reports_each_part(connect: Connect) -> None:
    """The doctor lists libvirt, VMs, pools and what is missing on this kind of host."""
    from drivers.kvm.doctor import probe
    from drivers.ssh.desk import Desk

    checks = {c.name: c for c in await probe(HostSpec("t", ONE_VM), Nobody(), Desk())}
    assert checks["libvirt"].verdict is Verdict.OK
    assert checks["virtual machines"].verdict is Verdict.OK
    assert checks["pool default-pool"].verdict is Verdict.OK
    assert checks["host figures"].verdict is not Verdict.OK


def test_a_missing_binding_is_one_clear_sentence() -> None:
    """Without libvirt-python connecting says what to install."""
    code = (
        "import sys, asyncio; sys.modules['libvirt'] = None\n"
        "from drivers.open import open_driver\n"
        "from drivers.model.host import HostSpec\n"
        "from drivers.errors import Unsupported\n"
        "driver = open_driver(HostSpec('t', 'test:///default'), None)\n"
        "try: asyncio.run(driver.connect())\n"
        "except Unsupported as e: sys.exit(0 if 'libvirt-dev' in e.problem.fix else 3)\n"
        "sys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
