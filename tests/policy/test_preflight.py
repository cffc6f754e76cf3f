"""Every check of the pre-flight: when it blocks, warns, passes, and when it was not made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.policy.preflight.grounds import Grounds
from drivers.model.caps import (
    BoundDevice,
    CpuMatch,
    CpuNeed,
    DiskNeed,
    HugePages,
    PeerLogin,
    Reached,
)
from drivers.model.job import Verdict
from drivers.model.problem import Problem
from drivers.model.vm import VmDisk, VmState
from tests.policy.evidence import (
    MIB,
    caps,
    cell,
    check,
    evidence,
    fit,
    grounds,
    needs,
    reach,
    skewed,
    whole,
)
from tests.policy.fleet import GIB, NOW, UUID, change, disk, fleet, vm

OK, WARN, BLOCKED, UNTESTED = (
    Verdict.OK, Verdict.WARN, Verdict.BLOCKED, Verdict.NOT_TESTED,
)  # fmt: skip


def test_with_every_reading_made_a_cell_is_ok():
    """Nothing is left untested, and each ok of a comparison says what was compared."""
    found = cell(grounds())
    assert found.fit is not None
    assert [c for c in found.fit.reasons if c.verdict is not OK] == []
    assert found.verdict is OK
    assert "superset" in check("cpu", grounds()).proof


def test_without_evidence_the_cell_is_not_ok_but_not_tested():
    """What nobody looked at is no ok."""
    found = cell(Grounds())
    assert found.verdict is UNTESTED
    assert check("definition", Grounds()).verdict is UNTESTED


@pytest.mark.parametrize(
    ("name", "verdict", "changes", "words"),
    [
        ("cpu", BLOCKED, {"fits": {(UUID, "kvm2"): fit(
            cpu=CpuMatch.INCOMPATIBLE, missing=("avx512f", "pku"), said="required features")}},
         ("avx512f, pku", "EPYC wanted, EPYC-Milan", "hypervisor-cpu-baseline")),
        ("cpu", UNTESTED, {"fits": {(UUID, "kvm2"): fit(
            cpu=CpuMatch.UNKNOWN, said="not supported by the driver")}}, ("not supported",)),
        ("cpu", UNTESTED, {"fits": {(UUID, "kvm2"): Problem("kvm2 did not answer", "10 s")}},
         ("kvm2 did not answer: 10 s",)),
        ("machine", BLOCKED, {"fits": {(UUID, "kvm2"): fit(
            machine=False, near=("pc-q35-6.2",))}}, ("pc-q35-7.2 wanted; it offers pc-q35-6.2",)),
        ("machine", BLOCKED, {"fits": {(UUID, "kvm2"): fit(virt=False)}}, ("with kvm",)),
        ("most vcpus", BLOCKED, {"fits": {(UUID, "kvm2"): fit(vcpus_max=1)}}, ("2 vCPUs",)),
        ("most vcpus", UNTESTED, {"fits": {(UUID, "kvm2"): fit(vcpus_max=None)}}, ()),
        ("definition", UNTESTED, {"needs": {UUID: Problem("no XML", "timed out")}}, ("timed out",)),
        ("data path", WARN, {"data": {("kvm1", "kvm2"): reach(Reached.SILENT, "")}},
         ("kvm2:49152: no answer", "49152 to 49215")),
        ("data path", WARN, {"data": {("kvm1", "kvm2"): reach(Reached.UNKNOWN_NAME, "bad")}},
         ("make kvm2 resolve on kvm1", "migration_host")),
        ("data path", UNTESTED, {"data": {("kvm1", "kvm2"): Problem("no shell", "only sftp")}},
         ("no shell: only sftp",)),
        ("data path", OK, {"data": {("kvm1", "kvm2"): reach(Reached.CONNECTED, "")}},
         ("connected to kvm2:49152",)),
    ],
)  # fmt: skip
def test_readings_of_the_hosts(name, verdict, changes, words):
    """Both values are shown, and a failed reading is not tested, with its reason."""
    found = check(name, grounds(**changes))
    assert found.verdict is verdict
    for part in words:
        assert part in f"{found.text} | {found.proof} | {found.fix}"


@pytest.mark.parametrize(
    ("name", "verdict", "changes", "words"),
    [
        ("devices", BLOCKED, {"devices": (BoundDevice("9p", "/srv"),)}, "9p"),
        ("devices", BLOCKED, {"devices": (BoundDevice("shmem", "x"),)}, "shmem x"),
        ("devices", UNTESTED, {"devices": (BoundDevice("pci", "0000:03:00.0"),)}, "QEMU alone"),
        ("devices", WARN, {"devices": (BoundDevice("usb", "1d6b:2"),)}, "plugged in there"),
        ("devices", OK, {"devices": (BoundDevice("pci", "03", failover=True),)}, "stand-in"),
        ("devices", BLOCKED, {"devices": (BoundDevice("usb", "1"), BoundDevice("shmem", "x"))},
         "it holds: usb 1, shmem x"),
        ("tpm", OK, {"tpm": "emulator"}, "moves along"),
        ("tpm", BLOCKED, {"tpm": "passthrough"}, "stays with its host"),
        ("firmware", OK, {"loader": "/usr/share/OVMF/CODE.fd"}, "is on kvm2"),
        ("firmware", BLOCKED, {"loader": "/opt/x.fd"}, "install it"),
        ("nvram", OK, {"nvram": "/var/lib/libvirt/qemu/nvram/a.fd"}, "move with the guest"),
        ("nvram", UNTESTED, {"nvram": "/srv/a.fd"}, "/srv/a.fd"),
        ("sealed memory", BLOCKED, {"sealed": "sev"}, "launchSecurity sev"),
        ("snapshots", BLOCKED, {"snapshots": 2}, "2 snapshots kept"),
        ("snapshots", UNTESTED, {"snapshots": None}, "cannot list snapshots"),
        ("checkpoints", WARN, {"checkpoints": 1}, "full one"),
        ("checkpoints", UNTESTED, {"checkpoints": None}, "cannot list checkpoints"),
        ("autostart", WARN, {"autostart": True}, "autostart"),
        ("huge pages", OK, {"huge": (HugePages(2 * MIB, GIB),)}, "512 pages of 2 MiB"),
        ("huge pages", BLOCKED, {"huge": (HugePages(2 * MIB, 8 * GIB),)}, "2100 free"),
        ("huge pages", OK, {"huge": (HugePages(0, GIB),)}, "512 pages of 2 MiB"),
        ("huge pages", BLOCKED, {"huge": (HugePages(GIB, GIB),)}, "0 free"),
        ("numa", BLOCKED, {"nodes": (1, 2)}, "no NUMA nodes 2"),
        ("numa", OK, {"nodes": (0, 1)}, "has 2"),
        ("pinning", BLOCKED, {"pinned": (7, 8)}, "no CPUs 8"),
        ("pinning", OK, {"pinned": (0, 7)}, "has 8"),
        ("block job vda", BLOCKED, {"disks": (DiskNeed("vda", block_job="copy"),)}, "copy"),
        ("block job vda", UNTESTED, {"jobs_known": False}, "did not answer"),
        ("chain vda", WARN, {"disks": (DiskNeed("vda", backing=("/b",), chain_known=True),)},
         "/srv/warm/web1.qcow2 on top of /b"),
        ("chain vda", UNTESTED, {"disks": (DiskNeed("vda"),)}, "running VMs alone"),
    ],
)  # fmt: skip
def test_what_the_guest_asks(name, verdict, changes, words):
    """Each need is met, refused with proof, or said to be unknown."""
    found = check(name, grounds(needs={UUID: needs(**changes)}))
    assert found.verdict is verdict
    assert words in f"{found.text} | {found.proof} | {found.fix}"


def test_a_configured_migration_address_that_does_not_answer_blocks():
    """The host's own name is only where libvirt would go by default; a set address is where."""
    there = whole().host("kvm2")
    assert there is not None
    named = change(whole(), "kvm2", spec=replace(there.spec, migrate_uri="tcp://10.0.0.2"))
    asked = grounds(data={("kvm1", "kvm2"): reach(Reached.SILENT, "")})
    assert check("data path", asked, named).verdict is BLOCKED


