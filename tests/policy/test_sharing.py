"""Which storage several hosts reach, as plans judge it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.policy.migration import migration_targets
from console.policy.plans import make_plan
from console.policy.usage import names_path, on_shared_storage, sharing, users
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Filesystem, HostLoad
from drivers.model.job import Action, Check, Plan, Request, Verdict
from drivers.model.vm import VmDisk, VmState
from tests.policy.fleet import GIB, NOW, UUID, change, fleet, host, pool, vm

PATH = "/srv/warm/web1.qcow2"
ROOT = Filesystem("/", "ext4", 100 * GIB, 50 * GIB)


def mounted(snapshot: FleetSnapshot, name: str, *remote: Filesystem) -> FleetSnapshot:
    """The fleet with the mounts of one host known."""
    load = HostLoad(memory_total=64 * GIB, memory_available=32 * GIB, filesystems=(ROOT,),
                    remote=remote)  # fmt: skip
    return change(snapshot, name, load=load)


def plan(snapshot: FleetSnapshot, action: Action, target: str = "", **options: str) -> Plan:
    return make_plan(snapshot, Request(action, UUID, target, options), now=NOW, plan_id="p")


def reach(made: Plan) -> Check:
    return next(c for c in made.checks if c.name == f"reach of {PATH}")


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "glusterfs", "ceph", "9p", "fuse.sshfs"])
def test_a_dir_pool_on_a_file_server_is_shared(kind: str) -> None:
    """Whatever the pool's kind says, the mount below it tells, and is named as the proof."""
    snapshot = mounted(fleet(), "kvm1", Filesystem("/srv/warm", kind, 0, 0))
    judged = sharing(snapshot.hosts[0], PATH)
    assert judged.shared is True
    assert judged.proof == f"/srv/warm of kvm1 is mounted as {kind}"
    assert on_shared_storage(snapshot, PATH)


def test_a_local_filesystem_is_not_shared() -> None:
    """The deepest mount counts, and a name that only begins alike does not."""
    snapshot = mounted(fleet(), "kvm1", Filesystem("/srv/war", "nfs", 0, 0))
    assert sharing(snapshot.hosts[0], PATH).shared is False
    assert not on_shared_storage(snapshot, PATH)


def test_a_pool_of_a_shared_kind_needs_no_mount() -> None:
    """libvirt's own word is enough."""
    pools = (replace(pool("kvm1", "warm"), kind="netfs"),)
    assert sharing(replace(host("kvm1"), pools=pools), PATH).shared is True


def test_what_cannot_be_judged_is_unknown() -> None:
    """No mounts read, or a device that may be a LUN of several hosts."""
    one = mounted(fleet(), "kvm1").hosts[0]
    assert sharing(one, "/dev/vg0/web1").shared is None
    assert sharing(replace(one, load=None), PATH).shared is None
    assert sharing(host("kvm1"), PATH).shared is None


@pytest.mark.parametrize(
    ("remote", "verdict", "words"),
    [
        ((Filesystem("/srv", "nfs4", 0, 0),), Verdict.WARN, "mounted as nfs4"),
        ((), Verdict.OK, "mounted as ext4"),
        (None, Verdict.WARN, "not known"),
    ],
)
def test_deleting_says_how_reach_was_judged(
    remote: tuple[Filesystem, ...] | None, verdict: Verdict, words: str
) -> None:
    """A chosen disk and the old volume of a tier move each carry the judgement."""
    off, on = fleet(vm(VmState.OFF)), fleet()
    if remote is not None:
        off, on = mounted(off, "kvm1", *remote), mounted(on, "kvm1", *remote)
    for made in (
        plan(off, Action.DELETE, volumes=PATH),
        plan(on, Action.TIER, "hot", disk="vda"),
    ):
        assert made.refusal is None
        assert reach(made).verdict is verdict
        assert words in reach(made).proof
    kept = plan(on, Action.TIER, "hot", disk="vda", keep_old="yes")
    assert not any(c.name.startswith("reach") for c in kept.checks)


def test_a_shared_disk_is_not_copied_and_must_be_mounted_there() -> None:
    """A target with its own disk at that place would run on another file: it is blocked."""
    nas = Filesystem("/srv/warm", "nfs4", 0, 0)
    both = mounted(mounted(fleet(), "kvm1", nas), "kvm2", nas)
    (fit,) = migration_targets(both, UUID, now=NOW)
    told = next(c for c in fit.reasons if c.name == "disk vda")
    assert "not copied" in told.text
    assert "kvm2 is mounted as nfs4" in told.proof
    alone = mounted(mounted(fleet(), "kvm1", nas), "kvm2")
    (fit,) = migration_targets(alone, UUID, now=NOW)
    told = next(c for c in fit.reasons if c.name == "disk vda")
    assert told.verdict is Verdict.BLOCKED
    assert "/ of kvm2 is mounted as ext4" in told.proof


@pytest.mark.parametrize(("volume", "named"), [("web1.qcow2", True), ("web2.qcow2", False)])
def test_a_disk_told_by_pool_and_volume_keeps_whatever_may_be_it(volume: str, named: bool) -> None:
    """Where that pool lies does not stand in the definition; where it is known, the path counts."""
    shown = VmDisk("vda", f"nfs/{volume}", kind="volume", pool="nfs", volume=volume)
    user = vm(name="web2", uuid="2", host="kvm2", disks=(shown,))
    assert names_path(user, "/srv/nfs/web1.qcow2") is named
    assert bool(users((user,), "/srv/nfs/web1.qcow2")) is named
    placed = replace(user, disks=(replace(shown, source=f"/srv/warm/{volume}"),))
    assert not names_path(placed, "/srv/nfs/web1.qcow2")
    assert names_path(placed, f"/srv/warm/{volume}")
