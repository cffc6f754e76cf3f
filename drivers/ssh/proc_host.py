"""Counters of a host, parsed from the text of its /proc files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from drivers.model.host import Filesystem, Psi
from drivers.model.problem import Missing
from drivers.ssh.words import finite, is_count

IO_ACCOUNT = "/proc/self/io"
HOST_FILES = (
    "/proc/stat",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/diskstats",
    "/proc/net/dev",
    "/proc/uptime",
    "/proc/pressure/cpu",
    "/proc/pressure/memory",
    "/proc/pressure/io",
    # The reader's own: tells a kernel without I/O accounting from missing rights.
    IO_ACCOUNT,
)
_KIB = 1024
_SECTOR = 512  # /proc/diskstats counts in 512-byte sectors whatever the device's own size
# Whole devices only: partitions and what is stacked on them would count the same bytes twice.
_WHOLE = re.compile(r"^(?:[shv]d[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+|nbd\d+|pmem\d+|dasd[a-z]+)$")
_STACKED = re.compile(r"^(?:dm-\d+|md\d+)$")
# Filesystems on this host's own disks; asking a dead network filesystem would hang the reader.
_NATIVE = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs")
LOCAL_KINDS = frozenset((*_NATIVE, "vfat", "exfat", "ntfs3", "overlay"))
# Filesystems that several hosts reach at once: file servers, clusters, and whatever FUSE hides.
REMOTE_KINDS = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "glusterfs",
        "ceph",
        "9p",
        "virtiofs",
        "lustre",
        "gpfs",
        "beegfs",
        "orangefs",
        "afs",
        "gfs2",
        "ocfs2",
    ]
)
_ESCAPED = re.compile(r"\\([0-7]{3})")  # /proc/mounts writes a blank as \040
_PLAIN_NAME = re.compile(r"^[\w.-]+$")
_PASSING = ("vnet", "tap", "veth")
_PLAIN_PATH = re.compile(r"^/[\w./+@:,=-]*$")


@dataclass(frozen=True, slots=True)
class DiskCount:
    """Totals of one block device since boot: requests, bytes, and milliseconds with I/O."""

    reads: int
    read_bytes: int
    writes: int
    write_bytes: int
    busy_ms: int


@dataclass(frozen=True, slots=True)
class NicCount:
    """Totals of one network device since it was made, from the host's side."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int


@dataclass(frozen=True, slots=True)
class HostCount:
    """One reading of a host's counters. ``at_s`` grows with time; only differences matter.

    ``cpu`` is user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice in ticks.
    """

    at_s: float
    cpu: tuple[int, ...] = ()
    load: tuple[float, float, float] | None = None
    memory: Mapping[str, int] = field(default_factory=dict)
    disks: Mapping[str, DiskCount] = field(default_factory=dict)
    nics: Mapping[str, NicCount] = field(default_factory=dict)
    psi: Mapping[str, Psi] = field(default_factory=dict)
    uptime_s: float | None = None
    missing: tuple[Missing, ...] = ()


def parse_host(files: Mapping[str, str], monotonic: float | None) -> HostCount:
    """Counters from file texts; what is not there becomes a Missing with its reason."""
    uptime = parse_uptime(files.get("/proc/uptime", ""))
    psi = {
        name: found
        for name in ("cpu", "memory", "io")
        if (found := parse_psi(files.get(f"/proc/pressure/{name}", ""))) is not None
    }
    count = HostCount(
        at_s=monotonic if monotonic is not None else uptime or 0.0,
        cpu=parse_cpu(files.get("/proc/stat", "")),
        load=parse_load(files.get("/proc/loadavg", "")),
        memory=parse_memory(files.get("/proc/meminfo", "")),
        disks=parse_disks(files.get("/proc/diskstats", "")),
        nics=parse_nics(files.get("/proc/net/dev", "")),
        psi=psi,
        uptime_s=uptime,
    )
    return HostCount(
        count.at_s,
        count.cpu,
        count.load,
        count.memory,
        count.disks,
        count.nics,
        count.psi,
        count.uptime_s,
        _missing(count, files),
    )


def _missing(count: HostCount, files: Mapping[str, str]) -> tuple[Missing, ...]:
    rights = "let this login read /proc (a restricted container or a security module hides it)"
    found: list[Missing] = []
    for name, path, value in (
        ("cpu", "/proc/stat", count.cpu),
        ("load", "/proc/loadavg", count.load),
        ("memory", "/proc/meminfo", count.memory),
        ("nics", "/proc/net/dev", count.nics),
        ("uptime", "/proc/uptime", count.uptime_s),
    ):
        if not value and value != 0:
            found.append(Missing(name, f"{path} cannot be read there", rights))
    if not count.disks:
        empty = "/proc/diskstats" in files
        reason = "the kernel lists no whole disk" if empty else "/proc/diskstats cannot be read"
        found.append(Missing("disks", reason, "" if empty else rights))
    if len(count.psi) < 3:
        lacking = ", ".join(n for n in ("cpu", "memory", "io") if n not in count.psi)
        found.append(
            Missing(
                "psi",
                f"no pressure figures for {lacking}: kernel before 4.20, or built or booted "
                "without PSI",
                "boot that host with psi=1",
            )
        )
    return tuple(found)