def test_the_baseline_of_both_hosts_is_the_fix_of_a_cpu_that_does_not_fit():
    """Named with its features where libvirt worked it out."""
    lacking = fit(cpu=CpuMatch.INCOMPATIBLE, missing=("pku",))
    both = CpuNeed("custom", "EPYC-Rome", ("ssbd",))
    asked = grounds(fits={(UUID, "kvm2"): lacking}, baselines={(UUID, "kvm2"): both})
    found = check("cpu", asked)
    assert "the baseline of both hosts: CPU model EPYC-Rome and ssbd" in found.fix


@pytest.mark.parametrize(
    ("virt", "version", "state", "verdict"),
    [
        ("qemu", "7.2.22", VmState.RUNNING, WARN),
        ("qemu", "", VmState.RUNNING, UNTESTED),
        ("qemu", "9.0.0", VmState.RUNNING, None),
        ("qemu", "7.2.22", VmState.PAUSED, None),
        ("kvm", "7.2.22", VmState.RUNNING, None),
    ],
)
def test_an_emulated_guest_is_warned_of_until_qemu_sends_its_memory_whole(
    virt, version, state, verdict
):
    """What a guest under emulation wrote late may not arrive; a paused one writes nothing."""
    found = skewed(skewed(fleet(vm(state)), "kvm1"), "kvm2")
    here = found.host("kvm1")
    assert here is not None
    assert here.facts is not None
    shown = change(found, "kvm1", facts=replace(here.facts, qemu_version=version))
    fits = cell(grounds(needs={UUID: needs(virt=virt)}), shown).fit
    assert fits is not None
    assert [c.verdict for c in fits.reasons if c.name == "emulation"] == [verdict] * bool(verdict)


