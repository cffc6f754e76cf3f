"""A virtual machine: what libvirt calls a domain, with its disks, NICs and live figures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.model.migration import LeverOption, MemoryCount, Outlook
from drivers.model.problem import Missing


class VmState(StrEnum):
    """Domain state, in libvirt's words (virDomainState)."""

    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    STOPPING = "stopping"
    OFF = "off"
    CRASHED = "crashed"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"

    @property
    def active(self) -> bool:
        """True where a QEMU process exists for the domain."""
        return self in _ACTIVE


_ACTIVE = frozenset(
    (VmState.RUNNING, VmState.BLOCKED, VmState.PAUSED, VmState.STOPPING, VmState.SUSPENDED)
)
"""Made once: it is asked for every VM of a host, many times a second."""


@dataclass(frozen=True, slots=True)
class VmDisk:
    """One disk of a domain. Latencies are mean milliseconds a request over the last interval."""

    target: str
    source: str = ""
    kind: str = "file"
    device: str = "disk"
    format: str = ""
    pool: str = ""
    volume: str = ""
    tier: str = ""
    read_only: bool = False
    shared: bool = False
    capacity: int | None = None
    allocation: int | None = None
    read_bps: float | None = None
    write_bps: float | None = None
    read_iops: float | None = None
    write_iops: float | None = None
    read_ms: float | None = None
    write_ms: float | None = None

    @property
    def counted(self) -> bool:
        """Whether its bytes are in the host's account of the QEMU process (/proc/PID/io)."""
        return self.kind not in _UNCOUNTED


_UNCOUNTED = frozenset(("network", "nvme", "vhostuser", "vhostvdpa"))
"""Kinds of disk that QEMU reaches past the host's block devices and file systems."""


@dataclass(frozen=True, slots=True)
class VmNic:
    """One network interface; rates are seen from the guest (rx is what the guest receives)."""

    target: str
    mac: str = ""
    kind: str = ""
    source: str = ""
    model: str = ""
    rx_bps: float | None = None
    tx_bps: float | None = None
    rx_pps: float | None = None
    tx_pps: float | None = None
    errors: int | None = None


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Live figures of a long operation (virDomainGetJobStats, block job info, a copied file).

    ``downtime_ms`` is the pause that QEMU expects. For a migration this console carries out,
    ``outlook`` and ``levers`` tell how it will go and what can be pulled, and ``trail`` is how
    many bytes remained over the last minutes, as (epoch seconds, bytes).

    ``done`` and ``rate_bps`` are of bytes on the line; ``remaining`` and ``dirty_bps`` are of
    memory as the guest holds it. ``packing`` is how many of those one byte on the line carries:
    more than 1 where memory is compressed. ``memory`` is what it is measured from.
    """

    phase: str
    at: float
    started_at: float = 0.0
    done: int | None = None
    total: int | None = None
    remaining: int | None = None
    rate_bps: float | None = None
    dirty_bps: float | None = None
    iteration: int | None = None
    downtime_ms: float | None = None
    throttle: int | None = None
    eta_s: float | None = None
    note: str = ""
    outlook: Outlook | None = None
    levers: tuple[LeverOption, ...] = ()
    trail: tuple[tuple[float, float], ...] = ()
    packing: float = 1.0
    memory: MemoryCount | None = None


@dataclass(frozen=True, slots=True)
class VmFast:
    """Figures of one domain from /proc and the tap devices, about once a second.

    Attributes:
        cpu_pct: vCPU use in percent of the allotted vCPUs (100 is all of them busy).
        steal_pct: Steal the guest sees, percent of the allotted vCPUs; None when unknown.
        delay_pct: Time runnable vCPU threads waited for a host CPU (/proc/PID/task/TID/schedstat),
            percent of the allotted vCPUs.
        rss: Resident bytes of the QEMU process.
        read_bps: Bytes a second read by the QEMU process from storage (/proc/PID/io).
        write_bps: Bytes a second written likewise.
        nics: Target device to (rx_bps, tx_bps, rx_pps, tx_pps), from the guest's side.
        started_at: When the QEMU process started, on the console's clock.
    """

    uuid: str
    at: float
    cpu_pct: float | None = None
    steal_pct: float | None = None
    delay_pct: float | None = None
    rss: int | None = None
    read_bps: float | None = None
    write_bps: float | None = None
    nics: tuple[tuple[str, float, float, float, float], ...] = ()
    started_at: float | None = None
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class Vm:
    """One domain on one host, identified by its libvirt UUID.

    ``slow_at`` is when libvirt last told definition, state, disks and balloon; ``fast_at`` when
    /proc last told CPU, RSS and NIC rates (0.0: never). ``monitor_stuck_s`` is set while the QEMU
    monitor does not answer. ``memory_used`` is what the guest uses inside, where the balloon tells.
    """

    uuid: str
    name: str
    host: str
    state: VmState = VmState.UNKNOWN
    reason: str = ""
    domain_id: int = -1
    title: str = ""
    description: str = ""
    vcpus: int = 0
    memory: int = 0
    memory_limit: int | None = None
    memory_used: int | None = None
    rss: int | None = None
    cpu_pct: float | None = None
    steal_pct: float | None = None
    delay_pct: float | None = None
    read_bps: float | None = None
    write_bps: float | None = None
    disks: tuple[VmDisk, ...] = ()
    nics: tuple[VmNic, ...] = ()
    persistent: bool = True
    autostart: bool = False
    machine: str = ""
    tags: tuple[str, ...] = ()
    tenant: str = ""
    started_at: float | None = None
    job: JobProgress | None = None
    monitor_stuck_s: float | None = None
    slow_at: float = 0.0
    fast_at: float = 0.0
    missing: tuple[Missing, ...] = ()

    @property
    def rx_bps(self) -> float | None:
        """Bytes a second received over all NICs, None when no NIC has a figure."""
        known = [n.rx_bps for n in self.nics if n.rx_bps is not None]
        return sum(known) if known else None

    @property
    def tx_bps(self) -> float | None:
        """Bytes a second sent over all NICs, None when no NIC has a figure."""
        known = [n.tx_bps for n in self.nics if n.tx_bps is not None]
        return sum(known) if known else None
