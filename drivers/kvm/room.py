"""Whether a copy had room where it was to go, measured after a failure and before any clean-up.

A daemon's own figures of a pool are as old as its last refresh, so the filesystem itself is asked.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.errors import DriverError
from drivers.kvm import volumes
from drivers.kvm.domxml import DomainDef
from drivers.kvm.session import Session
from drivers.kvm.text import clean
from drivers.protocol import MigrationSpec

# Pools whose volumes are files: only there the folder's filesystem tells what is free.
_FILES = frozenset({"dir", "fs", "netfs"})
# Blocks, used, free, share and mount point of a line of ``df -Pk``; a size of zero has no share.
_DF = re.compile(r"\s\d+\s+\d+\s+(\d+)\s+(?:\d+%|-)\s+/")


@dataclass(frozen=True, slots=True)
class Copy:
    """A disk to be copied: bytes it needs there, and whether libvirt makes the file itself."""

    path: str
    capacity: int
    allocation: int
    format: str
    made: bool


async def shortage(
    source: Session, peer: Session, uuid: str, definition: DomainDef, spec: MigrationSpec
) -> str:
    """What the copies still need and the destination does not have; empty where they fit.

    Empty as well where it could not be measured: nothing is claimed without figures.
    """
    try:
        copies = await _copies(source, uuid, definition, spec)
        needs: defaultdict[str, int] = defaultdict(int)
        for copy in copies:
            folder = copy.path.rpartition("/")[0]
            needs[folder] += await _left(peer, copy)
        for folder, need in needs.items():
            free = await free_bytes(peer, folder)
            if free is not None and need > free:
                return f"{_mib(need)} needed in {clean(folder)}, {_mib(free)} free"
    except DriverError:  # a destination that does not answer proves nothing about its space
        return ""
    return ""


async def free_bytes(session: Session, folder: str) -> int | None:
    """Bytes that a file in a pool's folder may still take; None where nothing can tell.

    Raises:
        DriverError: The host did not answer.
    """

    def look() -> tuple[str, int]:
        pool = session.conn.storagePoolLookupByTargetPath(folder)
        return str(pool.XMLDesc(0)).partition("type='")[2].partition("'")[0], int(pool.info()[3])

    what = f"the free space of {clean(folder)} could not be read"
    kind, available = await session.call(look, what)
    if kind not in _FILES:
        return available
    if session.ssh is not None:
        done = await session.ssh.run(("df", "-Pk", folder), timeout=session.spec.deadline_s)
        return parse_df(done.stdout.decode(errors="replace")) if done.status == 0 else None
    return await session.call(lambda: _here(folder), what) if session.local else None


def parse_df(text: str) -> int | None:
    """Free bytes from the output of ``df -Pk FOLDER``; None when it is something else."""
    found = _DF.search(text)
    return int(found.group(1)) << 10 if found else None


def _here(folder: str) -> int | None:
    try:
        told = os.statvfs(folder)
    except OSError:
        return None
    return told.f_bavail * told.f_frsize


async def _copies(
    source: Session, uuid: str, definition: DomainDef, spec: MigrationSpec
) -> list[Copy]:
    wanted = [disk for disk in definition.disks if disk.target in spec.copy_disks]

    def sizes() -> Mapping[str, Any]:
        domain = source.conn.lookupByUUIDString(uuid)
        return {disk.target: domain.blockInfo(disk.target) for disk in wanted}

    told = await source.call(sizes, "the sizes of the disks could not be read")
    return [
        Copy(
            path,
            told[disk.target][0],
            told[disk.target][1],
            disk.format,
            disk.target not in spec.dest_paths,
        )
        for disk in wanted
        if (path := spec.dest_paths.get(disk.target, disk.source)).startswith("/")
    ]


async def _left(peer: Session, copy: Copy) -> int:
    """Bytes that the copy had still to take: a raw file that libvirt makes is taken whole."""
    need = copy.capacity if copy.made and copy.format == "raw" else copy.allocation
    there = await volumes.find(peer, copy.path)
    return max(0, need - (there.allocation if there is not None else 0))


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
