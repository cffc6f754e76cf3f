"""Storage volumes: create, copy into another pool, delete, find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from drivers.errors import DriverError, Failed, Gone, Refused
from drivers.kvm.domxml import disk_source, parse_domain
from drivers.kvm.pools import read_volume
from drivers.kvm.session import LONG_S, Session
from drivers.kvm.text import clean, parse_xml
from drivers.model.storage import Volume

# Pools of devices hold no image files: their volumes have no format to choose.
_DEVICE_POOLS = frozenset(
    {"logical", "disk", "rbd", "iscsi", "iscsi-direct", "scsi", "mpath", "zfs"}
)
_POLL_S = 0.5


def volume_xml(
    name: str, capacity: int, fmt: str, *, device_pool: bool = False, base: Volume | None = None
) -> str:
    """XML of a new sparse volume, on top of ``base`` if there is one; ``capacity`` in bytes."""
    form = "" if device_pool or not fmt else f"<target><format type={quoteattr(fmt)}/></target>"
    return (
        f"<volume><name>{escape(name)}</name><capacity unit='bytes'>{capacity}</capacity>"
        f"<allocation unit='bytes'>0</allocation>{form}{_backing(base)}</volume>"
    )


def _backing(base: Volume | None) -> str:
    if base is None:
        return ""
    form = f"<format type={quoteattr(base.format or 'raw')}/>"
    return f"<backingStore><path>{escape(base.path)}</path>{form}</backingStore>"


async def create(
    session: Session, pool: str, name: str, capacity: int, fmt: str, backing: str = ""
) -> Volume:
    """A new empty volume (virStorageVolCreateXML).

    Raises:
        Gone: The volume it is to lie on is not there.
    """
    base = await find(session, backing) if backing else None
    if backing and base is None:
        raise Gone(f"{clean(backing)} is in no pool of {session.spec.name}")

    def make() -> Volume:
        target = session.conn.storagePoolLookupByName(pool)
        text = volume_xml(name, capacity, fmt, device_pool=_devices(target), base=base)
        return _told(target.createXML(text, 0), pool, session)

    what = f"volume {clean(name)} could not be created in {clean(pool)}"
    return await session.call(make, what)


async def find(session: Session, path: str) -> Volume | None:
    """The volume of that path, or None (virStorageVolLookupByPath)."""
    lv = session.lv

    def look() -> Volume | None:
        try:
            handle = session.conn.storageVolLookupByPath(path)
            pool = handle.storagePoolLookupByVolume().name()
        except lv.libvirtError as error:
            if error.get_error_code() in (lv.VIR_ERR_NO_STORAGE_VOL, lv.VIR_ERR_NO_STORAGE_POOL):
                return None
            raise
        return _told(handle, clean(pool), session)

    return await session.call(look, f"{clean(path)} could not be looked up")


async def delete(session: Session, path: str) -> None:
    """Delete a volume, unless a domain or an overlay of the host needs it (virStorageVolDelete).

    Every pool is asked for what it holds, which hangs where one lies on a dead server: that is
    done over a connection of its own, so that it takes no turn of what reads the host.

    Raises:
        Gone: No pool has it.
        Refused: A domain's live or stored definition needs it, or it backs another volume.
        TimedOut: Some pool did not tell whether it holds an overlay; nothing was deleted.
    """
    what = f"{clean(path)} was not deleted: what is built on it could not be read"
    async with session.extra() as conn:
        overlay = await session.call(lambda: _overlay_of(conn, session.lv, path), what)
    if overlay:
        raise Refused(
            f"{clean(path)} was not deleted: {clean(overlay)} is built on it",
            f"the backing file of {clean(overlay)} is this path",
            "merge or remove what is built on it first",
        )

    def remove() -> None:
        handle = session.conn.storageVolLookupByPath(path)
        pool = handle.storagePoolLookupByVolume().name()
        user = _user_of(session, {path, f"{clean(pool)}/{clean(handle.name())}"})
        if user:
            raise Refused(
                f"{clean(path)} was not deleted: {user} uses it",
                f"{user} names it, or a disk of {user} is built on it",
                "move or remove that disk first",
            )
        handle.delete(0)

    await session.call(remove, f"{clean(path)} could not be deleted")


async def clone(
    session: Session, path: str, pool: str, name: str, progress: Callable[[int, int], None]
) -> Volume:
    """Copy a volume into another pool on the host itself (virStorageVolCreateXMLFrom).

    libvirt has no progress and no abort here: the growing target is measured from another
    connection, and a copy nobody waits for any more is deleted once it ends.
    """
    what = f"{clean(path)} could not be copied to {clean(pool)}"
    given_up: list[bool] = []

    def copy(conn: Any) -> Volume:
        source = conn.storageVolLookupByPath(path)
        target = conn.storagePoolLookupByName(pool)
        told = _told(source, "", session)
        text = volume_xml(name, told.capacity, told.format, device_pool=_devices(target))
        made = target.createXMLFrom(text, source, 0)
        if given_up:
            made.delete(0)
            raise Failed(f"{what}: nobody waited for it, and it was removed")
        return _told(made, pool, session)

    async with session.extra() as conn:
        total = await _size(session, path)
        work = asyncio.ensure_future(session.call(lambda: copy(conn), what, deadline_s=LONG_S))
        try:
            while not (await asyncio.wait({work}, timeout=_POLL_S))[0]:
                done = await _grown(session, pool, name)
                if done is not None:
                    progress(min(done, total), total)
        except asyncio.CancelledError:
            given_up.append(True)
            raise
        made = work.result()
    progress(total, total)
    return made


async def _size(session: Session, path: str) -> int:
    found = await find(session, path)
    if found is None:
        raise Failed(f"{clean(path)} is not in any pool", fix="refresh the pool on the host")
    return found.allocation or found.capacity


async def _grown(session: Session, pool: str, name: str) -> int | None:
    def measure() -> int:
        volume = session.conn.storagePoolLookupByName(pool).storageVolLookupByName(name)
        return int(volume.info()[2])

    try:
        return await session.call(measure, "the copy could not be measured")
    except DriverError:  # not there yet
        return None


def _told(handle: Any, pool: str, session: Session) -> Volume:
    text = handle.XMLDesc(0)
    read = read_volume(text, pool, session.spec.name)
    if read is None:
        raise Failed(f"volume {clean(handle.name())} has unreadable XML")
    return replace(read, written=last_written(text))


def last_written(text: str) -> str:
    """When the file behind volume XML was last written to; empty for what is no file."""
    root = parse_xml(text)
    if root is None or root.get("type") != "file":
        return ""
    return clean(root.findtext("target/timestamps/mtime"))


def _devices(pool: Any) -> bool:
    root = parse_xml(pool.XMLDesc(0))
    return root is not None and root.get("type") in _DEVICE_POOLS


def _user_of(session: Session, names: Set[str]) -> str:
    """The name of a domain that needs what has one of these names; empty when none does.

    Args:
        names: Its path, and its pool and volume as a domain may name them instead.
    """
    lv = session.lv
    for domain in session.conn.listAllDomains():
        for flags in (0, lv.VIR_DOMAIN_XML_INACTIVE):
            try:
                text = domain.XMLDesc(flags)
            except lv.libvirtError:  # it went between the two calls
                continue
            if not names.isdisjoint(_needed(text)):
                return clean(domain.name())
    return ""


def _needed(text: str) -> Iterator[str]:
    """What a domain's disks lie on, their mirrors and all that libvirt knows below them."""
    for disk in parse_domain(text).disks:
        yield from (disk.source, disk.mirror)
    root = parse_xml(text)
    for below in root.iterfind("devices/disk//backingStore") if root is not None else ():
        yield disk_source(below.find("source"), clean(below.get("type")) or "file")


def _overlay_of(conn: Any, lv: Any, path: str) -> str:
    """The path of a volume in any active pool that has ``path`` as its backing file."""
    conn.storageVolLookupByPath(path)  # what is not there needs no search
    for pool in conn.listAllStoragePools(lv.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        for volume in pool.listAllVolumes():
            try:
                root = parse_xml(volume.XMLDesc(0))
            except lv.libvirtError:  # it went between the two calls
                continue
            if root is not None and root.findtext("backingStore/path") == path:
                return str(volume.path())
    return ""
