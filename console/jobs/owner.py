"""Whose job it is, and whether that console still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def owner_alive(owner: str, proc: Path = Path("/proc")) -> bool | None:
    """Whether the console ``user@host:pid:start`` still runs.

    Returns:
        None when it runs on another machine, which cannot be asked from here. The start time
        (field 22 of /proc/PID/stat) tells a reused process id from the console itself.
    """
    place, _, rest = owner.rpartition("@")[2].partition(":")
    pid, _, start = rest.partition(":")
    if not place or not pid.isdigit():
        return False
    if place != socket.gethostname():
        return None
    if int(pid) == os.getpid() and not start:
        return True
    try:
        stat = (proc / pid / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    fields = stat.rpartition(")")[2].split()
    return len(fields) > 19 and fields[0] != "Z" and (not start or fields[19] == start)
