"""The content of a volume as one number, read where it lies if that is possible.

In order: on the host through SSH (``sha256sum`` for raw, else ``python3 -c``), as a file of this
machine, or streamed out by libvirt (virStorageVolDownload).
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from drivers.errors import DriverError, Gone, Unsupported
from drivers.kvm import imagehash, volumes
from drivers.kvm.session import LONG_S, Session
from drivers.kvm.text import clean
from drivers.model.storage import Volume

_HEX = re.compile(r"[0-9a-f]{64}")


async def checksum(session: Session, path: str) -> str:
    """Hex SHA-256 of what a guest reads from the volume.

    Raises:
        Gone: No pool has this path.
        Unsupported: The image's shape is not read here, or nothing may read it.
    """
    volume = await volumes.find(session, path)
    if volume is None:
        raise Gone(f"{clean(path)} is in no pool of {session.spec.name}")
    try:
        if session.ssh is not None:
            found = await _over_ssh(session, path, volume.format)
            if found:
                return found
        elif session.local and await asyncio.to_thread(_readable, path):
            return await session.call(
                lambda: imagehash.digest_file(path, volume.format),
                f"{clean(path)} could not be read",
                deadline_s=LONG_S,
            )
        return await _streamed(session, volume)
    except imagehash.NotReadableError as problem:
        raise Unsupported(f"{clean(path)} cannot be verified", str(problem)) from None


def _readable(path: str) -> bool:
    try:
        with Path(path).open("rb"):
            return True
    except OSError:
        return False


async def _over_ssh(session: Session, path: str, fmt: str) -> str:
    """The digest the host worked out; empty where it could not."""
    if session.ssh is None:
        return ""
    tries: list[tuple[str, ...]] = []
    if fmt in ("raw", ""):
        tries.append(("sha256sum", "--", path))
    script = await asyncio.to_thread(Path(imagehash.__file__).read_text)
    tries.append(("python3", "-c", script, path, fmt or "raw"))
    for argv in tries:
        try:
            done = await session.ssh.run(argv, timeout=LONG_S)
        except DriverError:
            continue
        found = _HEX.search(done.stdout.decode(errors="replace"))
        if done.status == 0 and found:
            return found.group()
    return ""


async def _streamed(session: Session, volume: Volume) -> str:
    what = f"{clean(volume.path)} could not be read"
    async with session.extra() as conn:
        return await session.call(lambda: _download(conn, volume), what, deadline_s=LONG_S)


def _download(conn: Any, volume: Volume) -> str:
    handle = conn.storageVolLookupByPath(volume.path)
    size = volume.capacity if volume.format in ("raw", "") else 1 << 62

    def read(offset: int, length: int) -> bytes:
        stream = conn.newStream(0)
        handle.download(stream, offset, length, 0)
        parts: list[bytes] = []
        while data := stream.recv(1 << 18):
            parts.append(data)
        stream.finish()
        return b"".join(parts)

    return imagehash.digest(read, size, volume.format)
