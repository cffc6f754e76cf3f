"""Who names a volume: the question that stands before every deletion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.job import Check, Verdict
from drivers.model.storage import Pool, Volume
from drivers.model.vm import Vm, VmDisk


def names_path(vm: Vm, path: str) -> bool:
    """True when any disk of the VM has that source.

    A definition may tell a pool and a volume instead. Where that pool is not known to lie, any path
    that ends in the volume's name may be it.
    """
    name = path.rpartition("/")[2]
    return any(disk.source == path or (_unplaced(disk) and disk.volume == name)
               for disk in vm.disks)  # fmt: skip


def _unplaced(disk: VmDisk) -> bool:
    return disk.kind == "volume" and not disk.source.startswith("/")


def users(
    vms: Iterable[Vm], path: str, *, but: tuple[str, str] = ("", "")
) -> tuple[tuple[str, str], ...]:
    """(VM name, host) of every VM that names ``path``, leaving out the (host, UUID) ``but``.

    Paths are compared across hosts: two hosts may reach one file server, and a file that only
    looks like another host's is worth a refusal more than a file that is.
    """
    return tuple(
        (vm.name, vm.host) for vm in vms if (vm.host, vm.uuid) != but and names_path(vm, path)
    )


def other_users(snapshot: FleetSnapshot, vm: Vm, volume: Volume) -> tuple[tuple[str, str], ...]:
    """(VM name, host) of all others that use a volume, by its path or by libvirt's word."""
    found = users(snapshot.vms(), volume.path, but=(vm.host, vm.uuid))
    known = {v.uuid: v.name for v in snapshot.vms()}
    listed = tuple(
        (known.get(uuid, uuid), volume.host) for uuid in volume.used_by if uuid != vm.uuid
    )
    return tuple(dict.fromkeys(found + listed))


SHARED_POOLS = frozenset(
    {"netfs", "nfs", "rbd", "gluster", "iscsi", "iscsi-direct", "sheepdog", "vstorage"}
)
"""Kinds of pool whose content several hosts can reach at once (virStoragePoolType)."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Whether several hosts reach a path at once, and how that was judged; None: not known."""

    shared: bool | None
    proof: str


def sharing(host: Host, path: str) -> Sharing:
    """Judge a path of one host by its pool's kind, else by the filesystem it is mounted on."""
    pool = next((p for p in host.pools if _in_pool(p, path)), None)
    if pool is not None and pool.kind in SHARED_POOLS:
        return Sharing(True, f"pool {pool.name} of {host.name} is of kind {pool.kind}")
    if path.startswith("/dev/"):
        return Sharing(None, f"{path} is a device: other hosts may have the same one attached")
    found = host.load.filesystem_of(path) if host.load else None
    if host.load is None or found is None:
        return Sharing(None, f"what is mounted on {host.name} is not known")
    return Sharing(
        found in host.load.remote, f"{found.mount} of {host.name} is mounted as {found.kind}"
    )


def on_shared_storage(snapshot: FleetSnapshot, path: str) -> bool:
    """Whether any host says that ``path`` lies where several hosts reach it."""
    if any(d.shared and d.source == path for vm in snapshot.vms() for d in vm.disks):
        return True
    return any(sharing(host, path).shared for host in snapshot.hosts)


def deletion_check(host: Host, path: str) -> Check:
    """What deleting a path of a host could mean for hosts outside this fleet."""
    name, judged = f"reach of {path}", sharing(host, path)
    if judged.shared:
        text = "hosts outside this fleet may reach it, and they are not asked"
        return Check(name, Verdict.WARN, text, judged.proof, "keep it, if there are such hosts")
    if judged.shared is None:
        text = "whether other hosts reach it is not known"
        fix = "keep it, unless only this host does"
        return Check(name, Verdict.WARN, text, judged.proof, fix)
    return Check(name, Verdict.OK, f"only {host.name} reaches it", judged.proof)


def hosts_listing(snapshot: FleetSnapshot, path: str) -> frozenset[str]:
    """Hosts with a volume of that path: it may be the same file."""
    return frozenset(host.name for host in snapshot.hosts if volume_at(host.pools, path))


def _in_pool(pool: Pool, path: str) -> bool:
    folder = pool.path.rstrip("/")
    return bool(folder and path.startswith(f"{folder}/")) or bool(volume_at((pool,), path))


def users_words(found: tuple[tuple[str, str], ...]) -> str:
    """``db1 on kvm2, web3 on kvm1``."""
    return ", ".join(f"{name} on {host}" for name, host in found)


def volume_at(pools: Iterable[Pool], path: str) -> Volume | None:
    """The volume of that path in the pools as last read."""
    return next((v for pool in pools for v in pool.volumes if v.path == path), None)


def disk_size(pools: Iterable[Pool], disk: VmDisk) -> tuple[int | None, int | None]:
    """(capacity, allocation) in bytes of what is behind a disk, as far as known."""
    volume = volume_at(pools, disk.source)
    capacity = volume.capacity if volume and volume.capacity else disk.capacity
    allocation = volume.allocation if volume and volume.allocation else disk.allocation
    return capacity, allocation


def volume_name(disk: VmDisk) -> str:
    """The name of a disk's volume: what libvirt says, else the last part of its path."""
    return disk.volume or disk.source.rsplit("/", 1)[-1]


def free_name(pool: Pool, wanted: str) -> str:
    """``wanted``, or the first of ``stem-2.ext``, ``stem-3.ext``... that the pool does not hold."""
    taken = {volume.name for volume in pool.volumes}
    if wanted not in taken:
        return wanted
    stem, dot, ext = wanted.rpartition(".")
    if not stem:
        stem, dot, ext = wanted, "", ""
    number = 2
    while f"{stem}-{number}{dot}{ext}" in taken:
        number += 1
    return f"{stem}-{number}{dot}{ext}"


def path_in(pool: Pool, name: str) -> str:
    """Where a volume of that name would lie."""
    return f"{pool.path.rstrip('/')}/{name}"


FILE_POOLS = frozenset({"dir", "fs", "netfs"})
BLOCK_POOLS = frozenset({"logical", "disk", "zfs"})


def holds(pool: Pool, disk: VmDisk) -> bool:
    """Whether a pool of that kind can hold a disk of that kind without changing the definition."""
    if disk.kind == "file":
        return pool.kind in FILE_POOLS
    return disk.kind == "block" and pool.kind in BLOCK_POOLS
