"""Live block copy: begin, follow, pivot and prove it, abort."""

from __future__ import annotations

import time
from typing import Any

from drivers.errors import Failed, Gone
from drivers.kvm.domxml import DiskDef, parse_domain
from drivers.kvm.editxml import copy_target
from drivers.kvm.session import Session
from drivers.kvm.text import clean
from drivers.protocol import BlockJob


class BlockJobs:
    """The block copies of one connection.

    Readiness comes from the READY event or the XML's ``<mirror ready='yes'>``: cur == end of
    virDomainGetBlockJobInfo may be true a moment too early.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ready: set[tuple[str, str]] = set()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def observe(self, change: str, uuid: str, disk: str) -> None:
        """Take a BLOCK_JOB_2 event."""
        if change == "block-ready":
            self._ready.add((uuid, disk))
        elif change.startswith("block-"):
            self._ready.discard((uuid, disk))
            self._seen.pop((uuid, disk), None)

    async def copy(
        self, uuid: str, name: str, disk: str, path: str, fmt: str, bandwidth_mib: int = 0
    ) -> None:
        """Begin copying onto an existing volume (virDomainBlockCopy), MiB/s capped unless 0."""
        session = self._session
        lv = session.lv
        params = {lv.VIR_DOMAIN_BLOCK_COPY_BANDWIDTH: bandwidth_mib << 20} if bandwidth_mib else {}
        self._ready.discard((uuid, disk))

        def begin() -> None:
            domain = session.conn.lookupByUUIDString(uuid)
            # TRANSIENT_JOB: a persistent domain may be copied; the job does not survive QEMU.
            flags = lv.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | lv.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
            domain.blockCopy(disk, copy_target(path, fmt), params, flags)

        await session.call(begin, f"copying {disk} of {name} could not begin")

    async def state(self, uuid: str, name: str, disk: str) -> BlockJob | None:
        """The disk's job; None when there is none (virDomainGetBlockJobInfo)."""
        session = self._session
        key = (uuid, disk)

        def ask() -> tuple[dict[str, int], bool]:
            domain = session.conn.lookupByUUIDString(uuid)
            told = domain.blockJobInfo(disk, 0)
            ready = key in self._ready
            if told and not ready and told.get("cur") == told.get("end"):
                ready = _disk(domain, disk, 0).mirror_ready
            return told or {}, ready

        told, ready = await session.call(ask, f"the copy of {disk} of {name} could not be read")
        if not told:
            return None
        done, total = int(told.get("cur", 0)), int(told.get("end", 0))
        return BlockJob(done, total, ready, self._rate(key, done))

    async def pivot(self, uuid: str, name: str, disk: str) -> None:
        """Switch to the copy, and prove it by reading both definitions again.

        Raises:
            Failed: After the pivot a definition does not point at the copy.
        """
        session = self._session
        lv = session.lv

        def switch() -> tuple[str, str, str]:
            domain = session.conn.lookupByUUIDString(uuid)
            path = _disk(domain, disk, 0).mirror
            if not path:
                raise Gone(f"{disk} of {name} has no copy under way", "its XML has no <mirror>")
            domain.blockJobAbort(disk, lv.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
            stored = path
            if domain.isPersistent():
                stored = _disk(domain, disk, lv.VIR_DOMAIN_XML_INACTIVE).source
            return path, _disk(domain, disk, 0).source, stored

        path, live, stored = await session.call(
            switch, f"{disk} of {name} could not switch to its copy"
        )
        for which, where in (("running", live), ("stored", stored)):
            if where != path:
                raise Failed(
                    f"the {which} definition of {name} does not point at the copy of {disk}",
                    f"it names {where}, the copy is {path}",
                    "keep both volumes and look at the domain's XML",
                )

    async def abort(self, uuid: str, name: str, disk: str) -> None:
        """Cancel the copy; the domain stays on its old disk (virDomainBlockJobAbort)."""
        session = self._session

        def cancel() -> None:
            session.conn.lookupByUUIDString(uuid).blockJobAbort(disk, 0)

        await session.call(cancel, f"the copy of {disk} of {name} could not be cancelled")

    def _rate(self, key: tuple[str, str], done: int) -> float | None:
        """Bytes a second since the last question; None at the first."""
        now = time.monotonic()
        before = self._seen.get(key)
        self._seen[key] = (now, done)
        if before is None or now <= before[0] or done < before[1]:
            return None
        return (done - before[1]) / (now - before[0])


def _disk(domain: Any, target: str, flags: int) -> DiskDef:
    for disk in parse_domain(domain.XMLDesc(flags)).disks:
        if disk.target == target:
            return disk
    raise Gone(f"{clean(domain.name())} has no disk {target}")
