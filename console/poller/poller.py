"""One frozen snapshot of the fleet out of every host's watch."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from console.merge import Picture, settle
from console.policy.bounds import BOUNDS, Bounds
from console.poller.connecting import Connecting
from console.poller.lateness import Lateness
from console.poller.watch import HostWatch
from drivers.model.event import Event
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.protocol import HostDriver

PUBLISH_S = 0.1
"""At least so long between two publications of mere figures; events are published at once."""

BURST_S = 0.01
"""At least so long between two publications in a storm of events."""

STAGGER_S = 0.025
"""Seconds between the first connections of two hosts of a site: no thundering herd."""


class Poller:
    """Watches hosts side by side; a host that hangs delays nobody.

    Must be made, run and called in one event loop. ``snapshot`` is a frozen value.

    Args:
        drivers: Unconnected drivers by host name, in display order.
        publish: Told each new snapshot, coalesced; must not block.
        on_events: Told events of hosts, and of connections made and lost, at once.
        clock: Seconds since the epoch, for ages.
        chance: Random numbers from 0 to 1, for jitter.
        bounds: How many connections are opened at a time.
    """

    def __init__(
        self,
        drivers: Mapping[str, HostDriver],
        publish: Callable[[FleetSnapshot], None],
        on_events: Callable[[tuple[Event, ...]], None],
        *,
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._publish = publish
        self._on_events = on_events
        self._clock = clock
        self._simulated = any(driver.simulated for driver in drivers.values())
        count, turns = max(1, len(drivers)), Connecting(bounds)
        self._watches = {
            name: HostWatch(
                driver, self, clock=clock, chance=chance, phase=index / count, connecting=turns
            )
            for index, (name, driver) in enumerate(drivers.items())
        }
        self._hosts: dict[str, Host] = {n: w.picture.host for n, w in self._watches.items()}
        self._places: Counter[str] = Counter()
        self._twice: frozenset[str] = frozenset()
        self._snapshot = FleetSnapshot(
            at=clock(), hosts=tuple(self._hosts.values()), simulated=self._simulated
        )
        self._dirty = False
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")
        self._tasks: list[asyncio.Task[None]] = []
        self._lateness = Lateness()

    @property
    def snapshot(self) -> FleetSnapshot:
        """The fleet as known now, news not yet published included."""
        if self._dirty:
            self._dirty = False
            old = self._snapshot
            hosts = settle(tuple(self._hosts.values()), self._twice)
            late = self._lateness.worst()
            self._snapshot = FleetSnapshot(
                self._clock(), old.version + 1, hosts, self._simulated, late
            )
        return self._snapshot

    async def run(self) -> None:
        """Watch all hosts until cancelled."""
        self._publish(self.snapshot)
        before: Counter[str] = Counter()
        for name, watch in self._watches.items():
            site = watch.driver.spec.site
            delay = before[site] * STAGGER_S
            before[site] += 1
            self._tasks.append(asyncio.create_task(watch.run(delay), name=f"watch {name}"))
        self._tasks.append(asyncio.create_task(self._lateness.run(), name="lateness"))
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Stop watching and close every connection; never raises."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def refresh(self, host: str = "") -> None:
        """Read one host (or all) again now; an open or held circuit breaker is closed first."""
        for name, watch in self._watches.items():
            if host in ("", name):
                watch.refresh()

    def nudge(self, host: str) -> None:
        """Read the host's domains early, for example after an action; unknown names are ignored."""
        if (watch := self._watches.get(host)) is not None:
            watch.nudge()

    async def read_anew(self, hosts: Iterable[str], *, pools: bool) -> None:
        """Until ``snapshot`` shows these hosts by readings that began after this call.

        A host that is not connected, or does not answer within ten seconds, is not waited for;
        unknown names are ignored.

        Args:
            hosts: Names.
            pools: Read volumes as well as domains.
        """
        watches = [self._watches[name] for name in set(hosts) if name in self._watches]
        await asyncio.gather(*(watch.read_anew(pools=pools) for watch in watches))

    def pause(self, paused: bool) -> None:
        """Stop or resume reading. Connections stay, and events go on coming in."""
        for watch in self._watches.values():
            watch.pause(paused)

    def deciding(self, host: str, waits: bool) -> None:
        """Say that a person is being asked about a host (key, password), or no longer is.

        While somebody is asked the host shows as waiting for a decision and no deadline runs.
        """
        if (watch := self._watches.get(host)) is not None:
            watch.deciding(waits)

    # -- told by the watches ------------------------------------------------------------------

    def changed(self, old: Picture, new: Picture, *, at_once: bool) -> None:
        """Take over a host's new picture; ``at_once`` skips the coalescing."""
        if old.base.keys() != new.base.keys():
            self._places.subtract(old.base.keys())
            self._places.update(new.base.keys())
            self._places = +self._places
            self._twice = frozenset(u for u, count in self._places.items() if count > 1)
        self._hosts[new.host.name] = new.host
        self._dirty = True
        self._schedule(BURST_S if at_once else PUBLISH_S)

    def happened(self, event: Event) -> None:
        """Pass on an event."""
        self._on_events((event,))

    def _schedule(self, gap_s: float) -> None:
        loop = asyncio.get_running_loop()
        due = self._last + gap_s
        if due <= loop.time():
            self._flush()
        elif self._timer is None or self._timer.when() > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(due, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._last = asyncio.get_running_loop().time()
        self._publish(self.snapshot)