def test_an_old_libvirt_refuses_passed_through_devices():
    """Before 8.6 libvirt refuses by itself: then it is a fact."""
    found = whole()
    here = found.host("kvm1")
    assert here is not None
    assert here.facts is not None
    old = change(found, "kvm1", facts=replace(here.facts, libvirt_version="8.0.0"))
    asked = grounds(needs={UUID: needs(devices=(BoundDevice("pci", "03:00.0"),))})
    assert check("devices", asked, old).verdict is BLOCKED


@pytest.mark.parametrize(
    ("there", "verdict"),
    [
        (caps("kvm2"), OK),
        (caps("kvm2", microcode="8"), WARN),
        (caps("kvm2", cpu_features=frozenset(("sse4a",))), BLOCKED),
        (caps("kvm2", cpu_model="Skylake"), BLOCKED),
        (Problem("no answer"), UNTESTED),
    ],
)
def test_a_passed_through_cpu_is_compared_here(there, verdict):
    """libvirt compares none of these, so the physical CPUs are, by feature."""
    asked = evidence(needs={UUID: needs(cpu=CpuNeed("host-passthrough", xml="<cpu/>"))})
    found = check("cpu", Grounds(evidence=replace(asked, caps={**asked.caps, "kvm2": there})))
    assert found.verdict is verdict
    if verdict is BLOCKED and "avx2" not in getattr(there, "cpu_features", ()):
        assert "lacking avx2" in found.text


