"""Where a disk lies: which pool, volume and tier, and whether other hosts reach it too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from drivers.kvm.domxml import DiskDef
from drivers.model.host import HostLoad
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
    load: HostLoad | None = None

    def of(self, disk: DiskDef) -> Place:
        """The place of a disk, by volume, by path, or by the folder it lies in."""
        if disk.pool:
            found = self.by_name.get((disk.pool, disk.volume))
            if found is None:
                return Place(pool=disk.pool, volume=disk.volume)
            return self._place(*found)
        if not disk.source:
            return _NOWHERE
        found = self.by_path.get(disk.source)
        if found is not None:
            return self._place(*found)
        folder, _, name = disk.source.rpartition("/")
        pool = self.by_folder.get(folder)
        if pool is None:
            return Place(shared=True) if self._on_server(disk.source) else _NOWHERE
        return Place(pool.name, name, str(pool.tier), shared=self._shared(pool, disk.source))

    def _place(self, pool: Pool, volume: Volume) -> Place:
        return Place(
            pool.name,
            volume.name,
            str(pool.tier),
            volume.path,
            self._shared(pool, volume.path),
            volume.capacity,
            volume.allocation,
        )

    def _shared(self, pool: Pool, path: str) -> bool:
        """Whether other hosts reach it: by the pool's kind, or by what its folder is mounted on."""
        return pool.kind in SHARED_KINDS or self._on_server(path)

    def _on_server(self, path: str) -> bool:
        return self.load is not None and self.load.filesystem_of(path) in self.load.remote


def index_places(pools: Iterable[Pool], load: HostLoad | None = None) -> Places:
    """Index pools for ``Places.of``.

    Args:
        pools: All pools of a host.
        load: Tells which folders a file server holds; None where no fast lane told.
    """
    places = Places(load=load)
    for pool in pools:
        if pool.path and pool.active:
            places.by_folder.setdefault(pool.path.rstrip("/"), pool)
        for volume in pool.volumes:
            places.by_path.setdefault(volume.path, (pool, volume))
            places.by_name[pool.name, volume.name] = (pool, volume)
    return places
