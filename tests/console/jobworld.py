"""A small world of hosts, VMs and volumes behind the driver protocol, for tests of the job runner.

Every call to a host or to the journal is numbered. At a chosen number the world can make that call
fail, lose its answer, or kill the console: then every later call of that console raises Killed. The
world watches that no volume a domain names is ever deleted or written over.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from drivers.errors import Failed, TimedOut
from drivers.model.audit import Entry
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, HostFacts, HostLoad, HostSpec, Link, LinkState, Protect
from drivers.model.job import Job, JobState
from drivers.model.storage import Pool, Tier, Volume
from drivers.model.vm import Vm, VmDisk, VmState
from store.api import StoreError

UUID = "11111111-2222-3333-4444-555555555555"
SIZE = 1000
TIERS = ("hot", "warm", "cold")


class Killed(BaseException):
    """The console process is gone."""


@dataclass
class Domain:
    """A definition with its state; ``path`` is its one disk."""

    name: str
    state: VmState
    path: str
    autostart: bool = False
    snapshots: int | None = 0
    was: VmState = VmState.RUNNING
    reason: str = ""
    persistent: bool = True


@dataclass
class Mirror:
    """A block copy of libvirt's."""

    path: str
    ticks: int = 0


@dataclass
class Move:
    """A migration in flight; a peer-to-peer one goes on without the console."""

    source: str
    target: str
    path: str
    p2p: bool
    ticks: int = 0
    aborted: bool = False
    ended: str = ""


@dataclass
class World:
    """Everything that outlives a console.

    Attributes:
        forgets: The daemon of a migration's source lives until it has undefined the VM.
        persists: A migration's target keeps the VM's definition.
        loses_end: The link breaks as a migration ends: its source does not hear that, and goes on.
        tpm: Kind of the TPM that its VMs have; empty for none.
    """

    now: float = 1_000_000.0
    domains: dict[tuple[str, str], Domain] = field(default_factory=dict)
    volumes: dict[tuple[str, str], str] = field(default_factory=dict)
    written: dict[tuple[str, str], str] = field(default_factory=dict)
    mirrors: dict[tuple[str, str], Mirror] = field(default_factory=dict)
    moves: dict[str, Move] = field(default_factory=dict)
    journal: dict[str, Job] = field(default_factory=dict)
    ledger: list[Entry] = field(default_factory=list)
    ledger_full: bool = False
    damage: list[str] = field(default_factory=list)
    obeys: bool = True
    forgets: bool = True
    persists: bool = True
    loses_end: bool = False
    tpm: str = ""
    agent: bool | None = None
    agent_s: float = 0.0
    agent_asked: int = 0
    protect: Protect = Protect.RW
    frozen: FleetSnapshot | None = None
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def tick(self, seconds: float) -> None:
        """Time passes: copies and migrations get on by themselves."""
        self.now += seconds
        for mirror in self.mirrors.values():
            mirror.ticks += 1
        for uuid, move in list(self.moves.items()):
            move.ticks += 1
            if move.ticks >= 3 and not move.ended:
                self._arrive(uuid, move)

    def _arrive(self, uuid: str, move: Move) -> None:
        domain = self.domains.pop((move.source, uuid))
        if not self.forgets:
            self.domains[(move.source, uuid)] = replace(domain, state=VmState.OFF)
        if move.path != domain.path or (move.target, move.path) in self.volumes:
            self.volumes[(move.target, move.path)] = self.volumes[(move.source, domain.path)]
        there = replace(domain, state=domain.was, path=move.path, persistent=self.persists)
        self.domains[(move.target, uuid)] = there
        move.ended = "done"
        if self.loses_end:
            self.domains[(move.source, uuid)] = replace(domain, reason="migration cancelled")
            self.domains[(move.target, uuid)].reason = "migrated here"
            move.ended = "lost"
        del self.moves[uuid]

    def console_died(self) -> None:
        """libvirt aborts what the dead console drove; the guest may be left paused."""
        for uuid, move in list(self.moves.items()):
            if not move.p2p:
                del self.moves[uuid]
                self.domains.pop((move.target, uuid), None)
                self.domains[(move.source, uuid)].state = VmState.PAUSED

    def freeze(self) -> None:
        """The poller sees nothing new from now on."""
        self.frozen = self.snapshot()

    def snapshot(self) -> FleetSnapshot:
        """What a perfect poller would show, or one that was frozen."""
        if self.frozen is not None:
            return self.frozen
        hosts = tuple(self.host(name) for name in ("kvm1", "kvm2"))
        return FleetSnapshot(self.now, 1, hosts)

    def host(self, name: str) -> Host:
        """One host as read now."""
        vms = self.vms(name)
        pools = tuple(
            Pool(tier, name, tier=Tier(tier), path=f"/{tier}", available=10 * SIZE, at=self.now,
                 volumes=self.pool_volumes(name, tier))
            for tier in TIERS
        )  # fmt: skip
        facts = HostFacts(name, arch="x86_64", cpus=8, memory=1 << 36, hypervisor="QEMU")
        return Host(
            self.spec(name), Link(LinkState.UP), facts, HostLoad(memory_available=1 << 36),
            vms, pools, slow_at=self.now, fast_at=self.now, pools_at=self.now,
        )  # fmt: skip

    def spec(self, name: str) -> HostSpec:
        """Its specification."""
        uri = f"qemu+ssh://{name}/system"
        return HostSpec(name, uri, protect=self.protect, peer_uri=uri)

    def vms(self, host: str) -> tuple[Vm, ...]:
        """Its domains."""
        return tuple(
            Vm(uuid, d.name, host, d.state, d.reason, vcpus=1, memory=1, autostart=d.autostart,
               slow_at=self.now, persistent=d.persistent,
               disks=(VmDisk("vda", d.path, format="raw", pool=d.path.split("/")[1],
                             volume=d.path.split("/")[-1], capacity=SIZE, allocation=SIZE),))
            for (where, uuid), d in self.domains.items() if where == host
        )  # fmt: skip

    def pool_volumes(self, host: str, tier: str) -> tuple[Volume, ...]:
        """Volumes of one pool."""
        return tuple(
            self.volume(host, path) for where, path in self.volumes
            if where == host and path.startswith(f"/{tier}/")
        )  # fmt: skip

    def volume(self, host: str, path: str) -> Volume:
        """One volume's facts."""
        used = tuple(u for (h, u), d in self.domains.items() if h == host and d.path == path)
        tier, name = path.split("/")[1:]
        written = self.written.get((host, path), "")
        return Volume(name, path, tier, host, "raw", SIZE, SIZE, used, written)

    def intact(self, uuid: str = UUID) -> str:
        """Empty when the VM is on exactly one host, on one whole disk; else what is wrong."""
        homes = [(h, d) for (h, u), d in self.domains.items() if u == uuid]
        if len(homes) != 1:
            return f"defined on {[h for h, _ in homes]}"
        host, domain = homes[0]
        content = self.volumes.get((host, domain.path))
        return "" if content == "data" else f"{host}:{domain.path} holds {content!r}"


