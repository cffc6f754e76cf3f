"""The simulated hosts, guests, pools and volumes, and what can happen to them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from drivers.errors import DriverError, Gone, Unreachable
from drivers.model.event import Event, EventKind, Severity
from drivers.model.host import HostFacts, HostSpec
from drivers.model.storage import Pool, Volume
from drivers.model.vm import JobProgress, Vm, VmState
from drivers.protocol import BlockJob, ByteStream
from drivers.sim.waves import Character

if TYPE_CHECKING:
    from drivers.sim.tasks import SimTask

Listener = tuple[asyncio.AbstractEventLoop, "asyncio.Queue[Event]"]
"""Where a connected driver waits for events, and the loop it waits in."""


@dataclass(slots=True)
class SimJob:
    """A live migration under way; ``progress`` tells how it stands at any instant.

    Attributes:
        tune: Takes another cap (MiB/s) and another allowed pause (milliseconds); None keeps one.
        may_post_copy: It was begun with permission to switch early.
        post_copy: Switch now; what is left is taken as fetched at once.
    """

    progress: Callable[[float], JobProgress]
    tune: Callable[[int | None, float | None], None]
    may_post_copy: bool = False
    aborted: bool = False
    post_copy: bool = False


@dataclass(slots=True)
class SimCopy:
    """A live block copy of one disk: bytes, and when it began."""

    path: str
    fmt: str
    total: int
    began: float
    rate_bps: float

    def at(self, now: float) -> BlockJob:
        """State of the copy at ``now``."""
        done = min(self.total, int((now - self.began) * self.rate_bps))
        return BlockJob(done, self.total, done >= self.total, self.rate_bps)


@dataclass(slots=True)
class SimVm:
    """A guest: its frozen description, replaced on each change, and its character.

    ``last`` is how its last migration ended.
    """

    vm: Vm
    character: Character
    job: SimJob | None = None
    last: JobProgress | None = None
    copies: dict[str, SimCopy] = field(default_factory=dict)
    stuck_since: float | None = None
    console: ByteStream | None = None


@dataclass(slots=True)
class SimHost:
    """A host: what it is, what it holds, and what is wrong with it."""

    spec: HostSpec
    facts: HostFacts
    rtt_ms: float
    key: int
    booted_at: float
    guests: dict[str, SimVm] = field(default_factory=dict)
    incoming: dict[str, SimVm] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    down: DriverError | None = None
    hung: bool = False
    no_psi: bool = False
    no_io: bool = False
    listeners: list[Listener] = field(default_factory=list)
    lease: str = ""
    cut: bool = False
    boots: int = 1
    tasks: dict[str, SimTask] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The host's name in the fleet."""
        return self.spec.name

    def guest(self, uuid: str) -> SimVm:
        """The guest of that UUID.

        Raises:
            Gone: It is not on this host.
        """
        found = self.guests.get(uuid)
        if found is None:
            raise Gone(
                f"{self.name} has no domain of that UUID.",
                proof=f"Domain not found: no domain with matching uuid '{uuid}'",
                fix="refresh; it may have moved",
            )
        return found


class World:
    """All hosts, their clock, and the events they send.

    Args:
        clock: Seconds since the epoch.
        pace: Factor on every simulated delay; 0 makes answers immediate.
    """

    def __init__(self, clock: Callable[[], float], pace: float) -> None:
        self.clock = clock
        self.pace = pace
        self.hosts: dict[str, SimHost] = {}
        self.contents: dict[str, str] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def emit(
        self,
        host: SimHost,
        vm: Vm | None,
        change: str,
        text: str,
        *,
        kind: EventKind = EventKind.LIFECYCLE,
        severity: Severity = Severity.INFO,
    ) -> None:
        """Send an event to everybody connected to ``host``."""
        uuid, name = (vm.uuid, vm.name) if vm is not None else ("", "")
        event = Event(
            self.clock(), kind, host.name, text, uuid, name, change=change, severity=severity
        )
        for loop, queue in host.listeners:
            with suppress(RuntimeError):  # that console's loop has ended
                loop.call_soon_threadsafe(queue.put_nowait, event)

    def enter(
        self, host: SimHost, guest: SimVm, state: VmState, reason: str, change: str, text: str
    ) -> None:
        """Put a guest into a state, with its event."""
        vm = replace(guest.vm, state=state, reason=reason)
        if state.active and not guest.vm.state.active:
            vm = replace(vm, started_at=self.clock(), domain_id=1 + guest.character.key % 9973)
        elif not state.active:
            vm = replace(vm, started_at=None, domain_id=-1)
            guest.copies.clear()
            guest.stuck_since = None
        guest.vm = vm
        self.emit(host, vm, change, text)

    async def delay(self, seconds: float) -> None:
        """Take believable time."""
        await asyncio.sleep(seconds * self.pace)

    async def until(self, moment: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Wait until the world's clock reaches ``moment`` or ``stop()`` turns true."""
        while self.clock() < moment and not stop():  # noqa: ASYNC110 - not the loop's clock
            await asyncio.sleep(min(0.1, max(0.005, moment - self.clock())))

    def spawn(self, work: asyncio.Task[None]) -> None:
        """Hold a task that goes on without its caller, as a daemon's own work does."""
        self.tasks.add(work)
        work.add_done_callback(self.tasks.discard)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Do something after believable time."""

        async def wait() -> None:
            await self.delay(seconds)
            call()

        self.spawn(asyncio.ensure_future(wait()))

    def content(self, path: str) -> str:
        """SHA-256 of what a volume holds; an untouched one differs by its path alone."""
        return self.contents.get(path) or hashlib.sha256(path.encode()).hexdigest()

    def host_of(self, spec: HostSpec) -> SimHost:
        """The host of a specification.

        Raises:
            Unreachable: This world has none.
        """
        found = self.hosts.get(spec.name)
        if found is None:
            raise Unreachable(
                f"There is no simulated host {spec.name}.",
                proof=spec.uri,
                fix="use a host of this fleet",
            )
        return found

    def take_down(self, host: SimHost, error: DriverError) -> None:
        """Switch a host off: its connections are lost and new ones fail with ``error``."""
        host.down = error
        kind, severity = EventKind.CONNECTION, Severity.ERROR
        self.emit(host, None, "lost", error.problem.what, kind=kind, severity=severity)
        host.listeners.clear()

    async def answer(self, host: SimHost) -> None:
        """One round trip to a host.

        Raises:
            Unreachable: The host is down.
        """
        if host.down is not None:
            raise again(host.down)
        while host.hung:  # noqa: ASYNC110 - turned from any thread
            await asyncio.sleep(0.05)
        await self.delay(host.rtt_ms / 1000.0)
        if host.down is not None:
            raise again(host.down)


def again(error: DriverError) -> DriverError:
    """The same failure as a new exception: one instance must not be raised many times."""
    problem = error.problem
    return type(error)(problem.what, problem.proof, problem.fix)


def unreachable(name: str, address: str) -> Unreachable:
    """What a host that is switched off says."""
    return Unreachable(
        f"{name} cannot be reached.",
        proof=f"connect to {address} port 22: No route to host",
        fix="check power and network of the host; it is tried again by itself",
    )
