"""The lanes of one connected host: fast (/proc), slow (libvirt) and pools, each at its own pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from console.merge import (
    Picture,
    with_event,
    with_fast,
    with_missing,
    with_pools,
    with_slow,
    with_time,
)
from console.poller.guard import guarded
from console.poller.pulse import Pulse
from console.poller.turns import Turns
from drivers.errors import DriverError, TimedOut, Unreachable, Unsupported
from drivers.model.event import Event
from drivers.model.host import LinkState
from drivers.model.problem import Missing, Problem

if TYPE_CHECKING:
    from console.poller.watch import HostWatch

GRACE_S = 5.0
"""Seconds beyond a driver's own deadline after which a reading counts as hung."""

PING_S = 3.0
"""Seconds a host has to show that it is there at all, once a reading got no answer."""

JOB_S = 2.0
"""Slow interval in seconds while a VM of the host has a job under way."""

GATHER_S = 0.05
"""Seconds an early reading waits, so that one reading answers a burst of events."""

LEAST_S = 0.5
"""Least seconds between the starts of two readings of one lane, however often it is nudged."""

SLOWEST = 4
"""A failing lane waits at most so many times its interval."""


JITTER = 0.3
"""Share of that wait that is random, so that hosts that failed together do not return in a herd."""


class Lanes:
    """Reads for one watch while its host is connected.

    A lane that fails waits longer each time and marks the host degraded; the other lanes go on. A
    lane that gets no answer asks whether the host is there at all, and if not, ends the session.
    """

    def __init__(self, watch: HostWatch) -> None:
        self._watch = watch
        self._driver = watch.driver
        self.slow_due = asyncio.Event()
        self._fast_due = asyncio.Event()
        self._pools_due = asyncio.Event()
        self._facts_due = asyncio.Event()
        self._first = asyncio.Event()
        self._has_fast = True
        self._reading = False
        self._meanwhile: list[Event] = []
        self._look_for_volumes = False
        self._problems: dict[str, Problem] = {}
        self._turns: dict[str, Turns] = {}
        self.pulse = Pulse(watch, self._tick)

    def wake_all(self) -> None:
        """Make every lane read now, because a person asked: volumes made outside count too."""
        self._look_for_volumes = True
        for due in (self.slow_due, self._fast_due, self._pools_due, self._facts_due):
            due.set()

    async def read_anew(self, *, pools: bool) -> None:
        """Until domains are shown by a reading that began after this call, and pools before it.

        In this order, since what a disk is depends on the volumes that are known.
        """
        dues = {"pools": self._pools_due, "slow": self.slow_due}
        for name in ("pools", "slow") if pools else ("slow",):
            if name in self._turns:
                asked = self._turns[name].next()
                dues[name].set()
                await asyncio.wait((asked,))

    def over(self) -> None:
        """The session has ended: nobody waits for its readings any more."""
        for turns in self._turns.values():
            turns.over()
        self._turns.clear()

    def remember(self, event: Event) -> None:
        """Keep an event that came during a slow reading, which may be older than it."""
        if self._reading:
            self._meanwhile.append(event)

    def work(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """The lanes' coroutines for one session, all starting afresh."""
        self._problems.clear()
        self._meanwhile.clear()
        self._reading = False
        self._has_fast = True
        self._first.clear()
        self._turns.update({name: Turns() for name in ("slow", "fast", "pools", "facts")})
        spec = self._driver.spec
        return (
            self._lane("slow", self._read_slow, self.slow_due, self._slow_s),
            self._lane("fast", self._read_fast, self._fast_due, lambda: spec.fast_s),
            self._pools_lane(),
            self._facts_lane(),
            self.pulse.run(),
        )

    # -- pace ---------------------------------------------------------------------------------

    async def _lane(
        self,
        name: str,
        read: Callable[[], Coroutine[Any, Any, None]],
        due: asyncio.Event,
        interval: Callable[[], float],
    ) -> None:
        loop = asyncio.get_running_loop()
        limit = self._driver.spec.deadline_s + GRACE_S
        failures, share = 0, 0.5 + self._watch.phase / 2
        while True:
            await self._watch.running.wait()
            due.clear()
            began = loop.time()
            try:
                await guarded(self._told(name, read), limit, f"the {name} lane")
                self.pulse.heard()
                failures = 0
                self._settle(name, None)
            except Unsupported as error:
                self._miss(name, error)
                return
            except Unreachable:
                raise
            except DriverError as error:
                failures += 1
                self._settle(name, error.problem)
                if isinstance(error, TimedOut):
                    await self._still_there()
            pause = interval() * min(SLOWEST, 2**failures) * share
            pause *= 1.0 - JITTER * self._watch.chance() if failures else 1.0
            share = 1.0
            await _rest(due, began, pause)

    async def _told(self, name: str, read: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """One reading, for whoever waits for it."""
        turns = self._turns[name]
        turns.begun()
        try:
            await read()
        finally:
            turns.ended()

    async def _pools_lane(self) -> None:
        spec = self._driver.spec
        with suppress(TimeoutError):
            async with asyncio.timeout(spec.deadline_s):
                await self._first.wait()
        await self._lane("pools", self._read_pools, self._pools_due, lambda: spec.pools_s)

    async def _facts_lane(self) -> None:
        """What a host is was read at connection: the first turn comes an interval later."""
        spec = self._driver.spec
        self._facts_due.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(spec.pools_s):
                await self._facts_due.wait()
        await self._lane("facts", self._read_facts, self._facts_due, lambda: spec.pools_s)

    def _slow_s(self) -> float:
        slow_s = self._driver.spec.slow_s
        busy = any(vm.job is not None for vm in self._watch.picture.host.vms)
        return min(slow_s, JOB_S) if busy else slow_s

    async def _still_there(self) -> None:
        limit = min(PING_S, self._driver.spec.deadline_s)
        with suppress(Unsupported):
            await guarded(self._driver.ping(), limit, "the host")

    # -- readings -----------------------------------------------------------------------------

    async def _read_slow(self) -> None:
        self._reading = True
        try:
            reading = await self._driver.read_slow()
        finally:
            self._reading = False
            meanwhile, self._meanwhile = self._meanwhile, []
        watch = self._watch
        before = watch.picture.base.keys()
        picture = with_slow(watch.picture, reading)
        for event in meanwhile:
            picture = with_event(picture, event)
        first = not self._first.is_set()
        watch.show(picture, at_once=first or bool(meanwhile))
        self._settle("stuck", _stuck(self._watch.picture))
        if meanwhile:
            self.slow_due.set()
        if first:
            self._first.set()
            watch.first_data()
        if picture.base.keys() != before:
            self._fast_due.set()
        if not self._has_fast:
            await self._measure_rtt()

    async def _read_fast(self) -> None:
        reading = await self._driver.read_fast()
        first = self._watch.picture.host.fast_at == 0.0
        self._watch.show(with_fast(self._watch.picture, reading), at_once=first)

    async def _read_pools(self) -> None:
        if self._look_for_volumes:
            self._look_for_volumes = False
            await self._driver.refresh_pools()
        pools = await self._driver.read_pools()
        self._watch.show(with_pools(self._watch.picture, pools, self._watch.clock()))

    async def _read_facts(self) -> None:
        facts = await self._driver.read_facts()
        picture = self._watch.picture
        self._watch.show(replace(picture, host=replace(picture.host, facts=facts)))

    async def _measure_rtt(self) -> None:
        rtt = await self._driver.ping()
        picture = self._watch.picture
        link = replace(picture.host.link, rtt_ms=rtt)
        self._watch.show(replace(picture, host=replace(picture.host, link=link)))

    # -- verdicts -----------------------------------------------------------------------------

    def _tick(self, silence: Problem | None) -> None:
        """Once a second: how long monitors hang, and how long nothing has come."""
        watch = self._watch
        watch.show(with_time(watch.picture, watch.clock()))
        self._settle("stuck", _stuck(watch.picture))
        self._settle("silence", silence)

    def _miss(self, name: str, error: Unsupported) -> None:
        if name == "fast":
            self._has_fast = False
        self._turns.pop(name).over()
        self._settle(name, None)
        gone = Missing(name, str(error.problem.what), error.problem.fix)
        self._watch.show(with_missing(self._watch.picture, name, (gone,)))

    def _settle(self, name: str, problem: Problem | None) -> None:
        """Note how a lane fares, and show the host as degraded while any lane fares badly."""
        if problem is None:
            self._problems.pop(name, None)
        else:
            self._problems[name] = problem
            if name == "pools":
                gone = Missing("pools", problem.what, problem.fix)
                self._watch.show(with_missing(self._watch.picture, "pools", (gone,)))
        worst = self._problems.get("silence") or next(iter(self._problems.values()), None)
        self._watch.link(LinkState.UP if worst is None else LinkState.DEGRADED, worst)


def _stuck(picture: Picture) -> Problem | None:
    hung = [
        (vm.monitor_stuck_s, vm.name)
        for uuid in picture.stuck
        if (vm := picture.base.get(uuid)) is not None and vm.monitor_stuck_s is not None
    ]
    if not hung:
        return None
    seconds, name = max(hung)
    more = f" and {len(hung) - 1} more" if len(hung) > 1 else ""
    return Problem(
        f"The QEMU monitor of {name}{more} does not answer.",
        proof=f"stuck for {seconds:.0f} s",
        fix="look at that QEMU process on the host; the other VMs are read without it",
        code="monitor-stuck",
    )


async def _rest(due: asyncio.Event, began: float, pause: float) -> None:
    """Sleep until the next tick or until ``due``; ticks missed meanwhile are dropped."""
    loop = asyncio.get_running_loop()
    pause = max(pause, 0.01)
    elapsed = loop.time() - began
    try:
        async with asyncio.timeout(pause - elapsed % pause):
            await due.wait()
    except TimeoutError:
        return
    await asyncio.sleep(max(GATHER_S, LEAST_S - (loop.time() - began)))
