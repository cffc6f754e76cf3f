"""Looking for volumes that were made outside libvirt (virStoragePoolRefresh), with care.

libvirt stops a pool whose refresh fails, and forgets it if it is transient. So a pool is refreshed
only when somebody asks, only if it is a persistent, active folder, and only once that folder has
been seen to answer; one that libvirt stopped all the same is started again at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from drivers.errors import DriverError
from drivers.kvm.session import Session
from drivers.kvm.text import clean, parse_xml

# Seconds that a folder may take to show that it is there: a dead NFS server takes for ever.
PROOF_S = 2.0
# Looks at the folder and, where the login may list it, at every file in it.
_PROOF = '[ -d "$1" ] && { [ ! -r "$1" ] || ls -lA -- "$1" >/dev/null 2>&1; }'


def look(conn: Any, uuid: str) -> str:
    """The folder of a pool that may be refreshed; empty where it may not."""
    handle = conn.storagePoolLookupByUUIDString(uuid)
    root = parse_xml(handle.XMLDesc(0))
    if root is None or root.get("type") != "dir":
        return ""
    if not handle.isActive() or not handle.isPersistent():
        return ""
    return clean(root.findtext("target/path"))


def refresh(session: Session, uuid: str) -> None:
    """Refresh a pool; called in its lane.

    Raises:
        libvirtError: What libvirt said; the pool is active again where that was possible.
    """
    handle = session.conn.storagePoolLookupByUUIDString(uuid)
    try:
        handle.refresh(0)
    except session.lv.libvirtError:
        if not handle.isActive():
            handle.create(0)
        raise


async def answers(session: Session, folder: str) -> bool:
    """Whether the folder is there and answers on the host right now."""
    if not folder.startswith("/"):
        return False
    try:
        if session.ssh is not None:
            argv = ("sh", "-c", _PROOF, "sh", folder)
            return (await session.ssh.run(argv, timeout=PROOF_S)).status == 0
        if session.local and session.uri.driver != "test":
            what = f"{folder} does not answer"
            return await session.call(_here(folder), what, deadline_s=PROOF_S)
    except DriverError:
        return False
    return False


def _here(folder: str) -> Callable[[], bool]:
    def listed() -> bool:
        try:
            with os.scandir(folder) as entries:
                return all(entry.stat(follow_symlinks=False) for entry in entries)
        except PermissionError:  # this login may not list it, but it answered
            return True
        except OSError:
            return False

    return listed
