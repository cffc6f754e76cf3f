"""Every check of the pre-flight: when it blocks, warns, passes, and when it was not made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.policy.migration import migration_targets
from console.policy.plans import make_plan
from console.policy.preflight.estimate import precopy
from console.policy.preflight.grounds import Bandwidth, Evidence, Grounds, Group, Rules
from console.policy.preflight.matrix import preflight
from drivers.model.caps import (
    BoundDevice,
    CpuMatch,
    CpuNeed,
    DirtyRate,
    DiskNeed,
    HugePages,
    PeerLogin,
    Reached,
)
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Check, Request, Verdict
from drivers.model.matrix import Cell
from drivers.model.problem import Problem
from drivers.model.vm import VmDisk, VmState
from tests.policy.evidence import MIB, caps, evidence, fit, grounds, needs, reach
from tests.policy.fleet import GIB, NOW, UUID, change, disk, fleet, host, vm

OK, WARN, BLOCKED, UNTESTED = (
    Verdict.OK, Verdict.WARN, Verdict.BLOCKED, Verdict.NOT_TESTED,
)  # fmt: skip
OTHER = "9" * 8 + UUID[8:]


def skewed(snapshot: FleetSnapshot, name: str, seconds: float | None = 0.0) -> FleetSnapshot:
    found = snapshot.host(name)
    assert found is not None
    assert found.facts is not None
    return change(snapshot, name, facts=replace(found.facts, clock_skew_s=seconds))


def whole(**kinds: object) -> FleetSnapshot:
    """The small fleet, with clocks that were compared."""
    return skewed(skewed(fleet(**kinds), "kvm1"), "kvm2")  # type: ignore[arg-type]


def cell(given_grounds: Grounds, snapshot: FleetSnapshot | None = None) -> Cell:
    shown = snapshot or whole()
    found = preflight(shown, (UUID,), ("kvm2",), now=NOW, grounds=given_grounds)
    return found.rows[0].cells[0]


def check(name: str, given_grounds: Grounds, snapshot: FleetSnapshot | None = None) -> Check:
    fits = cell(given_grounds, snapshot).fit
    assert fits is not None
    return next(c for c in fits.reasons if c.name == name)


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


def test_a_cordoned_host_takes_nothing():
    """With whoever said so as proof."""
    found = check("maintenance", replace(grounds(), cordoned={"kvm2": "by ann since 10:04"}))
    assert (found.verdict, found.proof) == (BLOCKED, "by ann since 10:04")
    assert cell(replace(grounds(), cordoned={"kvm1": "x"})).verdict is OK


@pytest.mark.parametrize(
    ("rules", "name", "verdict"),
    [
        (Rules(), "vcpus in all", OK),
        (Rules(cpu_overcommit=0.1), "vcpus in all", BLOCKED),
        (Rules(memory_overcommit=0.01), "memory promised", BLOCKED),
        (Rules(memory_overcommit=1.5), "memory promised", OK),
        (Rules(memory_reserve=31 * GIB), "memory", BLOCKED),
        (Rules(clock_skew_s=0.0), "clocks", OK),
    ],
)
def test_configured_limits(rules, name, verdict):
    """A configured limit refuses; both numbers are in the proof."""
    found = check(name, replace(grounds(), rules=rules))
    assert found.verdict is verdict
    assert any(sign.isdigit() for sign in found.proof)


def test_limits_that_nobody_set_only_warn():
    """More than four vCPUs a CPU, more memory promised than there is."""
    crowd = tuple(
        replace(vm(name=f"v{n}", uuid=f"{n:08d}{UUID[8:]}", host="kvm2"), vcpus=8, memory=16 * GIB)
        for n in range(5)
    )
    full = change(whole(), "kvm2", vms=crowd)
    assert check("vcpus in all", grounds(), full).verdict is WARN
    assert check("memory promised", grounds(), full).verdict is WARN


def test_clocks_that_are_apart_warn_and_unknown_ones_are_not_tested():
    """The difference between both hosts counts, not that to this console."""
    assert check("clocks", grounds(), skewed(whole(), "kvm2", -9.0)).verdict is WARN
    both = skewed(skewed(whole(), "kvm1", 9.0), "kvm2", 9.0)
    assert check("clocks", grounds(), both).verdict is OK
    assert check("clocks", grounds(), skewed(whole(), "kvm2", None)).verdict is UNTESTED


@pytest.mark.parametrize(
    ("group", "where", "verdict"),
    [
        (Group("db", "apart", vms=frozenset(("web1", "db2"))), "kvm2", BLOCKED),
        (Group("db", "apart", vms=frozenset(("web1", "db2")), strict=False), "kvm2", WARN),
        (Group("db", "apart", tags=frozenset(("pair",))), "kvm2", BLOCKED),
        (Group("db", "apart", vms=frozenset(("web1", "db2"))), "kvm1", OK),
        (Group("db", "together", vms=frozenset(("web1", "db2"))), "kvm1", BLOCKED),
        (Group("db", "together", vms=frozenset(("web1", "db2"))), "kvm2", OK),
    ],
)
def test_groups(group, where, verdict):
    """By name or by tag; what is not strict warns."""
    one = replace(vm(), tags=("pair",))
    other = replace(vm(name="db2", uuid=OTHER, host=where), tags=("pair",))
    snapshot = whole(first=one)
    home = snapshot.host(where)
    assert home is not None
    snapshot = change(snapshot, where, vms=(*home.vms, other))
    found = check("group db", replace(grounds(), rules=Rules(groups=(group,))), snapshot)
    assert found.verdict is verdict


def test_a_tag_alone_makes_a_group():
    """``apart:db`` on both VMs needs no configuration."""
    one = replace(vm(), tags=("apart:db",))
    other = replace(vm(name="db2", uuid=OTHER, host="kvm2"), tags=("apart:db",))
    snapshot = change(whole(first=one), "kvm2", vms=(other,))
    assert check("group db", grounds(), snapshot).verdict is BLOCKED


def test_the_estimate_names_where_each_figure_comes_from():
    """Measured, configured, the link's own speed, or a plain assumption: always said."""
    assert "assumed: br0 of kvm1 is a link of 10000 Mbit/s" in check("duration", grounds()).proof
    silent = grounds(data={})
    assert "assumed: 1 Gbit/s" in check("duration", silent).proof
    configured = replace(grounds(), rules=Rules(link_bps=50.0 * MIB))
    assert "50 MiB/s (as configured)" in check("duration", configured).proof
    past = grounds(bandwidth={("kvm1", "kvm2"): Bandwidth(80.0 * MIB, "3 migrations")})
    assert "80 MiB/s (3 migrations)" in check("duration", past).proof
    unknown = check("duration", grounds(dirty={UUID: Problem("x", "QEMU is too old")}))
    assert "at least" in unknown.text
    assert "QEMU is too old" in unknown.proof


