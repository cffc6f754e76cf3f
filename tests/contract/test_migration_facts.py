"""What every driver tells of a guest's needs and a host's means, whatever is behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.errors import DriverError, Gone, Unreachable, Unsupported
from drivers.model.caps import CpuMatch, Reached
from drivers.protocol import HostDriver
from tests.contract.conftest import Case
from tests.contract.test_contract import NOBODY, ours


async def test_needs_say_machine_memory_and_disks(case: Case, driver: HostDriver) -> None:
    """Of the VM asked about, with the same disks as its reading."""
    uuid = await case.find(driver)
    vm = next(vm for vm in (await driver.read_slow()).vms if vm.uuid == uuid)
    needs = await driver.needs(uuid)
    assert ours(needs)
    assert needs.uuid == uuid
    assert needs.memory >= vm.memory
    assert needs.vcpus >= vm.vcpus
    assert [d.target for d in needs.disks] == [d.target for d in vm.disks]
    assert needs.snapshots == 0
    assert (await driver.needs(uuid)).digest == needs.digest
    if case.kind != "test":
        assert (needs.machine, needs.arch) == (vm.machine, "x86_64")
        assert needs.jobs_known


async def test_needs_of_an_unknown_vm(driver: HostDriver) -> None:
    """A DriverError, not a crash."""
    with pytest.raises(Gone):
        await driver.needs(NOBODY)


async def test_host_caps_tell_cpus_and_nodes(case: Case, driver: HostDriver) -> None:
    """Made of plain values, of this host."""
    caps = await driver.host_caps()
    assert caps.host == driver.spec.name
    assert caps.cpus
    assert caps.nodes
    assert isinstance(caps.cpu_features, frozenset)


async def test_a_host_can_run_its_own_guest(case: Case, driver: HostDriver) -> None:
    """Machine, CPU and vCPUs of a guest that runs here are offered here."""
    needs = await driver.needs(await case.find(driver))
    fit = await driver.guest_fit(needs)
    assert ours(fit)
    assert fit.digest == needs.digest
    if case.kind == "test":  # libvirt's test driver runs nothing and compares nothing
        return
    assert fit.virt
    assert fit.machine
    assert fit.cpu in (CpuMatch.IDENTICAL, CpuMatch.SUPERSET)
    assert fit.missing == ()
    assert (fit.vcpus_max or 0) >= needs.vcpus


async def test_the_baseline_of_a_host_with_itself_is_a_cpu_it_can_give(
    case: Case, driver: HostDriver
) -> None:
    """The same driver says of a guest with that CPU that it can run it."""
    needs = await driver.needs(await case.find(driver))
    if case.kind == "test":
        with pytest.raises(DriverError):
            await driver.cpu_baseline(("<cpu/>",), needs)
        return
    fit = await driver.guest_fit(needs)
    assert fit.host_cpu
    both = await driver.cpu_baseline((fit.host_cpu, fit.host_cpu), needs)
    assert ours(both)
    assert both.model
    again = await driver.guest_fit(replace(needs, cpu=both))
    assert again.cpu in (CpuMatch.IDENTICAL, CpuMatch.SUPERSET), again.said


async def test_reach_tells_what_was_dialled(case: Case, driver: HostDriver) -> None:
    """sshd of the host itself answers; an address that is none is refused unsent."""
    if case.kind == "test":
        with pytest.raises(Unsupported):
            await driver.reach("127.0.0.1", 22)
        return
    if case.kind == "sim":
        assert (await driver.reach(driver.spec.name, 22)).outcome is Reached.CONNECTED
        return
    name, port = _sshd(driver)
    found = await driver.reach(name, port)
    assert ours(found)
    assert found.outcome is Reached.CONNECTED, found
    assert (await driver.reach(name, 1)).outcome is Reached.REFUSED
    unknown = await driver.reach("no-such-host.invalid", 22)
    assert unknown.outcome is Reached.UNKNOWN_NAME, unknown
    with pytest.raises(Unsupported):
        await driver.reach("$(touch /tmp/x)", 22)


def _sshd(driver: HostDriver) -> tuple[str, int]:
    """Where the host's own sshd listens, as its URI says."""
    place = driver.spec.uri.partition("://")[2].partition("/")[0].rpartition("@")[2]
    name, _, port = place.partition(":")
    return name, int(port or 22)


async def test_a_peer_that_is_not_there_is_told(case: Case, driver: HostDriver) -> None:
    """A login that fails is an answer with the tool's words; where none can run, that is said."""
    if case.kind == "test":
        with pytest.raises(Unsupported):
            await driver.peer_login("test:///default")
        return
    if case.kind == "sim":
        assert (await driver.peer_login("qemu+ssh://root@kvm01/system")).opened
        return
    found = await driver.peer_login("qemu+unix:///system?socket=/nowhere/sock")
    assert not found.opened
    assert "/nowhere/sock" in found.said
    itself = await driver.peer_login("test:///default")
    assert itself.opened, itself
    assert itself.user


async def test_the_dirty_rate_of_a_running_guest(case: Case, driver: HostDriver) -> None:
    """A figure of now, or a reason why there is none."""
    uuid = await case.find(driver)
    if case.kind == "test":
        with pytest.raises(DriverError):
            await driver.dirty_rate(uuid, 1)
        return
    found = await driver.dirty_rate(uuid, 1)
    assert ours(found)
    assert found.uuid == uuid
    assert found.bps >= 0
    assert found.mode


async def test_an_unconnected_driver_tells_no_facts(case: Case) -> None:
    """Without a connection each is a DriverError."""
    made = case.driver()
    for ask in (lambda: made.needs(NOBODY), made.host_caps, lambda: made.reach("a", 1)):
        with pytest.raises(Unreachable):
            await ask()
