"""Finding and ending the lab's own processes, and no others.

A process id alone may have been given to somebody else since; here a process is its id with its
start time (field 22 of /proc/PID/stat), and signals go through a pidfd checked against both.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "NOVACRON_LAB"
"""Environment variable that the lab's processes carry; its value is the lab's folder."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process, told apart from later ones with the same id by its start time in ticks."""

    pid: int
    start: int


def read_process(pid: int) -> Process | None:
    """The process that has this id now; None when there is none or it is a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Process(pid, int(fields[19]))


def is_alive(process: Process) -> bool:
    """Whether exactly this process still runs."""
    return read_process(process.pid) == process


def send(process: Process, number: int) -> bool:
    """Signal exactly this process; False when it is gone already."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if not is_alive(process):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def from_pidfile(path: Path, program: str) -> Process | None:
    """The running process that a pidfile names, when it is really that program."""
    try:
        pid = int(path.read_text().strip())
    except (OSError, ValueError):
        return None
    return read_process(pid) if program_of(pid).startswith(program) else None


def program_of(pid: int) -> str:
    """The short name of a process (/proc/PID/comm); empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def every_pid() -> Iterator[int]:
    """Ids of all processes that can be seen."""
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            yield int(path.name)


def children(pid: int) -> tuple[int, ...]:
    """Ids of a process's children."""
    found = []
    for other in every_pid():
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{other}/stat").read_text("utf-8", "replace")
            if int(text.rpartition(")")[2].split()[1]) == pid:
                found.append(other)
    return tuple(found)


def belonging_to(folder: Path) -> tuple[Process, ...]:
    """Processes of the lab in ``folder``: marked in their environment, or QEMU or sshd out of it.

    QEMU gets a clean environment from libvirt, whose XDG variables point into the lab. sshd
    overwrites its environment with its title: the listener's names its configuration file, and
    a session's process, which may run nothing at all, has the lab's log open.
    """
    mark = f"{MARK}={folder}".encode()
    inside = f"{folder}/".encode()
    found = []
    for pid in every_pid():
        if pid == os.getpid():
            continue
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        program = program_of(pid)
        ours = mark in environ
        if program.startswith("qemu"):
            ours = ours or any(
                word.startswith(b"XDG_") and word.partition(b"=")[2].startswith(inside)
                for word in environ
            )
        elif program.startswith("sshd"):
            ours = ours or b" " + inside in command or b"\0" + inside in command
            ours = ours or _holds_open(pid, f"{folder}/")
        process = read_process(pid)
        if ours and process is not None:
            found.append(process)
    return tuple(found)


def _holds_open(pid: int, prefix: str) -> bool:
    """Whether a process has a file open whose path begins so (/proc/PID/fd)."""
    try:
        return any(
            str(link.readlink()).startswith(prefix) for link in Path(f"/proc/{pid}/fd").iterdir()
        )
    except OSError:
        return False


def end_all(find: Callable[[], tuple[Process, ...]], deadline_s: float = 20.0) -> bool:
    """Kill whatever ``find`` finds until it finds nothing; False when some outlive the deadline.

    Nothing must be found twice in a row: in the middle of an exec a process has no environment
    to be known by.
    """
    until = time.monotonic() + deadline_s
    empty = 0
    while empty < 2:
        left = find()
        empty = 0 if left else empty + 1
        for process in left:
            send(process, signal.SIGKILL)
        if time.monotonic() > until:
            return False
        if empty < 2:
            time.sleep(0.03)
    return True


def wait_until(ready: Callable[[], bool], deadline_s: float, pause_s: float = 0.05) -> bool:
    """Wait for a condition; False when it does not come true in time."""
    until = time.monotonic() + deadline_s
    while not ready():
        if time.monotonic() > until:
            return False
        time.sleep(pause_s)
    return True