def test_default_huge_pages_of_a_host_with_two_sizes_are_not_guessed():
    """Which size QEMU takes there is not told by libvirt."""
    pages = caps("kvm2").pages
    two = caps("kvm2", pages=(*pages, replace(pages[0], size=GIB)))
    asked = evidence(needs={UUID: needs(huge=(HugePages(0, GIB),))})
    found = check("huge pages", Grounds(evidence=replace(asked, caps={"kvm2": two})))
    assert found.verdict is UNTESTED
    assert "2 MiB, 1 GiB" in found.proof


@pytest.mark.parametrize(
    ("cache", "versions", "verdict"),
    [
        ("writeback", ("9.0.0", "7.2.0"), OK),
        ("writeback", ("5.0.0", "7.2.0"), BLOCKED),
        ("", ("9.0.0", "3.1.0"), BLOCKED),
        ("writethrough", ("", "7.2.0"), UNTESTED),
    ],
)
def test_cache_modes_of_shared_disks(cache, versions, verdict):
    """Safe with any mode from libvirt 5.6 and QEMU 4.0 on; copied disks are never shared."""
    shared = whole(first=vm(disks=(replace(disk(), shared=True),)))
    here = shared.host("kvm1")
    assert here is not None
    assert here.facts is not None
    facts = replace(here.facts, libvirt_version=versions[0], qemu_version=versions[1])
    asked = grounds(needs={UUID: needs(disks=(DiskNeed("vda", cache, chain_known=True),))})
    assert check("cache vda", asked, change(shared, "kvm1", facts=facts)).verdict is verdict


@pytest.mark.parametrize(
    ("reading", "verdict"),
    [
        (reach(Reached.CONNECTED, ""), OK),
        (reach(Reached.REFUSED), BLOCKED),
        (Problem("no shell"), UNTESTED),
        (None, UNTESTED),
    ],
)
def test_the_server_of_a_network_disk_is_dialled_from_the_target(reading, verdict):
    """The answer stands in place of the check that could not tell."""
    net = whole(first=vm(disks=(VmDisk("vda", "nbd:s:10809/x", kind="network", shared=True),)))
    asked = grounds(
        needs={UUID: needs(disks=(DiskNeed("vda", servers=(("s", 10809),)),))},
        servers={} if reading is None else {("kvm2", "s", 10809): reading},
    )
    assert check("disk vda", asked, net).verdict is verdict
    fits = cell(asked, net).fit
    assert fits is not None
    assert [c.name for c in fits.reasons].count("disk vda") == 1


@pytest.mark.parametrize(
    ("login", "verdict", "words"),
    [
        (PeerLogin("kvm1", "qemu+ssh://kvm2/system", True, NOW, "root"), OK, "opened"),
        (PeerLogin("kvm1", "qemu+ssh://kvm2/system", True, NOW, "ann"), UNTESTED, "as root"),
        (PeerLogin("kvm1", "u", False, NOW, "root", "Permission denied"), BLOCKED, "denied"),
        (Problem("no virsh"), UNTESTED, "no virsh"),
    ],
)
def test_peer_to_peer_needs_a_login_between_hosts(login, verdict, words):
    """Tried with the URI the daemon uses; only root's own try proves it for the daemon."""
    found = check("mode", grounds(login={("kvm1", "kvm2"): login}), whole(peer="qemu+ssh://kvm2"))
    assert found.verdict is verdict
    assert words in found.proof


def test_saved_memory_keeps_a_vm_that_is_off_where_it_is():
    """Told before any disk is sent, with the way out; a running guest carries none."""
    off = skewed(skewed(fleet(vm(VmState.OFF)), "kvm1"), "kvm2")
    found = check("saved memory", grounds(needs={UUID: needs(saved=True)}), off)
    assert found.verdict is BLOCKED
    assert "start it and migrate it live" in found.fix
    assert check("saved memory", grounds(needs={UUID: needs(saved=None)}), off).verdict is UNTESTED
    reasons = cell(grounds(), off).fit
    assert reasons is not None
    assert "saved memory" not in {c.name for c in reasons.reasons}
