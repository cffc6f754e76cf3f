"""What any driver of a host can be asked.

Async and cancellable; values in, values out. No virDomain, virConnect or SSH connection leaves
``drivers``. Every method may raise a ``drivers.errors.DriverError`` and nothing else of the
driver's own; every one ends within a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from drivers.model.ask import HostKeyQuestion, KeyDecision, SecretQuestion
from drivers.model.caps import CpuNeed, DirtyRate, DomainNeeds, GuestFit, HostCaps, PeerLogin, Reach
from drivers.model.event import Event
from drivers.model.host import HostFacts, HostLoad, HostSpec
from drivers.model.migration import Tuning
from drivers.model.problem import Missing
from drivers.model.storage import Pool, Volume
from drivers.model.vm import JobProgress, Vm, VmFast
from drivers.tasks import HostTasks

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Prompter(Protocol):
    """Puts a question to a person; drivers never touch a tty."""

    async def host_key(self, question: HostKeyQuestion) -> KeyDecision:
        """Decide about an unknown or changed host key; REFUSE when nobody is there."""
        ...

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        """One answer a field; None when nobody answers, none at all when a person declines.

        Never logged or stored.
        """
        ...


@dataclass(frozen=True, slots=True)
class FastReading:
    """One answer of the fast lane (/proc over the long-lived reader)."""

    at: float
    load: HostLoad
    vms: Mapping[str, VmFast] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()
    rtt_ms: float | None = None


@dataclass(frozen=True, slots=True)
class SlowReading:
    """One answer of the slow lane (libvirt); ``stuck``: UUID to seconds a monitor hangs.

    The VMs carry definition, state, disks and balloon; their fast fields are empty.
    """

    at: float
    vms: tuple[Vm, ...]
    stuck: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class MigrationSpec:
    """How to migrate one VM.

    Attributes:
        peer: The destination's driver, of the same kind as the source's.
        p2p: True: the source daemon drives (survives the console). False: the console does.
        copy_disks: Targets of disks to copy along; their files are made on the destination.
        bandwidth_mib: Cap in MiB/s, 0 for none.
        uri: Migration data URI; empty lets libvirt choose.
        tuning: Options beyond that.
        dest_paths: Disk target to the path it gets on the destination, where it differs.
        offline: The VM is off: its definition alone moves, and its disks are there already.
        resume: A post-copy migration goes on where its link broke; begun as it was before.
    """

    peer: HostDriver
    p2p: bool
    copy_disks: tuple[str, ...] = ()
    bandwidth_mib: int = 0
    uri: str = ""
    dest_paths: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    tuning: Tuning = field(default_factory=Tuning)
    offline: bool = False
    resume: bool = False


@dataclass(frozen=True, slots=True)
class BlockJob:
    """State of a live block copy: ``ready`` once source and copy are in step."""

    done: int
    total: int
    ready: bool
    rate_bps: float | None = None


@dataclass(frozen=True, slots=True)
class ByteStream:
    """A two-way byte channel (serial console, host shell).

    Attributes:
        read: Next bytes; ``b""`` at the end.
        write: Send bytes.
        resize: Tell the far side a new (columns, rows); does nothing where it cannot.
        close: Hang up.
    """

    read: Callable[[], Awaitable[bytes]]
    write: Callable[[bytes], Awaitable[None]]
    resize: Callable[[int, int], None]
    close: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A host's lease in this console's hands.

    Attributes:
        lost: Set once it is no longer held, for whatever reason.
        release: Let go of it; never raises.
    """

    lost: asyncio.Event
    release: Callable[[], Awaitable[None]]


