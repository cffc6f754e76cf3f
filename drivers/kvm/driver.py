"""KvmDriver: a real host behind the driver protocol, by libvirt."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from drivers.errors import Refused, Unreachable, Unsupported
from drivers.kvm import checksum, dirty, lease, migrate, reach, sending, volumes
from drivers.kvm.caps import cpu_baseline, guest_fit, read_caps
from drivers.kvm.console import SerialConsole
from drivers.kvm.domain import Domains
from drivers.kvm.live import Live
from drivers.kvm.needs import read_needs
from drivers.kvm.shell import open_local_shell
from drivers.kvm.tasks import KvmTasks
from drivers.model.caps import CpuNeed, DirtyRate, DomainNeeds, GuestFit, HostCaps, PeerLogin, Reach
from drivers.model.event import Event
from drivers.model.host import HostFacts, HostSpec, Protect
from drivers.model.storage import Pool, Volume
from drivers.model.vm import JobProgress
from drivers.protocol import (
    BlockJob,
    ByteStream,
    FastReading,
    HeldLease,
    HostDriver,
    MigrationSpec,
    Prompter,
    SlowReading,
)
from drivers.ssh.desk import Desk


class KvmDriver:
    """One host over libvirt: qemu+ssh, qemu, qemu+unix, test, test+ssh and test+unix URIs.

    Args:
        spec: The host.
        prompter: Asked about host keys and secrets while connecting.
        clock: The console's clock, epoch seconds.
        desk: What the SSH connections of one console share; by default this driver has its own.
    """

    simulated = False

    def __init__(
        self,
        spec: HostSpec,
        prompter: Prompter,
        *,
        clock: Callable[[], float] = time.time,
        desk: Desk | None = None,
    ) -> None:
        self.spec = spec
        self._prompter = prompter
        self._clock = clock
        self._desk = desk or Desk()
        self._live: Live | None = None
        self._leases = lease.Leases()

    async def connect(self) -> HostFacts:
        """Reach the host, open libvirt, register for events and read what the host is."""
        await self.close()
        live = Live(self.spec, self._prompter, self._clock, self._desk)
        self._live = live
        try:
            return await live.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of everything; never raises."""
        live, self._live = self._live, None
        if live is not None:
            await live.close()

    @property
    def route(self) -> str:
        """How the host was reached, such as ``bastion:22 > kvm1:22 > forwarded ...``."""
        return self._live.session.route if self._live is not None else ""

    def events(self) -> AsyncIterator[Event]:
        """Events as they come, ending when the connection does."""
        return self._up().hub.listen()

    async def ping(self) -> float:
        """Round trip of virConnectGetLibVersion, milliseconds."""
        session = self._up().session
        began = time.perf_counter()
        await session.call(session.conn.getLibVersion, f"{self.spec.name} did not answer")
        return (time.perf_counter() - began) * 1000

    async def read_fast(self) -> FastReading:
        """One tick of /proc, for the VMs that the last sweep found running."""
        live = self._up()
        reading = await live.swift.read(live.slow.vms.values())
        live.pools.load = reading.load
        return reading

    async def read_slow(self) -> SlowReading:
        """One sweep of every domain; a stuck one is named and does not hold the others."""
        live = self._up()
        return await live.slow.read(with_cpu=not live.swift.works)

    async def read_pools(self) -> tuple[Pool, ...]:
        """Pools with volumes, each asked in a lane of its own."""
        live = self._up()
        return await live.pools.read(live.slow.vms.values())

    async def refresh_pools(self) -> None:
        """Refresh the pools that can be refreshed without harm; see ``drivers.kvm.rescan``."""
        live = self._up()
        if self.spec.protect is not Protect.RO:  # its connection may not even ask
            await live.pools.rescan()

    async def read_facts(self) -> HostFacts:
        """What the host is, networks and clock read again."""
        return await self._up().read_facts()

    async def xml(self, uuid: str, *, inactive: bool = False) -> str:
        """Domain XML without secrets."""
        return await self._domains().xml(uuid, inactive=inactive)

    async def capabilities(self) -> str:
        """The host's capabilities XML."""
        session = self._up().session
        what = f"the capabilities of {self.spec.name} could not be read"
        return str(await session.call(session.conn.getCapabilities, what))

    async def needs(self, uuid: str) -> DomainNeeds:
        """What a domain asks of a host; block jobs are left out while its monitor hangs."""
        live = self._up()
        stuck = uuid in live.slow.quarantine.stuck()
        return await read_needs(live.session, uuid, self._name(uuid), self._clock, stuck=stuck)

    async def host_caps(self) -> HostCaps:
        """CPUs, NUMA nodes and free huge pages."""
        return await read_caps(self._up().session, self._clock)

    async def guest_fit(self, needs: DomainNeeds) -> GuestFit:
        """What the hypervisor here says of another host's guest."""
        return await guest_fit(self._up().session, needs, self._clock)

    async def cpu_baseline(self, cpus: tuple[str, ...], needs: DomainNeeds) -> CpuNeed:
        """The most capable CPU that all of these can be."""
        return await cpu_baseline(self._up().session, cpus, needs)

    async def reach(self, address: str, port: int) -> Reach:
        """Dial an address from the host."""
        return await reach.reach(self._up().session, address, port, self._clock)

    async def peer_login(self, uri: str) -> PeerLogin:
        """Open another host's libvirt from this one."""
        return await reach.peer_login(self._up().session, uri, self._clock)

    async def dirty_rate(self, uuid: str, seconds: int) -> DirtyRate:
        """Measure how fast a guest writes to its memory."""
        session = self._up().session
        return await dirty.dirty_rate(session, uuid, self._name(uuid), seconds, self._clock)

    async def start(self, uuid: str) -> None:
        """Boot a defined domain."""
        await self._domains("start").act(uuid, "started", lambda d: d.create(), patient=True)

    async def shutdown(self, uuid: str) -> None:
        """Ask the guest to power down."""
        await self._domains("shut down").act(uuid, "asked to shut down", lambda d: d.shutdown())

    async def reboot(self, uuid: str) -> None:
        """Ask the guest to reboot."""
        await self._domains("reboot").act(uuid, "asked to reboot", lambda d: d.reboot(0))

    async def reset(self, uuid: str) -> None:
        """Pull the reset line."""
        await self._domains("reset").act(uuid, "reset", lambda d: d.reset(0))

    async def suspend(self, uuid: str) -> None:
        """Pause the vCPUs."""
        await self._domains("pause").act(uuid, "paused", lambda d: d.suspend())

    async def resume(self, uuid: str) -> None:
        """Let the vCPUs run."""
        await self._domains("resume").act(uuid, "resumed", lambda d: d.resume())

    async def destroy(self, uuid: str) -> None:
        """Pull the plug; works on a VM whose monitor is stuck too."""
        await self._domains("force off").act(
            uuid, "forced off", lambda d: d.destroy(), even_stuck=True, patient=True
        )

    async def set_autostart(self, uuid: str, on: bool) -> None:
        """Whether the domain starts with the host."""
        await self._domains("change").act(
            uuid, "set to start with its host", lambda d: d.setAutostart(int(on)), even_stuck=True
        )
        self._up().slow.changed(uuid)

    async def undefine(self, uuid: str, *, nvram: bool = False) -> None:
        """Forget a stopped domain with its managed save, snapshot and checkpoint metadata."""
        await self._domains("delete").undefine(uuid, nvram=nvram)

    async def redefine(self, xml: str) -> None:
        """Define a domain from XML, or replace its definition."""
        await self._domains("define a VM").define(xml)

    async def repoint_disk(self, uuid: str, disk: str, path: str, fmt: str) -> None:
        """Change where a stopped domain's disk points, secrets kept."""
        await self._domains("change").repoint(uuid, disk, path, fmt)

    async def migrate(self, uuid: str, spec: MigrationSpec) -> None:
        """Migrate; see ``drivers.kvm.migrate``."""
        source, peer = self._writable("migrate"), spec.peer
        if not isinstance(peer, KvmDriver):
            raise Unsupported(
                f"{peer.spec.name} is not a host that libvirt migrates to",
                peer.spec.uri,
                "choose a real KVM host",
            )
        target = peer._writable("receive a VM")
        source.slow.job(uuid, running=True)
        try:
            await migrate.migrate(source.session, target.session, uuid, self._name(uuid), spec)
        finally:
            source.slow.job(uuid, running=False)
            target.slow.changed(uuid)

    async def job_progress(self, uuid: str, *, ended: bool = False) -> JobProgress | None:
        """Figures of the domain's running job, or of its last one."""
        return await self._domains().job_progress(uuid, self._clock, ended=ended)

    async def guest_answers(self, uuid: str) -> bool | None:
        """Whether the guest agent inside answers."""
        return await self._domains().agent_answers(uuid)

    async def abort_job(self, uuid: str) -> None:
        """Cancel the domain's running job."""
        domains, lv = self._domains("cancel a job"), self._up().session.lv
        await domains.act(uuid, "rid of its job", lambda d: migrate.abort(lv, d), even_stuck=True)

    async def tune_migration(
        self,
        uuid: str,
        *,
        bandwidth_mib: int | None = None,
        max_downtime_ms: float | None = None,
    ) -> None:
        """Change the cap or the allowed pause of the domain's running migration."""
        domains = self._domains("tune a migration")
        if bandwidth_mib is not None:
            cap = bandwidth_mib
            await domains.act(uuid, "given another cap", lambda d: d.migrateSetMaxSpeed(cap))
        if max_downtime_ms is not None:
            pause = max(1, round(max_downtime_ms))
            await domains.act(
                uuid, "given a longer pause", lambda d: d.migrateSetMaxDowntime(pause)
            )

    async def start_post_copy(self, uuid: str, behind_mib: int = 0) -> None:
        """Let the guest run on the destination now."""
        domains, lv = self._domains("switch a migration"), self._up().session.lv
        done = "switched to post-copy"
        await domains.act(uuid, done, lambda d: migrate.switch_over(lv, d, behind_mib))

    async def block_copy(
        self, uuid: str, disk: str, path: str, fmt: str, bandwidth_mib: int = 0
    ) -> None:
        """Begin copying a running disk onto an existing volume."""
        live = self._writable("copy a disk")
        await live.blocks.copy(uuid, self._name(uuid), disk, path, fmt, bandwidth_mib)

    async def block_job(self, uuid: str, disk: str) -> BlockJob | None:
        """State of the disk's block job."""
        return await self._up().blocks.state(uuid, self._name(uuid), disk)

    async def block_pivot(self, uuid: str, disk: str) -> None:
        """Switch to the copy and prove it."""
        live = self._writable("switch a disk")
        await live.blocks.pivot(uuid, self._name(uuid), disk)
        live.slow.changed(uuid)

    async def block_abort(self, uuid: str, disk: str) -> None:
        """Cancel the copy."""
        live = self._writable("cancel a copy")
        await live.blocks.abort(uuid, self._name(uuid), disk)

    async def create_volume(
        self, pool: str, name: str, capacity: int, fmt: str, backing: str = ""
    ) -> Volume:
        """A new empty volume."""
        session = self._writable("create a volume").session
        return await volumes.create(session, pool, name, capacity, fmt, backing)

    async def clone_volume(
        self, path: str, pool: str, name: str, progress: Callable[[int, int], None]
    ) -> Volume:
        """Copy a volume into another pool of this host."""
        session = self._writable("copy a volume").session
        return await volumes.clone(session, path, pool, name, progress)

    async def send_volume(
        self, path: str, peer: HostDriver, there: str, progress: Callable[[int, int], None]
    ) -> None:
        """Copy a volume's file onto one of another host."""
        here = self._up().session
        if not isinstance(peer, KvmDriver):
            raise Unsupported(f"{peer.spec.name} is not a host that libvirt sends to")
        target = peer._writable("receive a volume").session
        await sending.send(here, target, path, there, progress)

    async def checksum(self, path: str) -> str:
        """SHA-256 of what a guest reads from the volume."""
        return await checksum.checksum(self._up().session, path)

    async def delete_volume(self, path: str) -> None:
        """Delete a volume by path, unless a domain still names it."""
        await volumes.delete(self._writable("delete a volume").session, path)

    async def find_volume(self, path: str) -> Volume | None:
        """The volume of that path, or None."""
        return await volumes.find(self._up().session, path)

    async def hold_lease(self, words: str) -> HeldLease:
        """Work on the whole host alone, by a file lock that its shell holds there."""
        return await self._leases.take(self._writable("take its lease").session, words)

    async def lease_holder(self) -> str:
        """Who holds the lease, in their words."""
        return await lease.holder(self._up().session)

    @property
    def tasks(self) -> KvmTasks:
        """Commands on the host, each begun once."""
        return KvmTasks(self._up().session)

    async def open_console(self, uuid: str, *, force: bool = False) -> ByteStream:
        """The domain's first serial console."""
        session = self._writable("open a console").session
        return await SerialConsole(session, self._name(uuid)).open(uuid, force=force)

    async def open_shell(self, columns: int, rows: int, term: str) -> ByteStream:
        """A login shell on the host."""
        session = self._writable("open a shell").session
        if session.ssh is not None:
            return await session.ssh.open_shell(columns, rows, term)
        if session.local:
            return await open_local_shell(columns, rows, term)
        raise Unsupported(
            "no shell without the built-in SSH connection",
            str(session.ssh_problem or self.spec.uri),
            'use transport = "auto" for this host',
        )

    def _up(self) -> Live:
        live = self._live
        if live is None or live.session.closed or live.session.conn is None:
            raise Unreachable(f"{self.spec.name} is not connected", fix="the console reconnects")
        return live

    def _writable(self, verb: str) -> Live:
        """The connection, unless the host is protected: then nothing is even asked of it."""
        if self.spec.protect is Protect.RO:
            raise Refused(
                f"{self.spec.name} is read-only: the console may not {verb} there",
                'protect = "ro" in its configuration',
                'set protect = "confirm" or "rw" for this host',
            )
        return self._up()

    def _domains(self, verb: str = "") -> Domains:
        live = self._writable(verb) if verb else self._up()
        return Domains(live.session, live.slow)

    def _name(self, uuid: str) -> str:
        vm: Any = self._up().slow.vms.get(uuid)
        return vm.name if vm is not None else uuid
