"""What a lab has on this machine, found without the lab's own code."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path

from drivers.lab.plan import token_of

WATCHED = (
    "/etc/libvirt",
    "/etc/ssh",
    "/run/libvirt",
    "/run/netns",
    "/var/lib/libvirt",
    "/var/log/libvirt",
    "/var/cache/libvirt",
    "/root/.ssh",
)
"""Places where a real libvirtd, sshd or ``ip netns`` keep things: none of a lab's business."""


def traces(folder: Path) -> list[str]:
    """Every process that names the folder anywhere, every mount, and the lab's interface."""
    needle = str(folder).encode()
    mine = _ancestors()
    found = [
        f"{path.name} {(path / 'comm').read_text().strip()}"
        for path in Path("/proc").iterdir()
        if path.name.isdecimal() and int(path.name) not in mine and _names(path, needle)
    ]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [line for line in mounts if str(folder) in line]
    return found + [name for name in links() if token_of(folder) in name]


def links() -> set[str]:
    """Names of this machine's network interfaces."""
    shown = subprocess.run(["ip", "-j", "link"], capture_output=True, check=True).stdout
    return {link["ifname"] for link in json.loads(shown)}


def links_elsewhere() -> set[str]:
    """Those of no lab: other labs may come and go meanwhile."""
    return {name for name in links() if not re.fullmatch("nv[0-9a-f]{6}", name)}


def files_elsewhere() -> dict[str, int]:
    """Every file in the watched places with the time of its last change."""
    found = {}
    for place in WATCHED:
        for folder, _, names in os.walk(place):  # what may not be read is left out
            for path in (Path(folder, name) for name in names):
                with contextlib.suppress(OSError):
                    found[str(path)] = path.lstat().st_mtime_ns
    return found


def _names(process: Path, needle: bytes) -> bool:
    """Whether a process that is no zombie has the folder in its words, files or mounts."""
    try:
        if (process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] in "ZX":
            return False
        texts = [(process / name).read_bytes() for name in ("cmdline", "environ", "mountinfo")]
        texts += [os.fsencode(link.readlink()) for link in (process / "fd").iterdir()]
    except OSError:
        return False
    return any(needle in text for text in texts)


def _ancestors() -> set[int]:
    """This process and those that started it."""
    pid, found = os.getpid(), set()
    while pid > 0:
        found.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found