def test_a_guest_that_writes_faster_than_the_link_warns():
    """It would never end by itself, and what helps is said."""
    asked = grounds(
        dirty={UUID: DirtyRate(UUID, 200.0 * MIB, 1, NOW)},
        bandwidth={("kvm1", "kvm2"): Bandwidth(100.0 * MIB, "past")},
    )
    found = check("duration", asked)
    assert found.verdict is WARN
    assert "auto-converge" in found.fix


@given(
    memory=st.floats(1, 1e12), disks=st.floats(0, 1e13), bps=st.floats(1e3, 1e11),
    dirty=st.floats(0, 1e11), more=st.floats(1.01, 10),
)  # fmt: skip
def test_an_estimate_grows_with_the_work_and_never_stands_still_beyond_the_limit(
    memory, disks, bps, dirty, more
):
    """Faster links never take longer, busier guests never less; the standstill is bounded."""
    found = precopy(memory, disks, bps, dirty)
    if found.seconds is None or found.downtime_s is None:
        assert dirty >= bps
        return
    assert found.seconds >= (memory + disks) / bps * 0.999
    assert 0 <= found.downtime_s <= 0.3001
    quicker = precopy(memory, disks, bps * more, dirty)
    assert quicker.seconds is not None
    assert quicker.seconds <= found.seconds * 1.001
    busier = precopy(memory, disks, bps, dirty * more)
    assert busier.seconds is None or busier.seconds >= found.seconds * 0.999


_VERDICTS = st.sampled_from(["ok", "problem", "absent"])


@given(st.fixed_dictionaries(dict.fromkeys(
    ("needs", "caps", "fits", "data", "dirty"), _VERDICTS)))  # fmt: skip
def test_a_missing_reading_is_never_shown_as_ok(kinds):
    """Whatever could not be read, the cell says not tested and nothing raises."""
    full = evidence()
    changed = {
        name: getattr(full, name) if kind == "ok" else {
            key: Problem("lost", "timed out") for key in getattr(full, name)
        } if kind == "problem" else {}
        for name, kind in kinds.items()
    }  # fmt: skip
    found = cell(Grounds(evidence=replace(full, **changed)))
    lost = any(kinds[name] != "ok" for name in ("needs", "fits", "data"))
    assert found.verdict is (UNTESTED if lost else OK)
    assert found.fit is not None
    assert all(c.proof for c in found.fit.reasons if c.verdict is UNTESTED)


@given(
    state=st.sampled_from(list(VmState)),
    cordoned=st.booleans(),
    machine=st.booleans(),
    given_evidence=st.booleans(),
)
def test_target_list_plan_and_matrix_agree(state, cordoned, machine, given_evidence):
    """One function answers all three: the same checks, the same verdict."""
    found: Evidence | None = None
    if given_evidence:
        found = evidence(fits={(UUID, "kvm2"): fit(machine=machine)})
    asked = Grounds(cordoned={"kvm2": "me"} if cordoned else {}, evidence=found)
    snapshot = whole(first=vm(state))
    in_matrix = cell(asked, snapshot).fit
    (in_list,) = migration_targets(snapshot, UUID, now=NOW, grounds=asked)
    request = Request(Action.MIGRATE, UUID, "kvm2")
    plan = make_plan(snapshot, request, now=NOW, plan_id="p", grounds=asked)
    assert in_matrix == in_list
    assert plan.checks == in_list.reasons
    assert (plan.refusal is None) is in_list.fits


def test_a_matrix_of_many_names_its_own_host_and_unknown_names():
    """VMs down, hosts across; the VM's own host is no target, an unknown one is blocked."""
    snapshot = replace(whole(), hosts=(*whole().hosts, host("kvm3")))
    found = preflight(snapshot, (UUID, "gone"), ("kvm1", "kvm2", "kvm9"), now=NOW)
    row, gone = found.rows
    assert [c.here for c in row.cells] == [True, False, False]
    assert row.cells[2].verdict is BLOCKED
    assert all(c.verdict is BLOCKED for c in gone.cells)
    assert found.count(BLOCKED) == 4
    assert found.cell(UUID, "kvm1") == row.cells[0]
    assert found.cell(UUID, "nowhere") is None


def test_a_paused_guest_needs_no_dirty_rate():
    """It writes nothing, so the estimate is whole."""
    found = check("duration", grounds(dirty={}), whole(first=vm(VmState.PAUSED)))
    assert "paused" in found.proof
    assert "about" in found.text
