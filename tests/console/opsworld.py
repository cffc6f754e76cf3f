"""Three hosts and their VMs on shared storage, for tests of operations; built on the job world."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from console.jobs.runner import JobRunner
from console.operations.book import OperationBook
from console.operations.hands import Hands
from console.operations.leases import LeaseDesk
from console.operations.runner import OperationRunner
from console.operations.tools import Desk
from console.policy.plans import make_plan
from console.policy.preflight.grounds import Bandwidth, Evidence, Grounds, Rules
from drivers.errors import Busy, Unreachable, Unsupported
from drivers.model.caps import Reach, Reached
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, Link, LinkState
from drivers.model.job import Plan, Request
from drivers.model.operation import Cordon, Operation, Wish
from drivers.model.problem import Problem
from drivers.model.vm import Vm, VmState
from drivers.protocol import HeldLease, MigrationSpec
from drivers.tasks import HostTasks
from store.api import StoreError
from tests.console.jobworld import Console, Domain, MemoryStore, Move, World, nothing_to_read
from tests.console.jobworld_driver import WorldDriver

HOSTS = ("kvm1", "kvm2", "kvm3")
DEAD_OWNER = f"me@{socket.gethostname()}:4194304:1"
"""A console of this machine that has ended: no process id is that large."""


def uuid_of(number: int) -> str:
    return f"{number:08d}-2222-3333-4444-555555555555"


@dataclass
class OpsWorld(World):
    """Hosts that may die, what was recorded of operations, and how often each VM arrived."""

    down: set[str] = field(default_factory=set)
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    local: set[str] = field(default_factory=set)
    memory: dict[str, int] = field(default_factory=dict)
    room: dict[str, int] = field(default_factory=dict)
    arrivals: Counter[str] = field(default_factory=Counter)
    busiest: Counter[str] = field(default_factory=Counter)
    operations: dict[str, Operation] = field(default_factory=dict)
    leases: dict[str, tuple[Console, str]] = field(default_factory=dict)
    wishes: list[Wish] = field(default_factory=list)
    cordons: dict[str, Cordon] = field(default_factory=dict)
    die_at: dict[str, float] = field(default_factory=dict)
    beats: int = 0
    pace: int = 4
    severed: set[tuple[str, str]] = field(default_factory=set)
    """(source, target) between which no migration data goes."""
    meet: int = 0
    """No migration ends before so many were under way on one host at once."""
    bandwidth: dict[tuple[str, str], Bandwidth] = field(default_factory=dict)
    small_at_once: int = 2
    """Moves of small guests at a time on one host: here all guests are small."""

    def capacity(self) -> Rules:
        most = self.small_at_once
        return Rules(cpu_overcommit=8.0, small_per_host=most, small_per_link=most)

    def tick(self, seconds: float) -> None:
        for host, at in self.die_at.items():
            if self.now >= at:
                self.lose(host)
        ends = Counter(e for m in self.moves.values() for e in (m.source, m.target))
        for host, count in ends.items():
            self.busiest[host] = max(self.busiest[host], count)
        self.beats += 1
        if self.beats % self.pace:
            self.now += seconds
        else:
            super().tick(seconds)

    def lose(self, host: str) -> None:
        """A host dies: migrations to it end on their source, its VMs are gone with it."""
        if host in self.down:
            return
        self.down.add(host)
        for move in self.moves.values():
            if host == move.target:
                move.aborted = True

    def _arrive(self, uuid: str, move: Move) -> None:
        if move.target in self.down or move.aborted:
            return
        if max(self.busiest.values(), default=0) < self.meet:
            return
        super()._arrive(uuid, move)
        self.arrivals[uuid] += 1

    def snapshot(self) -> FleetSnapshot:
        return FleetSnapshot(self.now, 1, tuple(self.host(name) for name in HOSTS))

    def host(self, name: str) -> Host:
        host = super().host(name)
        assert host.facts is not None
        host = replace(
            host,
            facts=replace(host.facts, memory=self.room.get(name, 100)),
            load=None,
            spec=replace(host.spec, peer_uri="", migrate_uri=f"tcp://{name}"),
        )
        if name in self.down:
            problem = Problem(f"{name} does not answer", code="unreachable")
            host = replace(host, link=Link(LinkState.DOWN, problem=problem), slow_at=1.0)
        return host

    def vms(self, host: str) -> tuple[Vm, ...]:
        return tuple(
            replace(
                vm,
                disks=tuple(replace(d, shared=vm.uuid not in self.local) for d in vm.disks),
                tags=self.tags.get(vm.uuid, ()),
                memory=self.memory.get(vm.uuid, 1),
            )
            for vm in super().vms(host)
        )

    def hands(self, console: Console) -> Hands:
        """No command can be run on these hosts."""

        def refuse(host: str) -> HostTasks:
            raise Unsupported(f"no command can be run on {host}")

        return Hands(refuse, lambda _host: None)

    def where(self) -> dict[str, str]:
        """VM number to the hosts that run it."""
        found: dict[str, list[str]] = {}
        for (host, uuid), domain in self.domains.items():
            if domain.state.active:
                found.setdefault(uuid, []).append(host)
        return {uuid: "+".join(sorted(hosts)) for uuid, hosts in found.items()}


class OpsDriver(WorldDriver):
    """A host that may be dead."""

    async def _act(self, name: str, act: Any) -> object:
        if self.name in self.world.down:  # type: ignore[attr-defined]
            raise Unreachable(f"{self.name} does not answer")
        return await super()._act(name, act)

    async def migrate(self, uuid: str, spec: MigrationSpec) -> None:
        target = spec.peer.spec.name
        if target in self.world.down:  # type: ignore[attr-defined]
            raise Unreachable(f"{target} does not answer")
        await super().migrate(uuid, spec)


class MemoryOperations:
    """The operations of a world, through a console that may die."""

    def __init__(self, console: Console, world: OpsWorld) -> None:
        self._console, self._world = console, world

    def put(self, operation: Operation, holder: str | None) -> None:
        lose = self._console.enter("put_operation")
        old = self._world.operations.get(operation.id)
        if holder is None:
            busy = [o for o in self._world.operations.values()
                    if not o.state.ended and o.plan.host == operation.plan.host]  # fmt: skip
            if old or busy:
                raise StoreError("another operation is under way", code="busy")
        elif old is None or old.owner != holder:
            raise StoreError("in other hands", code="busy")
        self._world.operations[operation.id] = operation
        self._console.leave(lose)

    def recorded(self, *, limit: int = 50, unfinished: bool = False) -> list[Operation]:
        kept = self._world.operations.values()
        return [o for o in kept if not unfinished or not o.state.ended][:limit]

    def wish(self, wish: Wish) -> None:
        self._world.wishes.append(wish)

    def wishes(self, operation_id: str) -> list[Wish]:
        return [w for w in self._world.wishes if w.operation == operation_id]

    def cordon(self, cordon: Cordon) -> None:
        self._world.cordons[cordon.host] = cordon

    def uncordon(self, host: str) -> None:
        self._world.cordons.pop(host, None)

    def cordons(self) -> list[Cordon]:
        return list(self._world.cordons.values())


class OpsStore(MemoryStore):
    """Jobs and operations of one world."""

    def __init__(self, console: Console, world: OpsWorld) -> None:
        super().__init__(console)
        self.operations = MemoryOperations(console, world)


class OpsConsole:
    """One console process over the world, with its jobs and operations."""

    def __init__(self, world: OpsWorld, at: int = 0, mode: str = "", owner: str = "") -> None:
        self.world = world
        self.console = Console(world, at, mode)
        store = OpsStore(self.console, world)
        drivers = {name: OpsDriver(self.console, name) for name in HOSTS}
        owner = owner or DEAD_OWNER
        self.jobs = JobRunner(
            drivers,  # type: ignore[arg-type]
            store,  # type: ignore[arg-type]
            snapshot=world.snapshot,
            publish=lambda _jobs: None,
            on_events=lambda _events: None,
            nudge=lambda _host: None,
            read_anew=nothing_to_read,
            clock=lambda: world.now,
            owner=owner,
            planner=self.planned,
            sleep=self.console.sleep,
        )
        self.shown: tuple[Operation, ...] = ()
        self.book = OperationBook(store, self._show, self.console.sleep)  # type: ignore[arg-type]
        self.events: list[str] = []
        self.gathered: list[tuple[tuple[str, ...], tuple[str, ...], float]] = []
        self.operations = OperationRunner(
            Desk(
                self.book,
                self.jobs,
                world.snapshot,
                lambda _host: None,
                self.gather,
                lambda events: self.events.extend(e.text for e in events),
                world.capacity(),
                lambda: world.now,
                self.console.sleep,
                owner,
                "me@here",
                LeaseDesk(self.hold, self.console.sleep),
                self.jobs.auditor,
                world.hands(self.console),
            )
        )

    async def planned(self, requests: tuple[Request, ...]) -> tuple[Plan, ...]:
        """Previews, by the same grounds as the steps of operations."""
        ends = [r.uuid for r in requests], [r.target for r in requests]
        grounds = await self.gather(*ends, age_s=60.0)
        snapshot, now = self.world.snapshot(), self.world.now
        return tuple(
            make_plan(snapshot, r, now=now, plan_id="again", grounds=grounds) for r in requests
        )

    async def gather(
        self, uuids: Sequence[str], targets: Sequence[str], *, age_s: float
    ) -> Grounds:
        """Whether sources reach targets; nothing else is asked in this world."""
        await asyncio.sleep(0)
        self.gathered.append((tuple(uuids), tuple(targets), age_s))
        now = self.world.now
        data = {
            (here, there): Reach(
                here, there, 49152, Reached.SILENT if cut else Reached.REFUSED, now, "bash"
            )
            for here in HOSTS
            for there in targets
            for cut in [(here, there) in self.world.severed]
        }
        measured = Evidence(data=data, bandwidth=self.world.bandwidth)
        return Grounds(self.world.capacity(), evidence=measured)

    async def hold(self, host: str, words: str) -> HeldLease:
        """As a host's shell does it: one console at a time, for as long as that lives."""
        if host in self.world.down:
            raise Unreachable(f"{host} does not answer")
        holder = self.world.leases.get(host)
        if holder is not None and not holder[0].dead:
            raise Busy(f"{host} is being worked on by another console", holder[1])
        self.world.leases[host] = (self.console, words)

        async def release() -> None:
            self.world.leases.pop(host, None)

        return HeldLease(asyncio.Event(), release)

    def _show(self, operations: tuple[Operation, ...], _cordons: object) -> None:
        self.shown = operations

    async def ended(self, operation_id: str) -> Operation:
        """Wait until the operation ended, waits for a person, or this console died."""
        async with asyncio.timeout(60):
            while True:
                operation = self.world.operations[operation_id]
                waits = operation.state.value == "paused" and operation.problem is not None
                alive = operation_id in self.operations._drives
                if self.console.dead or operation.state.ended or waits or not alive:
                    return operation
                await asyncio.sleep(0)

    async def close(self) -> None:
        if self.console.dead:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)
        else:
            await self.operations.stop()
            await self.jobs.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the world has no event to wait for
            await asyncio.sleep(0)


def fleet(count: int = 4, **others: str) -> OpsWorld:
    """``count`` running VMs on kvm1; ``others`` name more VMs and their hosts."""
    world = OpsWorld()
    for number in range(count):
        _add(world, number, f"web{number}", "kvm1")
    for number, (name, host) in enumerate(others.items(), 90):
        _add(world, number, name, host)
    return world


def _add(world: OpsWorld, number: int, name: str, host: str) -> None:
    path = f"/warm/{name}.raw"
    world.domains[(host, uuid_of(number))] = Domain(name, VmState.RUNNING, path)
    for each in HOSTS:
        world.volumes[(each, path)] = "data"
