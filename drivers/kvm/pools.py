"""The pools' lane: each pool is asked in a thread of its own, for a dead NFS server hangs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from drivers.errors import DriverError
from drivers.kvm import rescan
from drivers.kvm.places import Places, index_places
from drivers.kvm.session import Session
from drivers.kvm.text import clean, parse_xml, whole
from drivers.kvm.translate import guarded
from drivers.lane import Lane
from drivers.model.host import HostLoad
from drivers.model.storage import Pool, Tier, Volume
from drivers.model.vm import Vm

_RUNNING = 2  # virStoragePoolState


def read_volume(text: str, pool: str, host: str) -> Volume | None:
    """Volume XML (virStorageVolGetXMLDesc) to a value; None when it is unreadable."""
    root = parse_xml(text)
    if root is None:
        return None
    form = root.find("target/format")
    return Volume(
        name=clean(root.findtext("name")),
        path=clean(root.findtext("target/path")) or clean(root.findtext("key")),
        pool=pool,
        host=host,
        format="raw" if form is None else clean(form.get("type")),
        capacity=max(0, whole(root.findtext("capacity"))),
        allocation=max(0, whole(root.findtext("allocation"))),
    )


def tier_of(name: str, tiers: Mapping[str, str]) -> Tier:
    """The tier the configuration gives a pool; NONE where it gives none."""
    try:
        return Tier(tiers.get(name, ""))
    except ValueError:
        return Tier.NONE


class PoolReader:
    """Reads the pools of one connection; a pool that hung stays out until its call returns.

    Args:
        session: The connection.
        clock: The console's clock.

    Attributes:
        places: Where disks lie, as of the last reading.
        load: The host's newest load, whose mounts tell which folders a file server holds.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = time.time) -> None:
        self._session = session
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self.places = Places()
        self.load: HostLoad | None = None

    def close(self) -> None:
        """End the lanes; hung calls are left to their daemon threads."""
        for lane in self._lanes.values():
            lane.close()

    async def read(self, vms: Iterable[Vm]) -> tuple[Pool, ...]:
        """All pools; ``vms`` tell who uses which path."""
        what = f"the pools of {self._session.spec.name} could not be listed"
        found = await self._session.call(self._list, what)
        for gone in self._lanes.keys() - {name for _, name in found}:
            self._lanes.pop(gone).close()
        users = _users(vms)
        # Side by side: one that hangs must not make the others wait for their turn.
        pools = tuple(await asyncio.gather(*(self._one(*pool, users) for pool in found)))
        self.places = index_places(pools, self.load)
        return pools

    async def rescan(self) -> None:
        """Refresh every pool that can be refreshed without harm, side by side.

        Raises:
            DriverError: The pools could not be listed.
        """
        what = f"the pools of {self._session.spec.name} could not be listed"
        found = await self._session.call(self._list, what)
        await asyncio.gather(*(self._rescan(*pool) for pool in found))

    async def _rescan(self, uuid: str, name: str) -> None:
        lane, session = self._lane(name), self._session
        what = f"pool {name} could not be refreshed"
        with contextlib.suppress(DriverError):  # the next reading tells how the pool is
            look = guarded(lambda: rescan.look(session.conn, uuid), what, session.lv)
            folder = await lane.run(session.calls.counted(look))
            if await rescan.answers(session, folder):
                work = guarded(lambda: rescan.refresh(session, uuid), what, session.lv)
                await lane.run(session.calls.counted(work))

    def _lane(self, name: str) -> Lane:
        spec = self._session.spec
        return self._lanes.setdefault(name, Lane(f"pool {name} of {spec.name}", spec.deadline_s))

    def _list(self) -> list[tuple[str, str]]:
        # Names, not handles: a handle that outlives its connection closes it where it is freed.
        pools = self._session.conn.listAllStoragePools()
        return [(pool.UUIDString(), clean(pool.name())) for pool in pools]

    async def _one(self, uuid: str, name: str, users: Mapping[str, tuple[str, ...]]) -> Pool:
        spec = self._session.spec
        lane = self._lane(name)
        what = f"pool {name} could not be read"
        try:
            ask = guarded(lambda: self._ask(uuid, users), what, self._session.lv)
            return await lane.run(self._session.calls.counted(ask))
        except DriverError as failure:
            tier = tier_of(name, spec.tiers)
            return Pool(name, spec.name, uuid, tier=tier, at=self._clock(), problem=failure.problem)

    def _ask(self, uuid: str, users: Mapping[str, tuple[str, ...]]) -> Pool:
        spec = self._session.spec
        handle = self._session.conn.storagePoolLookupByUUIDString(uuid)
        name = clean(handle.name())
        state, capacity, allocation, available = handle.info()
        root = parse_xml(handle.XMLDesc(0))
        active = state == _RUNNING
        volumes: list[Volume] = []
        if active:
            for volume in handle.listAllVolumes():
                read = self._volume(volume, name, users)
                if read is not None:
                    volumes.append(read)
        return Pool(
            name=name,
            host=spec.name,
            uuid=uuid,
            kind="dir" if root is None else clean(root.get("type")),
            tier=tier_of(name, spec.tiers),
            active=active,
            autostart=bool(handle.autostart()),
            path="" if root is None else clean(root.findtext("target/path")),
            capacity=capacity,
            allocation=allocation,
            available=available,
            volumes=tuple(volumes),
            at=self._clock(),
        )

    def _volume(
        self, handle: Any, pool: str, users: Mapping[str, tuple[str, ...]]
    ) -> Volume | None:
        try:
            text = handle.XMLDesc(0)
        except self._session.lv.libvirtError:  # deleted between the two calls
            return None
        read = read_volume(text, pool, self._session.spec.name)
        if read is None or read.path not in users:
            return read
        return Volume(
            read.name,
            read.path,
            read.pool,
            read.host,
            read.format,
            read.capacity,
            read.allocation,
            users[read.path],
        )


def _users(vms: Iterable[Vm]) -> dict[str, tuple[str, ...]]:
    users: dict[str, tuple[str, ...]] = {}
    for vm in vms:
        for disk in vm.disks:
            if disk.source:
                users[disk.source] = (*users.get(disk.source, ()), vm.uuid)
    return users
