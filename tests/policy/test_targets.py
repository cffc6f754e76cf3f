"""Where a VM or a disk could go: fits, and why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.policy.migration import migration_targets
from console.policy.tiering import tier_targets
from drivers.model.host import HostLoad, Link, LinkState, Protect
from drivers.model.job import TargetFit, Verdict
from drivers.model.storage import Network
from drivers.model.vm import VmDisk, VmState
from tests.policy.fleet import GIB, NOW, UUID, change, disk, fleet, host, pool, vm


def reason(fit: TargetFit, name: str):
    return next(c for c in fit.reasons if c.name == name)


def only(snapshot) -> TargetFit:
    (fit,) = migration_targets(snapshot, UUID, now=NOW)
    return fit


def test_a_fitting_host_shows_its_proof():
    """Memory and disk carry the numbers they were judged by."""
    fit = only(fleet())
    assert fit.fits
    assert fit.mode == "managed"
    assert "needs 2 GiB" in reason(fit, "memory").proof
    assert "/srv/warm/web1.qcow2 on kvm2" in reason(fit, "disk vda").text
    assert reason(fit, "data path").verdict is Verdict.NOT_TESTED


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"link": Link(LinkState.DOWN, NOW)}, "link"),
        ({"slow_at": NOW - 600}, "link"),
        ({"load": HostLoad(memory_total=4 * GIB, memory_available=GIB)}, "memory"),
        ({"pools": ()}, "disk vda"),
        ({"pools": (pool("kvm2", "warm", available=GIB),)}, "disk vda"),
        ({"pools_at": NOW - 9999.0}, "disk vda"),
        ({"vms": (vm(VmState.OFF, uuid="9" * 8 + UUID[8:], host="kvm2"),)}, "name"),
        ({"vms": (vm(host="kvm2", name="web1-copy"),)}, "uuid"),
    ],
)
def test_each_obstacle_is_named(fields, name):
    """One obstacle is enough, and it is the one that is shown."""
    fit = only(change(fleet(), "kvm2", **fields))
    assert not fit.fits
    assert reason(fit, name).verdict is Verdict.BLOCKED


def test_missing_network_is_an_obstacle_and_lists_what_there_is():
    """A NIC needs its network by name."""
    facts = replace(host("kvm2").facts, networks=(Network("lan", "kvm2"),))
    fit = only(change(fleet(), "kvm2", facts=facts))
    assert not fit.fits
    assert "it has: lan" in reason(fit, "nic vnet0").proof


def test_an_older_qemu_warns_and_another_arch_blocks():
    """Versions are compared as numbers."""
    older = replace(host("kvm2").facts, qemu_version="6.10.0")
    fit = only(change(fleet(), "kvm2", facts=older))
    assert fit.fits
    assert reason(fit, "QEMU").verdict is Verdict.WARN
    arm = replace(older, arch="aarch64")
    assert not only(change(fleet(), "kvm2", facts=arm)).fits


def test_a_protected_target_does_not_fit():
    """protect = ro holds for arriving VMs too."""
    snapshot = fleet()
    guarded = replace(snapshot, hosts=(snapshot.hosts[0], host("kvm2", protect=Protect.RO)))
    assert reason(only(guarded), "protect").verdict is Verdict.BLOCKED


def test_shared_and_network_disks_are_not_copied():
    """Only a local disk needs room on the target."""
    disks = (
        replace(disk(), shared=True),
        VmDisk("vdb", "nbd://10.0.0.9/data", kind="network"),
        VmDisk("sda", "", device="cdrom"),
    )
    fit = only(fleet(vm(disks=disks)))
    assert fit.fits
    assert "not copied" in reason(fit, "disk vda").text
    assert reason(fit, "disk vdb").verdict is Verdict.NOT_TESTED


def test_an_inserted_iso_must_exist_there():
    """A cdrom image in a pool folder that the target lacks blocks, with eject as the way out."""
    iso = VmDisk("sda", "/srv/cold/debian.iso", device="cdrom", read_only=True)
    fit = only(fleet(vm(disks=(iso,))))
    assert not fit.fits
    assert "eject" in reason(fit, "disk sda").fix


def test_fits_come_first():
    """The list starts with where the VM can go."""
    snapshot = fleet()
    tiny = change(
        replace(snapshot, hosts=(*snapshot.hosts, host("kvm0"))),
        "kvm0",
        load=HostLoad(memory_total=GIB, memory_available=1),
    )
    assert [f.target for f in migration_targets(tiny, UUID, now=NOW)] == ["kvm2", "kvm0"]


def test_a_stopped_vm_moves_as_a_definition_and_never_live():
    """Off, it goes offline by itself; asked to go live, it is told to start first."""
    fit = only(fleet(vm(VmState.OFF)))
    assert (fit.fits, fit.mode) == (True, "offline")
    assert "pass through this console" in reason(fit, "data path").text
    asked = {"mode": "managed"}
    (live,) = migration_targets(fleet(vm(VmState.OFF)), UUID, now=NOW, options=asked)
    assert "start it first" in reason(live, "vm").fix
    (off,) = migration_targets(fleet(), UUID, now=NOW, options={"mode": "offline"})
    assert "shut it down first" in reason(off, "vm").fix


def test_what_stops_a_guest_from_starting_is_only_a_warning_while_it_is_off():
    """Too little memory there does not keep a definition from moving."""
    full = change(fleet(vm(VmState.OFF)), "kvm2", load=HostLoad(memory_available=1))
    fit = only(full)
    assert fit.fits
    assert reason(fit, "memory").verdict is Verdict.WARN
    assert "could not be started on kvm2" in reason(fit, "memory").text


def test_a_paused_guest_is_warned_of_with_the_proof():
    """It may be lost when it moves again before it has run."""
    fit = only(fleet(vm(VmState.PAUSED)))
    assert fit.fits
    assert reason(fit, "paused").verdict is Verdict.WARN
    assert "QEMU 7.2.0" in reason(fit, "paused").proof
    assert not [c for c in only(fleet()).reasons if c.name == "paused"]


def test_tier_targets_are_the_other_pools():
    """Hot and cold are offered for a disk in warm, live for a running VM."""
    fits = tier_targets(fleet(), UUID, "vda", now=NOW)
    assert {f.target for f in fits} == {"hot", "cold"}
    assert all(f.fits and f.mode == "live" for f in fits)


def test_a_full_pool_is_listed_last_with_numbers():
    """Too little space is told in words."""
    snapshot = fleet()
    pools = tuple(
        replace(p, available=GIB) if p.name == "hot" else p for p in snapshot.hosts[0].pools
    )
    fits = tier_targets(change(snapshot, "kvm1", pools=pools), UUID, "vda", now=NOW)
    assert [f.fits for f in fits] == [True, False]
    assert "1 GiB free" in reason(fits[1], "space").proof


def test_tier_targets_keep_their_order_while_space_changes():
    """Hot before cold whichever has more space: the list does not jump under the cursor."""
    snapshot = fleet()
    for free in (100 * GIB, 900 * GIB):
        pools = tuple(
            replace(p, available=free if p.name == "hot" else 500 * GIB)
            for p in reversed(snapshot.hosts[0].pools)
        )
        fits = tier_targets(change(snapshot, "kvm1", pools=pools), UUID, "vda", now=NOW)
        assert [f.target for f in fits] == ["hot", "cold"]


@pytest.mark.parametrize(
    "moved",
    [
        VmDisk("vda", "/srv/cold/x.iso", device="cdrom"),
        VmDisk("vda", "nbd://h/x", kind="network"),
        VmDisk("vda", ""),
    ],
)
def test_disks_that_no_pool_holds_are_not_moved(moved):
    """Cdroms, network disks and empty drives stay, with the reason."""
    fits = tier_targets(fleet(vm(disks=(moved,))), UUID, "vda", now=NOW)
    assert fits
    assert not any(f.fits for f in fits)
