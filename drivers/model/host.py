"""A KVM host: how it is reached, what it is, how loaded it is, and what runs on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from drivers.model.problem import Missing, Problem
from drivers.model.storage import Network, Pool
from drivers.model.vm import Vm

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_LABELS: Mapping[str, tuple[tuple[str, ...], str]] = MappingProxyType({})


class Protect(StrEnum):
    """What may be done to a host: nothing, anything after a typed yes, or anything."""

    RO = "ro"
    CONFIRM = "confirm"
    RW = "rw"


class Transport(StrEnum):
    """What carries libvirt: our SSH connection (AUTO picks how) or libvirt's own client."""

    AUTO = "auto"
    FORWARD = "forward"
    HELPER = "helper"
    LIBVIRT = "libvirt"


@dataclass(frozen=True, slots=True)
class HostSpec:
    """What the configuration says of a host; all that a driver needs to reach it.

    Attributes:
        name: The host's name in this fleet, unique.
        uri: libvirt URI, such as ``qemu+ssh://root@kvm1/system`` or ``test:///default``.
        tiers: Pool name to tier name (``hot``, ``warm``, ``cold``).
        fast_s: Seconds between fast readings (/proc).
        slow_s: Seconds between slow readings (libvirt).
        pools_s: Seconds between pool readings.
        deadline_s: Seconds any one libvirt or SSH call may take.
        connect_s: Seconds a connection may take from first packet to an open libvirt.
        ssh_config: Path of an ssh_config to read instead of the user's; empty for the user's.
        migrate_uri: What other hosts use to reach this one for migration data
            (``tcp://10.0.0.1``); empty lets libvirt choose.
        peer_uri: libvirt URI other hosts' daemons use to reach this one for peer-to-peer
            migration; empty means the console manages migrations to it.
        allow_no_verify: The configuration allows ``no_verify=1`` in the URI, in words.
        labels: VM name or UUID to (tags, tenant) that its own metadata does not give.
    """

    name: str
    uri: str
    site: str = ""
    tags: tuple[str, ...] = ()
    tenant: str = ""
    protect: Protect = Protect.CONFIRM
    transport: Transport = Transport.AUTO
    tiers: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    fast_s: float = 1.0
    slow_s: float = 10.0
    pools_s: float = 60.0
    deadline_s: float = 10.0
    connect_s: float = 15.0
    ssh_config: str = ""
    migrate_uri: str = ""
    peer_uri: str = ""
    allow_no_verify: bool = False
    labels: Mapping[str, tuple[tuple[str, ...], str]] = field(default_factory=lambda: _NO_LABELS)


class LinkState(StrEnum):
    """How the console stands with a host."""

    CONNECTING = "connecting"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    DECISION = "decision"


@dataclass(frozen=True, slots=True)
class Link:
    """State of the connection to one host.

    Attributes:
        state: UP: both lanes answer. DEGRADED: one lane or one VM does not. DECISION: waits for a
            person (host key, password).
        since: When this state began.
        problem: Why it is not UP.
        attempts: Failed attempts in a row.
        retry_at: When the next attempt is due; None when none is planned.
        rtt_ms: Round trip of the last small request, milliseconds.
        route: How the host is reached, such as ``bastion:22 > kvm1:22 > forwarded socket``.
    """

    state: LinkState = LinkState.CONNECTING
    since: float = 0.0
    problem: Problem | None = None
    attempts: int = 0
    retry_at: float | None = None
    rtt_ms: float | None = None
    route: str = ""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a host is: changes seldom, read at connection."""

    hostname: str = ""
    kernel: str = ""
    arch: str = ""
    cpus: int = 0
    cpu_model: str = ""
    memory: int = 0
    libvirt_version: str = ""
    qemu_version: str = ""
    hypervisor: str = ""
    clock_skew_s: float | None = None
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class HostDisk:
    """One block device of a host; ``busy_pct`` is the share of time it had I/O in flight."""

    name: str
    read_bps: float = 0.0
    write_bps: float = 0.0
    read_iops: float = 0.0
    write_iops: float = 0.0
    busy_pct: float = 0.0


@dataclass(frozen=True, slots=True)
class HostNic:
    """One network device of a host, rates a second."""

    name: str
    rx_bps: float = 0.0
    tx_bps: float = 0.0
    rx_errors: int = 0
    tx_errors: int = 0
    up: bool = True


@dataclass(frozen=True, slots=True)
class Filesystem:
    """One mounted filesystem, bytes; 0 where a server holds it: a dead one is never asked."""

    mount: str
    kind: str
    size: int
    free: int


@dataclass(frozen=True, slots=True)
class Psi:
    """Pressure of one resource (/proc/pressure): percent of time stalled, ten-second average.

    ``full`` is None where the kernel does not tell it: of CPU before 5.13.
    """

    some: float
    full: float | None


@dataclass(frozen=True, slots=True)
class HostLoad:
    """Live figures of a host from /proc. CPU shares are percent of all CPUs, over the interval.

    ``filesystems`` are those on the host's own disks, ``remote`` those that a server or a cluster
    holds for several hosts.
    """

    cpu_pct: float | None = None
    user_pct: float | None = None
    system_pct: float | None = None
    iowait_pct: float | None = None
    irq_pct: float | None = None
    steal_pct: float | None = None
    guest_pct: float | None = None
    load1: float | None = None
    load5: float | None = None
    load15: float | None = None
    psi_cpu: Psi | None = None
    psi_memory: Psi | None = None
    psi_io: Psi | None = None
    memory_total: int | None = None
    memory_available: int | None = None
    swap_total: int | None = None
    swap_used: int | None = None
    disks: tuple[HostDisk, ...] = ()
    nics: tuple[HostNic, ...] = ()
    filesystems: tuple[Filesystem, ...] = ()
    uptime_s: float | None = None
    remote: tuple[Filesystem, ...] = ()

    def filesystem_of(self, path: str) -> Filesystem | None:
        """The filesystem that a path lies on; None when no mount is known."""
        over = [f for f in (*self.filesystems, *self.remote) if _lies_in(f.mount, path)]
        return max(over, key=lambda f: len(f.mount), default=None)


def _lies_in(mount: str, path: str) -> bool:
    return path == mount or path.startswith(f"{mount.rstrip('/')}/")


@dataclass(frozen=True, slots=True)
class Host:
    """One host as the console knows it now; after a failure, its last known values stay.

    ``fast_at``, ``slow_at`` and ``pools_at`` are when each lane last answered (0.0: never).
    """

    spec: HostSpec
    link: Link = field(default_factory=Link)
    facts: HostFacts | None = None
    load: HostLoad | None = None
    vms: tuple[Vm, ...] = ()
    pools: tuple[Pool, ...] = ()
    fast_at: float = 0.0
    slow_at: float = 0.0
    pools_at: float = 0.0
    missing: tuple[Missing, ...] = ()
    simulated: bool = False

    @property
    def name(self) -> str:
        """The host's name in this fleet."""
        return self.spec.name
