"""The simulated host's driver: the same promises as the real one, kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from drivers.errors import Failed, Refused, Unreachable
from drivers.model.caps import CpuNeed, DirtyRate, DomainNeeds, GuestFit, HostCaps, PeerLogin, Reach
from drivers.model.event import Event, EventKind
from drivers.model.host import HostFacts, HostSpec, Protect
from drivers.model.storage import Pool, Volume
from drivers.model.vm import JobProgress, VmState
from drivers.protocol import (
    BlockJob,
    ByteStream,
    FastReading,
    HeldLease,
    HostDriver,
    MigrationSpec,
    SlowReading,
)
from drivers.sim import caps, lease, storage
from drivers.sim.domxml import capabilities_xml, domain_xml, guest_from_xml
from drivers.sim.migration import job_of, migrate, switch_over
from drivers.sim.readings import fast_reading, pools_reading, slow_reading
from drivers.sim.tasks import SimTasks
from drivers.sim.terminal import attach, shell_stream
from drivers.sim.world import SimHost, SimVm, World


class SimDriver:
    """One simulated host. See ``drivers.protocol.HostDriver`` for each method's promise."""

    simulated = True

    def __init__(self, spec: HostSpec, world: World) -> None:
        self.spec = spec
        self.world = world
        self._queue: asyncio.Queue[Event] | None = None
        self._held: HeldLease | None = None

    # -- connection ---------------------------------------------------------------------------

    @property
    def host(self) -> SimHost:
        """The simulated host behind this driver."""
        return self.world.host_of(self.spec)

    async def connect(self) -> HostFacts:
        """Listen for events; fails as the host does."""
        await self.close()
        host = self.host
        await self.world.answer(host)
        await self.world.delay(host.rtt_ms * 5 / 1000.0)
        self._queue = asyncio.Queue()
        host.listeners.append((asyncio.get_running_loop(), self._queue))
        return host.facts

    async def close(self) -> None:
        """Stop listening, and let go of the lease."""
        if self._held is not None:
            await self._held.release()
        queue, self._queue = self._queue, None
        if queue is None:
            return
        host = self.world.hosts.get(self.spec.name)
        if host is not None:
            host.listeners = [pair for pair in host.listeners if pair[1] is not queue]
        queue.put_nowait(self._lost("closed"))

    @property
    def route(self) -> str:
        """Marks the host as make-believe."""
        return "simulated" if self._queue is not None else ""

    async def events(self) -> AsyncIterator[Event]:
        """Events as they come; the last has change ``lost``."""
        queue = self._queue
        if queue is None:
            yield self._lost("not connected")
            return
        while True:
            event = await queue.get()
            yield event
            if event.change == "lost":
                return

    async def ping(self) -> float:
        """The host's believable round trip in milliseconds."""
        return (await self._ask()).rtt_ms

    # -- readings -----------------------------------------------------------------------------

    async def read_fast(self) -> FastReading:
        """Figures of this instant."""
        return fast_reading(await self._ask(), self.world.clock())

    async def read_slow(self) -> SlowReading:
        """Domains of this instant."""
        return slow_reading(await self._ask(), self.world.clock())

    async def read_pools(self) -> tuple[Pool, ...]:
        """Pools of this instant."""
        return pools_reading(await self._ask(), self.world.clock())

    async def refresh_pools(self) -> None:
        """Nothing is made here behind the driver's back."""
        await self._ask()

    async def read_facts(self) -> HostFacts:
        """What the host is, now."""
        return (await self._ask()).facts

    async def xml(self, uuid: str, *, inactive: bool = False) -> str:
        """A plain domain XML of the guest."""
        return domain_xml((await self._ask()).guest(uuid).vm, inactive=inactive)

    async def capabilities(self) -> str:
        """A plain capabilities XML of the host."""
        return capabilities_xml((await self._ask()).facts)

    async def needs(self, uuid: str) -> DomainNeeds:
        """What the guest asks of a host."""
        return caps.needs_of((await self._ask()).guest(uuid), self.world.clock())

    async def host_caps(self) -> HostCaps:
        """What the host is made of."""
        return caps.caps_of(await self._ask(), self.world.clock())

    async def guest_fit(self, needs: DomainNeeds) -> GuestFit:
        """Whether the host could run such a guest."""
        return caps.fit_of(await self._ask(), needs, self.world.clock())

    async def cpu_baseline(self, cpus: tuple[str, ...], needs: DomainNeeds) -> CpuNeed:
        """The CPU all have, or the least there is."""
        await self._ask()
        return caps.baseline_of(cpus, needs)

    async def reach(self, address: str, port: int) -> Reach:
        """Dial another simulated host."""
        return caps.reach_of(await self._ask(), address, port, self.world)

    async def peer_login(self, uri: str) -> PeerLogin:
        """Log in at another simulated host."""
        return caps.login_of(await self._ask(), uri, self.world.clock())

    async def dirty_rate(self, uuid: str, seconds: int) -> DirtyRate:
        """Measure over believable time."""
        guest = (await self._ask()).guest(uuid)
        await self.world.delay(seconds)
        return caps.dirty_of(guest, seconds, self.world.clock())

    # -- lifecycle ----------------------------------------------------------------------------

    async def start(self, uuid: str) -> None:
        """Boot."""
        host, guest = await self._act(uuid)
        if guest.vm.state.active:
            raise Refused(f"{guest.vm.name} is already running.", proof="domain is already running")
        await self.world.delay(0.3)
        self.world.enter(host, guest, VmState.RUNNING, "booted", "started", "started (booted)")

    async def shutdown(self, uuid: str) -> None:
        """Ask; most guests power down some seconds later, one never does."""
        host, guest = await self._running(uuid)
        if not guest.character.deaf:
            self.world.later(
                2.0 + guest.character.key % 30 / 10, lambda: self._power_down(host, guest)
            )

    async def reboot(self, uuid: str) -> None:
        """Ask for a reboot."""
        host, guest = await self._running(uuid)
        if not guest.character.deaf:
            self.world.later(2.0, lambda: self.world.emit(host, guest.vm, "reboot", "rebooted"))

    async def reset(self, uuid: str) -> None:
        """Reset at once."""
        host, guest = await self._running(uuid)
        self.world.emit(host, guest.vm, "reboot", "reset")

    async def suspend(self, uuid: str) -> None:
        """Pause."""
        host, guest = await self._running(uuid)
        self.world.enter(host, guest, VmState.PAUSED, "user", "suspended", "suspended (user)")

    async def resume(self, uuid: str) -> None:
        """Let go on."""
        host, guest = await self._act(uuid)
        if guest.vm.state is not VmState.PAUSED:
            raise Refused(f"{guest.vm.name} is not paused.", proof=f"state {guest.vm.state}")
        self.world.enter(host, guest, VmState.RUNNING, "unpaused", "resumed", "resumed (unpaused)")

    async def destroy(self, uuid: str) -> None:
        """Pull the plug; a hung QEMU dies too. A transient guest vanishes with it."""
        host, guest = await self._act(uuid)
        if not guest.vm.state.active:
            raise Refused(f"{guest.vm.name} is not running.", proof="domain is not running")
        await self.world.delay(0.2)
        if guest.job is not None:
            guest.job.aborted = True
        self.world.enter(host, guest, VmState.OFF, "destroyed", "stopped", "stopped (destroyed)")
        if not guest.vm.persistent:
            host.guests.pop(uuid, None)

    async def set_autostart(self, uuid: str, on: bool) -> None:
        """Set the flag."""
        _host, guest = await self._act(uuid)
        guest.vm = replace(guest.vm, autostart=on)

    async def undefine(self, uuid: str, *, nvram: bool = False) -> None:
        """Forget the guest; a running one goes on as a transient guest."""
        host, guest = await self._act(uuid)
        if guest.vm.state.active:
            guest.vm = replace(guest.vm, persistent=False)
        else:
            del host.guests[uuid]
        text = "undefined (removed, nvram dropped)" if nvram else "undefined (removed)"
        self.world.emit(host, guest.vm, "undefined", text)

    async def redefine(self, xml: str) -> None:
        """Take disks and name from the XML; an unknown UUID becomes a new guest."""
        self._allow()
        host = await self._ask()
        guest = guest_from_xml(xml, host)
        host.guests[guest.vm.uuid] = guest
        self.world.emit(host, guest.vm, "defined", "defined (updated)")

    async def repoint_disk(self, uuid: str, disk: str, path: str, fmt: str) -> None:
        """Let a stopped guest's disk point at another volume."""
        host, guest = await self._act(uuid)
        storage.repoint(self.world, host, guest, disk, path, fmt)

    # -- long work ----------------------------------------------------------------------------

    async def migrate(self, uuid: str, spec: MigrationSpec) -> None:
        """Move a guest to another simulated host, over believable time."""
        host, guest = await (self._act if spec.offline or spec.resume else self._running)(uuid)
        if not isinstance(spec.peer, SimDriver) or spec.peer.world is not self.world:
            raise Refused(
                "A simulated guest cannot leave the simulation.",
                proof=f"destination {spec.peer.spec.uri}",
                fix="choose a simulated host",
            )
        spec.peer._allow()
        await migrate(self.world, host, await spec.peer._ask(), guest, spec)

    async def job_progress(self, uuid: str, *, ended: bool = False) -> JobProgress | None:
        """Figures of the running migration, or of the last one."""
        guest = (await self._ask()).guest(uuid)
        now = guest.job.progress(self.world.clock()) if guest.job is not None else None
        return guest.last if ended else now

    async def guest_answers(self, uuid: str) -> bool | None:
        """Every simulated guest but the deaf one has an agent that answers."""
        return not (await self._ask()).guest(uuid).character.deaf

    async def abort_job(self, uuid: str) -> None:
        """Cancel the running migration."""
        _host, guest = await self._act(uuid)
        job_of(guest).aborted = True

    async def tune_migration(
        self,
        uuid: str,
        *,
        bandwidth_mib: int | None = None,
        max_downtime_ms: float | None = None,
    ) -> None:
        """Change the cap or the allowed pause of a running migration."""
        _host, guest = await self._act(uuid)
        job_of(guest).tune(bandwidth_mib, max_downtime_ms)

    async def start_post_copy(self, uuid: str, behind_mib: int = 0) -> None:  # noqa: ARG002
        """Switch the guest over now."""
        _host, guest = await self._act(uuid)
        switch_over(guest)

    async def block_copy(
        self, uuid: str, disk: str, path: str, fmt: str, bandwidth_mib: int = 0
    ) -> None:
        """Begin to copy a disk."""
        host, guest = await self._running(uuid)
        storage.begin_copy(self.world, host, guest, disk, (path, fmt), bandwidth_mib)

    async def block_job(self, uuid: str, disk: str) -> BlockJob | None:
        """State of the copy."""
        copy = (await self._ask()).guest(uuid).copies.get(disk)
        return copy.at(self.world.clock()) if copy is not None else None

    async def block_pivot(self, uuid: str, disk: str) -> None:
        """Switch to the copy."""
        host, guest = await self._act(uuid)
        storage.pivot(self.world, host, guest, disk)

    async def block_abort(self, uuid: str, disk: str) -> None:
        """Drop the copy."""
        host, guest = await self._act(uuid)
        storage.abort_copy(self.world, host, guest, disk)

    async def create_volume(
        self, pool: str, name: str, capacity: int, fmt: str, backing: str = ""
    ) -> Volume:
        """A new empty volume."""
        self._allow()
        return storage.create(await self._ask(), pool, name, capacity, fmt, backing)

    async def clone_volume(
        self, path: str, pool: str, name: str, progress: Callable[[int, int], None]
    ) -> Volume:
        """Copy a volume, over believable time."""
        self._allow()
        return await storage.clone(self.world, await self._ask(), path, pool, name, progress)

    async def send_volume(
        self, path: str, peer: HostDriver, there: str, progress: Callable[[int, int], None]
    ) -> None:
        """Copy a volume to another simulated host, over believable time."""
        await storage.send(self.world, await self._ask(), peer.spec, path, there, progress)

    async def checksum(self, path: str) -> str:
        """A digest that equals that of every faithful copy."""
        storage.volume_of(await self._ask(), path)
        return self.world.content(path)

    async def delete_volume(self, path: str) -> None:
        """Delete a volume that no running guest uses."""
        self._allow()
        storage.delete(await self._ask(), path)

    async def find_volume(self, path: str) -> Volume | None:
        """The volume of that path."""
        return (await self._ask()).volumes.get(path)

    async def open_console(self, uuid: str, *, force: bool = False) -> ByteStream:
        """A login prompt that echoes."""
        return await attach((await self._ask()).guest(uuid), force=force)

    async def open_shell(self, columns: int, rows: int, term: str) -> ByteStream:
        """A very small shell."""
        return shell_stream((await self._ask()).name, columns, rows, term)

    # -- inside -------------------------------------------------------------------------------

    async def _ask(self) -> SimHost:
        if self._queue is None:
            what = f"{self.spec.name} is not connected."
            raise Unreachable(what, fix="it is tried again by itself")
        await self.world.answer(self.host)
        return self.host

    def _allow(self) -> None:
        if self.spec.protect is Protect.RO:
            what, proof = f"{self.spec.name} is read-only.", 'protect = "ro" in the configuration'
            raise Refused(what, proof, "change protect for this host")

    async def hold_lease(self, words: str) -> HeldLease:
        """Work on the whole host alone."""
        self._allow()
        self._held = lease.hold(await self._ask(), words)
        return self._held

    async def lease_holder(self) -> str:
        """Who holds the lease."""
        return (await self._ask()).lease

    @property
    def tasks(self) -> SimTasks:
        """Make-believe commands."""
        return SimTasks(self.world, self.host, self.spec.protect)

    async def _act(self, uuid: str) -> tuple[SimHost, SimVm]:
        self._allow()
        host = await self._ask()
        return host, host.guest(uuid)

    async def _running(self, uuid: str) -> tuple[SimHost, SimVm]:
        host, guest = await self._act(uuid)
        if guest.vm.state is not VmState.RUNNING:
            raise Refused(f"{guest.vm.name} is not running.", proof=f"state {guest.vm.state}")
        if guest.stuck_since is not None:
            raise Failed(
                f"The monitor of {guest.vm.name} does not answer.",
                proof="cannot acquire state change lock",
                fix="look at its QEMU process on the host",
            )
        return host, guest

    def _power_down(self, host: SimHost, guest: SimVm) -> None:
        if guest.vm.state.active and host.guests.get(guest.vm.uuid) is guest:
            self.world.emit(host, guest.vm, "shutdown", "shutdown (finished)")
            self.world.enter(host, guest, VmState.OFF, "shutdown", "stopped", "stopped (shutdown)")

    def _lost(self, why: str) -> Event:
        now, name = self.world.clock(), self.spec.name
        return Event(now, EventKind.CONNECTION, name, f"connection {why}", change="lost")
