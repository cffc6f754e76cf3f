"""Finding and ending the lab's own processes, and no others.

A process id alone may have been given to somebody else since; here a process is its id with its
start time (field 22 of /proc/PID/stat), and signals go through a pidfd checked against both.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator
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
    """The process that has this id now; None when there is none or it is a zombie.

    A killed one whose first thread has ended before the others still holds its files and locks.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    over = fields[0] in "ZX" and int(fields[17]) <= 1
    return None if over else Process(pid, int(fields[19]))


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


def probes_of(folder: str, among: Iterable[int]) -> tuple[Process, ...]:
    """QEMUs without a guest, whose monitor libvirt put into its own folder ``qmp-XXXXXX``."""
    monitor = f"unix:{folder}/qmp-".encode()
    return tuple(
        process
        for pid in among
        if any(word.startswith(monitor) for word in words_of(pid))
        and (process := read_process(pid)) is not None
    )


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


def marked(lab: Path) -> dict[str, str]:
    """This process's environment with the lab's mark, for commands that work on the lab."""
    return {**os.environ, MARK: str(lab)}


def belonging_to(folder: Path) -> tuple[Process, ...]:
    """Processes of the lab in ``folder``: marked in their environment, or libvirt's or sshd's.

    libvirt gives QEMU an environment of its own, whose HOME or XDG variables point into a host's
    folder. sshd overwrites its environment with its title: the listener's names its configuration
    file, and a session's process, which may run nothing at all, has the host's log open. What
    has another root folder is a container's, whose lab only has the same name.
    """
    return tuple(
        process
        for pid in every_pid()
        if pid != os.getpid()
        and _is_of_lab(pid, str(folder))
        and shares_root(pid)
        and (process := read_process(pid)) is not None
    )


def shares_root(pid: int) -> bool:
    """Whether a process sees the same files as this one; a container's does not."""
    try:
        return Path(f"/proc/{pid}/root").samefile("/")
    except OSError:
        return False


def environment_of(pid: int) -> frozenset[bytes]:
    """A process's environment as ``NAME=value``; empty when it is gone or may not be read."""
    try:
        return frozenset(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return frozenset()


def words_of(pid: int) -> list[bytes]:
    """A process's command line; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _is_of_lab(pid: int, folder: str) -> bool:
    environ = environment_of(pid)
    if f"{MARK}={folder}".encode() in environ:
        return True
    inside = re.compile(re.escape(f"{folder}/".encode()) + rb"kvm\d+/")
    if any(
        word.startswith((b"HOME=", b"XDG_")) and inside.match(word.partition(b"=")[2])
        for word in environ
    ):
        return True
    return program_of(pid).startswith("sshd") and (
        any(inside.match(word) for text in words_of(pid) for word in text.split())
        or any(inside.match(path) for path in _open_files(pid))
    )


def _open_files(pid: int) -> list[bytes]:
    """Paths of the files that a process has open (/proc/PID/fd)."""
    try:
        return [os.fsencode(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


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
