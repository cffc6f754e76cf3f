"""What a guest needs of a host, and what a host offers: the readings of a migration's pre-flight.

All values are frozen and plain. ``None`` and empty texts mean "not told"; a reading that failed is
kept as its ``Problem`` by whoever asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class CpuNeed:
    """The guest's CPU as the running domain has it.

    Attributes:
        mode: ``custom``, ``host-passthrough``, ``maximum``; empty where the domain names none.
        model: CPU model, such as ``EPYC-Milan``.
        features: Features it must have, beyond those of the model.
        xml: The ``<cpu>`` element itself, for libvirt to compare; empty where there is none.
    """

    mode: str = ""
    model: str = ""
    features: tuple[str, ...] = ()
    xml: str = ""

    @property
    def of_the_host(self) -> bool:
        """True where the guest sees the host's own CPU, which libvirt never compares."""
        return self.mode in ("host-passthrough", "maximum")


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """One disk as a migration sees it.

    Attributes:
        cache: Cache mode of QEMU (``none``, ``writeback``...); empty for the default.
        shareable: Several guests may write to it at once.
        backing: Files or names below the top of the chain, nearest first.
        chain_known: False where libvirt does not tell the chain (a stopped domain).
        block_job: Kind of the block job that runs on it (``copy``, ``commit``...); empty for none.
        servers: (host, port) of a network disk.
    """

    target: str
    cache: str = ""
    shareable: bool = False
    backing: tuple[str, ...] = ()
    chain_known: bool = False
    block_job: str = ""
    servers: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class BoundDevice:
    """Something of the host that is handed to the guest.

    Attributes:
        kind: ``pci``, ``usb``, ``mdev``, ``scsi``, ``vdpa``, ``virtiofs``, ``9p``, ``shmem``...
        name: Its address or path on the host.
        failover: A network device that is unplugged for the move and has a stand-in.
    """

    kind: str
    name: str = ""
    failover: bool = False


@dataclass(frozen=True, slots=True)
class HugePages:
    """Memory of the guest in huge pages: bytes in all, and the page in bytes (0: the default)."""

    size: int
    memory: int


@dataclass(frozen=True, slots=True)
class DomainNeeds:
    """All that one domain asks of a host, beside what the fleet's snapshot already tells.

    Attributes:
        digest: SHA-256 of the definition it was read from.
        arch: Such as ``x86_64``.
        machine: Machine type, as the running domain has it.
        virt: ``kvm`` or ``qemu``.
        emulator: Path of QEMU on the source.
        memory: Bytes the guest may take at most.
        vcpus: vCPUs it may have at most.
        huge: Huge pages it asks for.
        nodes: Host NUMA nodes its memory is strictly bound to.
        pinned: Host CPUs its vCPUs are pinned to.
        devices: Devices of the host that it holds.
        tpm: Kind of its TPM backend (``emulator``, ``passthrough``...); empty without one.
        loader: Path of its UEFI firmware; empty for BIOS.
        nvram: Path of its UEFI variables.
        sealed: Kind of memory encryption (``sev``...); empty for none.
        main_thread: What may make QEMU's main thread wait for the guest's memory, in plain words.
        snapshots: How many snapshots libvirt keeps of it; None where it cannot tell.
        checkpoints: How many checkpoints; None where this libvirt cannot tell.
        jobs_known: False where block jobs could not be asked about.
        saved: Whether libvirt keeps saved memory of it (a managed save); None where it cannot tell.
    """

    uuid: str
    digest: str
    at: float
    arch: str = ""
    machine: str = ""
    virt: str = ""
    emulator: str = ""
    memory: int = 0
    vcpus: int = 0
    cpu: CpuNeed = CpuNeed()
    huge: tuple[HugePages, ...] = ()
    nodes: tuple[int, ...] = ()
    pinned: tuple[int, ...] = ()
    disks: tuple[DiskNeed, ...] = ()
    devices: tuple[BoundDevice, ...] = ()
    tpm: str = ""
    loader: str = ""
    nvram: str = ""
    sealed: str = ""
    main_thread: tuple[str, ...] = ()
    autostart: bool = False
    persistent: bool = True
    snapshots: int | None = 0
    checkpoints: int | None = 0
    jobs_known: bool = True
    saved: bool | None = False

    def disk(self, target: str) -> DiskNeed | None:
        """The disk of that target device."""
        return next((disk for disk in self.disks if disk.target == target), None)


