"""Where a disk lies: which pool, volume and tier, and whether other hosts reach it too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from drivers.kvm.domxml import DiskDef
from drivers.model.storage import Pool, Volume

# Kinds of pool whose content several hosts can reach at once (virStoragePoolType).
SHARED_KINDS = frozenset(
    {"netfs", "rbd", "gluster", "iscsi", "iscsi-direct", "sheepdog", "vstorage", "nfs"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """What the pools say of one disk; empty where no pool holds it."""

    pool: str = ""
    volume: str = ""
    tier: str = ""
    path: str = ""
    shared: bool = False
    capacity: int | None = None
    allocation: int | None = None


_NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Places:
    """The pools of a host as an index from paths and volume names."""

    by_path: dict[str, tuple[Pool, Volume]] = field(default_factory=dict)
    by_name: dict[tuple[str, str], tuple[Pool, Volume]] = field(default_factory=dict)
    by_folder: dict[str, Pool] = field(default_factory=dict)

    def of(self, disk: DiskDef) -> Place:
        """The place of a disk, by volume, by path, or by the folder it lies in."""
        if disk.pool:
            found = self.by_name.get((disk.pool, disk.volume))
            if found is None:
                return Place(pool=disk.pool, volume=disk.volume)
            return _place(*found)
        if not disk.source:
            return _NOWHERE
        found = self.by_path.get(disk.source)
        if found is not None:
            return _place(*found)
        folder, _, name = disk.source.rpartition("/")
        pool = self.by_folder.get(folder)
        if pool is None:
            return _NOWHERE
        return Place(pool.name, name, str(pool.tier), shared=pool.kind in SHARED_KINDS)


def index_places(pools: Iterable[Pool]) -> Places:
    """Index pools for ``Places.of``."""
    places = Places()
    for pool in pools:
        if pool.path and pool.active:
            places.by_folder.setdefault(pool.path.rstrip("/"), pool)
        for volume in pool.volumes:
            places.by_path.setdefault(volume.path, (pool, volume))
            places.by_name[pool.name, volume.name] = (pool, volume)
    return places


def _place(pool: Pool, volume: Volume) -> Place:
    return Place(
        pool.name,
        volume.name,
        str(pool.tier),
        volume.path,
        pool.kind in SHARED_KINDS,
        volume.capacity,
        volume.allocation,
    )