def parse_cpu(text: str) -> tuple[int, ...]:
    """The ``cpu`` line of /proc/stat, padded to ten fields; empty when it is not there."""
    for line in text.splitlines():
        if line.startswith("cpu "):
            numbers = _ints(line.split()[1:11])
            return (*numbers, *(0,) * (10 - len(numbers))) if len(numbers) >= 4 else ()
    return ()


def parse_load(text: str) -> tuple[float, float, float] | None:
    """The three averages of /proc/loadavg."""
    words = text.split()
    try:
        return (finite(words[0]), finite(words[1]), finite(words[2]))
    except (IndexError, ValueError):
        return None


def parse_uptime(text: str) -> float | None:
    """Seconds since boot, from /proc/uptime."""
    try:
        return finite(text.split()[0])
    except (IndexError, ValueError):
        return None


def parse_memory(text: str) -> dict[str, int]:
    """/proc/meminfo in bytes; MemAvailable is estimated on kernels before 3.14."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and is_count(words[0]):
            found[name] = int(words[0]) * (_KIB if words[1:] == ["kB"] else 1)
    if "MemTotal" not in found:
        return {}
    if "MemAvailable" not in found:
        parts = ("MemFree", "Buffers", "Cached")
        found["MemAvailable"] = sum(found.get(part, 0) for part in parts)
    return found


def parse_psi(text: str) -> Psi | None:
    """Ten-second averages of one /proc/pressure file; ``full`` is absent for CPU before 5.13."""
    values: dict[str, float] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[1].startswith("avg10="):
            try:
                values[words[0]] = finite(words[1][6:])
            except ValueError:
                continue
    return Psi(values["some"], values.get("full")) if "some" in values else None


def parse_disks(text: str) -> dict[str, DiskCount]:
    """Whole devices of /proc/diskstats; device-mapper and md ones only where there is no other."""
    every: dict[str, DiskCount] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 14 or not (_WHOLE.match(words[2]) or _STACKED.match(words[2])):
            continue
        n = _ints(words[3:14])
        if len(n) == 11:
            every[words[2]] = DiskCount(n[0], n[2] * _SECTOR, n[4], n[6] * _SECTOR, n[9])
    whole = {name: count for name, count in every.items() if _WHOLE.match(name)}
    return whole or every


def parse_nics(text: str) -> dict[str, NicCount]:
    """/proc/net/dev by device; old kernels write the first number close to the colon."""
    found: dict[str, NicCount] = {}
    for line in text.splitlines()[2:]:
        name, colon, rest = line.rpartition(":")
        n = _ints(rest.split())
        if colon and len(n) >= 16:
            found[name.strip()] = NicCount(n[0], n[1], n[2], n[8], n[9], n[10])
    return found


def carrier_files(names: Iterable[str]) -> dict[str, str]:
    """Path to device name of the state files of the host's own network devices.

    Taps and pairs of virtual devices come and go with guests, and are always up.
    """
    return {
        f"/sys/class/net/{name}/operstate": name
        for name in names
        if name != "lo" and _PLAIN_NAME.match(name) and not name.startswith(_PASSING)
    }


def parse_down(files: Mapping[str, str], paths: Mapping[str, str]) -> frozenset[str]:
    """Devices whose state file says ``down``."""
    return frozenset(n for path, n in paths.items() if files.get(path, "").strip() == "down")


def local_mounts(text: str) -> dict[str, str]:
    """Mount point to kind for filesystems on the host's own disks, each device once.

    Args:
        text: /proc/mounts.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or words[2] not in LOCAL_KINDS or not _PLAIN_PATH.match(words[1]):
            continue
        if words[0] in seen and words[0].startswith("/dev/"):
            continue
        seen.add(words[0])
        found[words[1]] = words[2]
    return found


def remote_mounts(text: str) -> tuple[Filesystem, ...]:
    """Filesystems that other hosts may reach too, without their sizes.

    Args:
        text: /proc/mounts.
    """
    found: dict[str, Filesystem] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        if words[2] in REMOTE_KINDS or words[2].startswith("fuse."):
            mount = _ESCAPED.sub(lambda m: chr(int(m[1], 8) & 0xFF), words[1])
            found[mount] = Filesystem(mount, words[2], 0, 0)
    return tuple(found.values())


def parse_sizes(text: str, kinds: Mapping[str, str]) -> tuple[Filesystem, ...]:
    """Filesystems from the columns of ``df -kP``; those of size 0 are left out."""
    found: dict[str, Filesystem] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 6 or words[5] not in kinds:
            continue
        n = _ints(words[1:4])
        if len(n) == 3 and n[0] > 0:
            found[words[5]] = Filesystem(words[5], kinds[words[5]], n[0] * _KIB, n[2] * _KIB)
    return tuple(found.values())


def _ints(words: list[str]) -> list[int]:
    """The leading words that are whole numbers."""
    found: list[int] = []
    for word in words:
        if not is_count(word):
            break
        found.append(int(word))
    return found
