"""Counters of QEMU processes, parsed from the text of their /proc files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from drivers.ssh.words import is_count

_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_DOMAIN_ID = re.compile(r"/domain-([0-9]{1,9})-")
_CMDLINE = re.compile(r"^/proc/([0-9]{1,9})/cmdline$")
_COMM = re.compile(r"^/proc/([0-9]{1,9})/task/([0-9]{1,9})/comm$")
# QEMU names its vCPU threads so where libvirt asked for debug-threads=on, as it does.
_VCPU = re.compile(r"^(?:CPU \d+|ALL CPUs)/(\w+)")


@dataclass(frozen=True, slots=True)
class Qemu:
    """One QEMU process as a scan found it.

    Attributes:
        domain_id: libvirt's ID in its paths, -1 when there is none.
        vcpu_threads: Thread IDs that run vCPUs; empty where threads carry no names.
        accel: ``KVM``, ``TCG`` or empty.
        threads: Number of all its threads.
    """

    pid: int
    uuid: str
    domain_id: int = -1
    vcpu_threads: tuple[int, ...] = ()
    accel: str = ""
    threads: int = 0


@dataclass(frozen=True, slots=True)
class VmCount:
    """One reading of a QEMU process.

    Attributes:
        started: Start time in ticks since boot: with the PID it names the process for good.
        cpu_s: Seconds its vCPU threads ran (all threads where those are not known).
        cpu_all: True where ``cpu_s`` covers the whole process.
        delay_s: Seconds its runnable vCPU threads waited; None where the kernel does not count.
        rss_pages: Resident pages.
        read_bytes: Bytes read from storage, None where /proc/PID/io may not be read.
        write_bytes: Bytes written likewise.
        threads: Number of all its threads.
    """

    pid: int
    started: int
    cpu_s: float | None
    cpu_all: bool
    delay_s: float | None
    rss_pages: int
    read_bytes: int | None
    write_bytes: int | None
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields used of /proc/PID/stat (proc(5)), times in ticks."""

    utime: int
    stime: int
    threads: int
    started: int
    rss_pages: int


@dataclass(slots=True)
class _Found:
    arguments: list[str]
    threads: dict[int, str] = field(default_factory=dict)


def parse_scan(files: Mapping[str, str]) -> dict[str, Qemu]:
    """UUID to QEMU process; what only looks like one (another ``-uuid``) is left out.

    Args:
        files: Path to text; command lines have their NULs replaced by U+001F.
    """
    found: dict[int, _Found] = {}
    for path, text in files.items():
        if match := _CMDLINE.match(path):
            found[int(match[1])] = _Found(text.rstrip("\n").split("\x1f"))
    for path, text in files.items():
        if (match := _COMM.match(path)) and int(match[1]) in found:
            found[int(match[1])].threads[int(match[2])] = text.strip()
    processes = (_qemu(pid, process) for pid, process in sorted(found.items()))
    return {process.uuid: process for process in processes if process is not None}


def _qemu(pid: int, process: _Found) -> Qemu | None:
    uuid = argument(process.arguments, "-uuid").lower()
    if not _UUID.match(uuid):
        return None
    identity = next((m for a in process.arguments if (m := _DOMAIN_ID.search(a))), None)
    vcpus = {tid: m[1] for tid, name in process.threads.items() if (m := _VCPU.match(name))}
    accel = next(iter(vcpus.values()), "")
    domain_id = int(identity[1]) if identity else -1
    return Qemu(pid, uuid, domain_id, tuple(sorted(vcpus)), accel, len(process.threads))


def argument(arguments: list[str], name: str) -> str:
    """The word after ``name`` (``-uuid`` or ``--uuid``) on a command line, or empty."""
    for word, value in pairwise(arguments):
        if word in (name, "-" + name):
            return value
    return ""


def watched(process: Qemu, *, schedstat: bool | None) -> tuple[str, ...]:
    """Files to read for one process each tick.

    Args:
        process: The process.
        schedstat: Whether this kernel counts there; None while that is not known.
    """
    base = f"/proc/{process.pid}"
    paths = [f"{base}/stat", f"{base}/io"]
    for thread in process.vcpu_threads:
        if schedstat is not False:
            paths.append(f"{base}/task/{thread}/schedstat")
        if schedstat is not True:
            paths.append(f"{base}/task/{thread}/stat")
    return tuple(paths)


def parse_stat(text: str) -> Stat | None:
    """One /proc/PID/stat; the name in it may hold spaces and parentheses."""
    words = text[text.rfind(")") + 1 :].split()
    used = [words[at] for at in (11, 12, 17, 19, 21) if at < len(words) and is_count(words[at])]
    return Stat(*map(int, used)) if len(used) == 5 else None


def parse_schedstat(text: str) -> tuple[float, float] | None:
    """(seconds run, seconds waited); None where the kernel keeps no such account (zeros)."""
    words = text.split()
    if len(words) < 2 or not (is_count(words[0]) and is_count(words[1])):
        return None
    ran, waited = int(words[0]), int(words[1])
    return (ran / 1e9, waited / 1e9) if ran or waited else None


def parse_io(text: str) -> tuple[int, int] | None:
    """(read_bytes, write_bytes) of /proc/PID/io: what reached storage."""
    values: dict[str, int] = {}
    for line in text.splitlines():
        name, _, number = line.partition(":")
        if is_count(number.strip()):
            values[name] = int(number)
    if "read_bytes" not in values or "write_bytes" not in values:
        return None
    return values["read_bytes"], values["write_bytes"]


def parse_vm(files: Mapping[str, str], process: Qemu, hz: int) -> VmCount | None:
    """One reading of a process; None when it is gone.

    Args:
        files: Path to text.
        process: What the last scan knew of it.
        hz: Ticks a second.
    """
    base = f"/proc/{process.pid}"
    stat = parse_stat(files.get(f"{base}/stat", ""))
    if stat is None:
        return None
    io = parse_io(files.get(f"{base}/io", ""))
    threads = [f"{base}/task/{tid}" for tid in process.vcpu_threads]
    counts = [parse_schedstat(files.get(f"{t}/schedstat", "")) for t in threads]
    known = [count for count in counts if count is not None]
    cpu_s: float | None
    if known:
        cpu_s = sum(ran for ran, _ in known)
    elif threads:
        cpu_s = _ticks(files.get(f"{t}/stat", "") for t in threads)
        cpu_s = cpu_s / hz if cpu_s is not None else None
    else:
        cpu_s = (stat.utime + stat.stime) / hz
    return VmCount(
        process.pid,
        stat.started,
        cpu_s,
        not threads,
        sum(waited for _, waited in known) if known else None,
        stat.rss_pages,
        io[0] if io else None,
        io[1] if io else None,
        stat.threads,
    )


def _ticks(texts: Iterable[str]) -> float | None:
    """Ticks that the threads ran; None when none of them can be read."""
    stats = [stat for text in texts if (stat := parse_stat(text)) is not None]
    return float(sum(stat.utime + stat.stime for stat in stats)) if stats else None
