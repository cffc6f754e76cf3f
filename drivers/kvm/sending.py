"""A volume's file from one host to another, through this console (virStorageVolDownload, Upload).

Needs no trust between the hosts. Holes are passed on as such, so that a sparse file stays sparse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event
from typing import Any

from drivers.errors import Cancelled, Gone, Refused
from drivers.kvm import volumes
from drivers.kvm.session import LONG_S, Session
from drivers.kvm.text import clean, parse_xml

_PIECE = 1 << 18
_HOLE = -3
_LOOK_S = 0.5
_LET_GO_S = 5.0


async def send(
    source: Session, peer: Session, path: str, there: str, progress: Callable[[int, int], None]
) -> None:
    """Copy ``path`` onto the new, empty volume ``there``; ``progress(done, total)`` in bytes.

    Cancelling ends both streams; what was written stays for the caller to delete.

    Raises:
        Gone: The volume is in no pool.
        Refused: It is built on another volume, which would stay behind.
    """
    what = f"{clean(path)} could not be sent to {peer.spec.name}"
    volume = await volumes.find(source, path)
    if volume is None:
        raise Gone(f"{clean(path)} is in no pool of {source.spec.name}")
    total = volume.allocation or volume.capacity
    pump = _Pump(source.lv, path, there)
    calls: list[asyncio.Future[None]] = []

    def hangs() -> bool:
        return not all(call.done() for call in calls)

    async with source.extra_with(peer, in_use=hangs) as (here, far):
        work = asyncio.ensure_future(
            source.call(lambda: pump.run(here, far), what, deadline_s=LONG_S)
        )
        calls.append(work)
        try:
            while not (await asyncio.wait({work}, timeout=_LOOK_S))[0]:
                progress(min(pump.sent, total), total)
        except asyncio.CancelledError:
            pump.stop.set()
            await asyncio.wait({work}, timeout=_LET_GO_S)
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        work.result()
    progress(total, total)


class _Pump:
    """Reads here and writes there, in one thread."""

    def __init__(self, lv: Any, path: str, there: str) -> None:
        self._lv = lv
        self._path = path
        self._there = there
        self.sent = 0
        self.stop = Event()

    def run(self, here: Any, far: Any) -> None:
        """Pass everything on; a daemon that knows no holes gets them as zeros."""
        lv = self._lv
        source, target = (
            here.storageVolLookupByPath(self._path),
            far.storageVolLookupByPath(self._there),
        )
        root = parse_xml(source.XMLDesc(0))
        if root is not None and (base := root.findtext("backingStore/path")):
            raise Refused(
                f"{clean(self._path)} is built on another volume, which would stay behind",
                f"its backing file is {clean(base)}",
                "merge it first (virsh blockpull, while the VM runs), or migrate the running VM",
            )
        try:
            self._pass(here, far, source, target, sparse=True)
        except lv.libvirtError as error:
            no_holes = (
                lv.VIR_ERR_NO_SUPPORT,
                lv.VIR_ERR_INVALID_ARG,
                lv.VIR_ERR_OPERATION_UNSUPPORTED,
            )
            if self.sent or error.get_error_code() not in no_holes:
                raise
            self._pass(here, far, source, target, sparse=False)

    def _pass(self, here: Any, far: Any, source: Any, target: Any, *, sparse: bool) -> None:
        lv = self._lv
        out, into = here.newStream(0), far.newStream(0)
        try:
            source.download(out, 0, 0, lv.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM * sparse)
            target.upload(into, 0, 0, lv.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM * sparse)
            self._pour(out, into, lv.VIR_STREAM_RECV_STOP_AT_HOLE * sparse)
            out.finish()
            into.finish()
        except BaseException:
            for stream in (out, into):
                _give_up(lv, stream)
            raise

    def _pour(self, out: Any, into: Any, flags: int) -> None:
        while not self.stop.is_set():
            data = out.recvFlags(_PIECE, flags)
            if data == _HOLE:
                into.sendHole(out.recvHole())
                continue
            if not data:
                return
            at = 0
            while at < len(data):
                at += into.send(data[at:])
            self.sent += len(data)
        raise Cancelled("the copy was given up")


def _give_up(lv: Any, stream: Any) -> None:
    try:
        stream.abort()
    except lv.libvirtError:
        return  # it never began, or has ended