@dataclass(frozen=True, slots=True)
class FreePages:
    """Pages of one size on one NUMA node: the page in bytes, and how many are free."""

    node: int
    size: int
    free: int


@dataclass(frozen=True, slots=True)
class HostCaps:
    """What a host is made of, as its libvirt tells (virConnectGetCapabilities and free pages).

    Attributes:
        cpu_model: Nearest named model of the physical CPU.
        cpu_features: Features of the physical CPU beyond that model.
        microcode: Version of the CPU's microcode; empty when not told.
        cpus: Numbers of the host's CPUs that are online; empty when not told.
        nodes: Its NUMA nodes; empty when not told.
        pages: Huge pages of each size and node.
    """

    host: str
    at: float
    cpu_model: str = ""
    cpu_vendor: str = ""
    cpu_features: frozenset[str] = frozenset()
    microcode: str = ""
    cpus: tuple[int, ...] = ()
    nodes: tuple[int, ...] = ()
    pages: tuple[FreePages, ...] = ()


class CpuMatch(StrEnum):
    """How a host's hypervisor stands to a guest's CPU (virCPUCompareResult)."""

    IDENTICAL = "identical"
    SUPERSET = "superset"
    INCOMPATIBLE = "incompatible"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GuestFit:
    """What one host's hypervisor says of such a guest.

    Attributes:
        digest: Of the definition that was asked about.
        virt: It can run this architecture with this accelerator.
        machine: It offers the machine type.
        near: Machine types of the same family that it offers, newest first.
        vcpus_max: vCPUs this machine type takes at most there; None when not told.
        cpu: How its CPU compares (virConnectCompareHypervisorCPU).
        missing: Features of the guest's CPU that it lacks.
        said: libvirt's own words where it compared nothing or refused.
        host_model: The CPU it gives to a guest of mode host-model.
        host_cpu: That CPU as an element, for libvirt to work out a baseline from.
        tpm: Kinds of TPM backend it offers; None when not told.
        loaders: Firmware files it knows; None when not told.
    """

    host: str
    digest: str
    at: float
    virt: bool = True
    machine: bool = True
    near: tuple[str, ...] = ()
    vcpus_max: int | None = None
    cpu: CpuMatch = CpuMatch.UNKNOWN
    missing: tuple[str, ...] = ()
    said: str = ""
    host_model: str = ""
    host_cpu: str = ""
    tpm: tuple[str, ...] | None = None
    loaders: tuple[str, ...] | None = None


class Reached(StrEnum):
    """Outcome of one attempt to connect.

    REFUSED: the address answers, nobody listens on the port (or a firewall answers for it).
    """

    CONNECTED = "connected"
    REFUSED = "refused"
    SILENT = "silent"
    UNKNOWN_NAME = "unknown name"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reach:
    """One real attempt to connect from a host.

    Attributes:
        address: What was dialled, resolved on that host.
        how: The tool that dialled there, such as ``bash``.
        said: What that tool said; empty when it connected.
        device: Network device on the way; empty when not told.
        link_mbit: What the kernel tells as that device's speed, Mbit/s; None when not told.
    """

    host: str
    address: str
    port: int
    outcome: Reached
    at: float
    how: str = ""
    said: str = ""
    device: str = ""
    link_mbit: int | None = None


@dataclass(frozen=True, slots=True)
class PeerLogin:
    """Whether a host opened another host's libvirt by the URI its daemon would use.

    Attributes:
        user: Who tried; the daemon's own user only where that is ``root`` or a session.
    """

    host: str
    uri: str
    opened: bool
    at: float
    user: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class DirtyRate:
    """How fast a guest wrote to its memory: bytes a second over ``seconds`` (a sample of pages)."""

    uuid: str
    bps: float
    seconds: int
    at: float
    mode: str = ""