@dataclass
class Console:
    """One console process: its calls are counted, and it can be killed at one of them."""

    world: World
    at: int = 0
    mode: str = ""
    calls: int = 0
    dead: bool = False
    on_call: Callable[[int, str], None] = lambda _n, _name: None
    log: list[str] = field(default_factory=list)
    look: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self, name: str) -> bool:
        """Count a call; True when it shall act and then lose its answer."""
        if self.dead:
            raise Killed
        self.calls += 1
        self.log.append(name)
        self.on_call(self.calls, name)
        if self.calls != self.at:
            return False
        if self.mode == "kill":
            self.die()
        if self.mode == "fail":
            raise Failed("injected failure", proof=f"call {self.calls} {name}")
        if self.mode == "timeout":
            raise TimedOut("injected time-out", proof=f"call {self.calls} {name}")
        return self.mode in ("kill-after", "lose-answer")

    def leave(self, lose: bool) -> None:
        """Kill the console, or lose the answer, after the call acted."""
        if lose and self.mode == "kill-after":
            self.die()
        if lose:
            raise TimedOut("injected: the answer was lost")

    def die(self) -> None:
        """kill -9."""
        self.dead = True
        self.world.console_died()
        raise Killed

    async def sleep(self, seconds: float) -> None:
        """Let the world's time pass."""
        if self.dead:
            raise Killed
        if seconds >= 5.0:  # the watch of other consoles' jobs looks when a test says so
            await self.look.wait()
            self.look.clear()
            return
        self.world.tick(seconds)
        await asyncio.sleep(0)


class MemoryStore:
    """The journal of a world, through a console that may die."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def put_job(self, job: Job, beside: Sequence[str] | None = None) -> None:
        """Durable at once, unless another job holds the VM."""
        try:
            lose = self._console.enter("put_job")
            with self._console.world.one_at_a_time:
                self._write(job, beside)
            self._console.leave(lose)
        except (Failed, TimedOut) as error:
            raise StoreError(error.problem.what) from error

    def _write(self, job: Job, beside: Sequence[str] | None) -> None:
        for other in self.jobs() if beside is not None else ():
            same = other.plan.request.uuid == job.plan.request.uuid and other.id != job.id
            late = not other.state.ended or (other.ended_at or 0.0) > job.created_at
            if same and late and other.id not in (beside or ()):
                raise StoreError("another job of this VM was begun meanwhile", code="busy")
        self._console.world.journal[job.id] = job

    def put_audit(self, entry: Entry, *, once: bool = False) -> Entry:
        """Durable at once, unless there is no room; what is there once already stands."""
        if self._console.world.ledger_full:
            raise StoreError("the audit ledger cannot be written", "no space left", "make room")
        told = (entry.deed, entry.job, entry.title)
        for known in self._console.world.ledger if once else ():
            if (known.deed, known.job, known.title) == told:
                return known
        self._console.world.ledger.append(entry)
        return entry

    def jobs(
        self, *, limit: int = 200, unfinished: bool = False, failed: bool = False
    ) -> list[Job]:
        """As recorded."""
        found = list(self._console.world.journal.values())
        if unfinished:
            found = [j for j in found if not j.state.ended]
        elif failed:
            found = [j for j in found if j.state in (JobState.FAILED, JobState.INTERRUPTED)
                     and j.followup]  # fmt: skip
        return found[:limit]


async def nothing_to_read(_hosts: object, *, pools: bool) -> None:
    """The world's snapshots are always true."""


def web1(state: VmState = VmState.RUNNING) -> World:
    """kvm1 holds web1 on /warm/web1.raw; kvm2 is empty."""
    world = World()
    world.domains[("kvm1", UUID)] = Domain("web1", state, "/warm/web1.raw")
    world.volumes[("kvm1", "/warm/web1.raw")] = "data"
    return world