class HostDriver(Protocol):
    """One host. Created unconnected; ``connect`` may be called again after ``close`` or a loss."""

    spec: HostSpec
    simulated: bool

    async def connect(self) -> HostFacts:
        """Reach the host and open libvirt within ``spec.connect_s``."""
        ...

    async def close(self) -> None:
        """Let go of everything; never raises."""
        ...

    @property
    def route(self) -> str:
        """How the host was reached, for people; empty before ``connect``."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """Events as they come; the stream ends with the connection.

        A connection that was lost says so in a last event with change ``lost``; one that this
        console closed just ends.
        """
        ...

    async def ping(self) -> float:
        """Round trip of the smallest request, in milliseconds."""
        ...

    async def read_fast(self) -> FastReading:
        """One tick of the fast lane; Unsupported where there is none (``test:///``)."""
        ...

    async def read_slow(self) -> SlowReading:
        """Definition, state, disks and balloon of every domain, stuck monitors left out by name."""
        ...

    async def read_pools(self) -> tuple[Pool, ...]:
        """Pools with volumes; a pool that does not answer comes back with its problem."""
        ...

    async def refresh_pools(self) -> None:
        """Let libvirt look for volumes made without it, where that can do no harm.

        Only persistent, active folders that answer at this moment; ``read_pools`` then shows them.
        """
        ...

    async def read_facts(self) -> HostFacts:
        """What the host is, with what may have changed since ``connect``: networks and clock."""
        ...

    async def xml(self, uuid: str, *, inactive: bool = False) -> str:
        """Domain XML without secrets."""
        ...

    async def capabilities(self) -> str:
        """The host's capabilities XML."""
        ...

    async def needs(self, uuid: str) -> DomainNeeds:
        """What a domain asks of any host it might move to."""
        ...

    async def host_caps(self) -> HostCaps:
        """CPUs, NUMA nodes and free huge pages of the host."""
        ...

    async def guest_fit(self, needs: DomainNeeds) -> GuestFit:
        """What this host's hypervisor says of another host's guest; changes nothing."""
        ...

    async def cpu_baseline(self, cpus: tuple[str, ...], needs: DomainNeeds) -> CpuNeed:
        """The most capable CPU that all of ``cpus`` can be, for guests like this one."""
        ...

    async def reach(self, address: str, port: int) -> Reach:
        """Dial an address from this host; Unsupported where no command can be run there."""
        ...

    async def peer_login(self, uri: str) -> PeerLogin:
        """Open another host's libvirt from this host, read-only, as its daemon would."""
        ...

    async def dirty_rate(self, uuid: str, seconds: int) -> DirtyRate:
        """Measure for so long how fast a guest writes to its memory; Unsupported where not."""
        ...

    async def start(self, uuid: str) -> None:
        """Boot a defined domain (virDomainCreate)."""
        ...

    async def shutdown(self, uuid: str) -> None:
        """Ask the guest to power down; returns once asked."""
        ...

    async def reboot(self, uuid: str) -> None:
        """Ask the guest to reboot."""
        ...

    async def reset(self, uuid: str) -> None:
        """Pull the reset line."""
        ...

    async def suspend(self, uuid: str) -> None:
        """Pause the vCPUs."""
        ...

    async def resume(self, uuid: str) -> None:
        """Let the vCPUs run."""
        ...

    async def destroy(self, uuid: str) -> None:
        """Pull the plug (virDomainDestroy)."""
        ...

    async def set_autostart(self, uuid: str, on: bool) -> None:
        """Whether the domain starts with the host."""
        ...

    async def undefine(self, uuid: str, *, nvram: bool = False) -> None:
        """Forget a stopped domain; snapshots' and managed save metadata go too."""
        ...

    async def redefine(self, xml: str) -> None:
        """Define (or replace the definition of) a domain from XML."""
        ...

    async def repoint_disk(self, uuid: str, disk: str, path: str, fmt: str) -> None:
        """Change where a stopped domain's disk points, in its definition alone.

        Done inside the driver because the definition holds secrets that ``xml`` leaves out.
        """
        ...

    async def migrate(self, uuid: str, spec: MigrationSpec) -> None:
        """Migrate and return once libvirt says it is done; has no overall deadline."""
        ...

    async def job_progress(self, uuid: str, *, ended: bool = False) -> JobProgress | None:
        """Figures of the domain's running job, or of its last one; None when there is none."""
        ...

    async def guest_answers(self, uuid: str) -> bool | None:
        """Whether the guest agent inside answers; None where the VM has no channel for one."""
        ...

    async def abort_job(self, uuid: str) -> None:
        """Cancel the domain's running job (virDomainAbortJob)."""
        ...

    async def tune_migration(
        self,
        uuid: str,
        *,
        bandwidth_mib: int | None = None,
        max_downtime_ms: float | None = None,
    ) -> None:
        """Change the cap or the allowed pause of the domain's running migration."""
        ...

    async def start_post_copy(self, uuid: str, behind_mib: int = 0) -> None:
        """Let the guest run on the destination now; the rest of its memory follows on demand.

        Only where the migration was begun with ``Tuning.post_copy``. There is no way back.
        ``behind_mib`` caps what is sent unasked (MiB/s), so that what is asked for waits less.
        """
        ...

    async def block_copy(
        self, uuid: str, disk: str, path: str, fmt: str, bandwidth_mib: int = 0
    ) -> None:
        """Begin copying a running disk to ``path``, an existing volume of the same virtual size.

        Args:
            bandwidth_mib: Cap in MiB/s until the copy is in step, 0 for none.
        """
        ...

    async def block_job(self, uuid: str, disk: str) -> BlockJob | None:
        """State of the disk's block job; None when there is none."""
        ...

    async def block_pivot(self, uuid: str, disk: str) -> None:
        """Switch the domain to the finished copy, live and in its definition."""
        ...

    async def block_abort(self, uuid: str, disk: str) -> None:
        """Cancel the copy; the domain stays on its old disk."""
        ...

    async def create_volume(
        self, pool: str, name: str, capacity: int, fmt: str, backing: str = ""
    ) -> Volume:
        """A new empty volume, on top of the volume at ``backing`` where that is given."""
        ...

    async def clone_volume(
        self, path: str, pool: str, name: str, progress: Callable[[int, int], None]
    ) -> Volume:
        """Copy a volume into another pool of this host; ``progress(done, total)`` in bytes."""
        ...

    async def send_volume(
        self, path: str, peer: HostDriver, there: str, progress: Callable[[int, int], None]
    ) -> None:
        """Send a volume's file, on top of no other, onto ``there``: new, on another host."""
        ...

    async def checksum(self, path: str) -> str:
        """SHA-256 of a volume's guest-visible content; Unsupported where it cannot be read."""
        ...

    async def delete_volume(self, path: str) -> None:
        """Delete a volume by path; Gone when it is not there."""
        ...

    async def find_volume(self, path: str) -> Volume | None:
        """The volume of that path, or None."""
        ...

    async def hold_lease(self, words: str) -> HeldLease:
        """Work on the whole host alone; ``words`` tell others who holds it since when, and why.

        It ends with this console. Busy when another holds it, in whose words; Unsupported where
        no command can be run.
        """
        ...

    async def lease_holder(self) -> str:
        """Who holds the lease, in their words; empty when nobody does."""
        ...

    @property
    def tasks(self) -> HostTasks:
        """Commands on the host; Refused to begin any on a protected one."""
        ...

    async def open_console(self, uuid: str, *, force: bool = False) -> ByteStream:
        """The domain's first serial console."""
        ...

    async def open_shell(self, columns: int, rows: int, term: str) -> ByteStream:
        """A login shell on the host, through the same connection."""
        ...
