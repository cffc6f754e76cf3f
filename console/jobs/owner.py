"""Whose job it is, and whether that console still lives.

An owner reads ``user@host:pid:start:machine:boot:space``. The machine and its boot are short
digests of what the kernel and systemd call them, the space is the process id's namespace. Owners
of older consoles end with ``start``; their machine is known by its host name alone.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MACHINE = 12
_BOOT = 8
"""Digits of the digests: enough to tell the machines and boots of one person apart."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a console runs.

    Attributes:
        host: Its name, which may change.
        machine: Digest of /etc/machine-id; empty where there is none.
        boot: Digest of the kernel's boot id; empty where it is not told.
        space: Inode of the namespace that process ids are counted in; empty where not told.
    """

    host: str
    machine: str = ""
    boot: str = ""
    space: str = ""


def this_place(root: Path = Path("/")) -> Place:
    """Where this process runs."""
    return Place(
        socket.gethostname(),
        _digest(root / "etc/machine-id", _MACHINE),
        _digest(root / "proc/sys/kernel/random/boot_id", _BOOT),
        _space(root / "proc/self/ns/pid"),
    )


def this_boot(root: Path = Path("/")) -> str:
    """The kernel's id of this boot, the same in all its namespaces; empty where it is not told."""
    with suppress(OSError):
        boot = root / "proc/sys/kernel/random/boot_id"
        return boot.read_text(encoding="ascii", errors="replace").strip()
    return ""


def this_owner(place: Place | None = None) -> str:
    """Who runs jobs here."""
    here = place or this_place()
    fields = _fields(Path("/proc/self/stat"))
    start = fields[19] if len(fields) > 19 else ""
    words = (here.host, str(os.getpid()), start, here.machine, here.boot, here.space)
    return f"{getpass.getuser()}@{':'.join(words)}"


def owner_place(owner: str) -> Place:
    """Where that owner runs or ran."""
    words = [*owner.rpartition("@")[2].split(":"), "", "", "", "", "", ""]
    return Place(words[0], words[3], words[4], words[5])


def owner_alive(owner: str, proc: Path = Path("/proc"), here: Place | None = None) -> bool | None:
    """Whether the console of that owner still runs.

    Returns:
        None when that cannot be told from here: it runs on another machine, or counts its
        processes in another namespace. Another boot of this machine has ended it. The start time
        (field 22 of /proc/PID/stat) tells a reused process id from the console itself.
    """
    here, there = here or this_place(), owner_place(owner)
    _, pid, start, *_ = [*owner.rpartition("@")[2].split(":"), "", ""]
    if not there.host or not (pid.isdecimal() and len(pid) < 10):
        return False
    if not _same_machine(here, there):
        return None
    if there.boot and here.boot and there.boot != here.boot:
        return False
    if there.space and here.space and there.space != here.space:
        return None
    if int(pid) == os.getpid() and not start:
        return True
    try:
        fields = _fields(proc / pid / "stat")
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return len(fields) > 19 and fields[0] != "Z" and (not start or fields[19] == start)


def _same_machine(here: Place, there: Place) -> bool:
    if here.machine and there.machine:
        return here.machine == there.machine
    return here.host == there.host


def _fields(stat: Path) -> list[str]:
    """What a process's stat file tells after its name, which may hold anything."""
    return stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()


def _digest(path: Path, digits: int) -> str:
    with suppress(OSError):
        if text := path.read_text(encoding="ascii", errors="replace").strip():
            return hashlib.sha256(f"novacron {text}".encode()).hexdigest()[:digits]
    return ""


def _space(path: Path) -> str:
    with suppress(OSError):
        return str(path.stat().st_ino)
    return ""
