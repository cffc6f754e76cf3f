"""One host: connect, read its lanes, follow its events, and come back after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from console.breaker import Breaker
from console.merge import Picture, with_event
from console.poller.connecting import Connecting
from console.poller.guard import guarded, problem_of
from console.poller.lanes import Lanes
from drivers.errors import AuthFailed, DriverError, HostKeyChanged, HostKeyUnknown, Unreachable
from drivers.model.event import Event, EventKind, Severity
from drivers.model.host import Host, Link, LinkState
from drivers.model.problem import Problem
from drivers.protocol import HostDriver

GRACE_S = 5.0
"""Seconds beyond a driver's own deadline after which it counts as hung."""

CLOSE_S = 5.0
"""Seconds a driver may take to let go before a new attempt is made."""


ANEW_S = 10.0
"""Seconds a host is given to be read anew; a pool on a dead file server takes for ever."""


class Board(Protocol):
    """Where a watch reports."""

    def changed(self, old: Picture, new: Picture, *, at_once: bool) -> None:
        """The host's picture changed."""
        ...

    def happened(self, event: Event) -> None:
        """Something happened on the host or to its connection."""
        ...


class HostWatch:
    """Holds the picture of one host and the tasks that keep it fresh.

    Args:
        driver: The host's driver, unconnected.
        board: Told of each change.
        clock: Seconds since the epoch, for ages.
        chance: Random numbers from 0 to 1, for jitter.
        phase: Where in each interval this host reads, 0 to 1, so that hosts do not read together.
        connecting: Whose turn it is to connect.
    """

    def __init__(
        self,
        driver: HostDriver,
        board: Board,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
        phase: float,
        connecting: Connecting,
    ) -> None:
        self.driver = driver
        self.clock = clock
        self.phase = phase
        self.picture = Picture(Host(driver.spec, Link(since=clock()), simulated=driver.simulated))
        self.running = asyncio.Event()
        self.running.set()
        self._board = board
        self._connecting = connecting
        self.chance = chance
        self._breaker = Breaker()
        self._wake = asyncio.Event()
        self._asked = False
        self._lanes = Lanes(self)
        self._lost: Problem | None = None
        self._due: float | None = None

    # -- asked from outside -------------------------------------------------------------------

    def refresh(self) -> None:
        """Read again now, or connect again now."""
        self._breaker = self._breaker.reset()
        self._wake.set()
        self._lanes.wake_all()

    def nudge(self) -> None:
        """Read domains early."""
        self._lanes.slow_due.set()

    async def read_anew(self, *, pools: bool) -> None:
        """Until domains (and pools) were read again, at most ten seconds.

        A host that is not connected is read when it comes back, one that is paused when a person
        wants it.
        """
        reads = self.picture.host.link.state in (LinkState.UP, LinkState.DEGRADED)
        if reads and self.running.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(ANEW_S):
                    await self._lanes.read_anew(pools=pools)

    def pause(self, paused: bool) -> None:
        """Stop or resume reading."""
        if paused:
            self.running.clear()
        else:
            self.running.set()

    def deciding(self, waits: bool) -> None:
        """A person is being asked about this host, or no longer is."""
        self._asked = waits
        state = self.picture.host.link.state
        if waits:
            self.link(LinkState.DECISION)
        elif state is LinkState.DECISION:
            self.link(LinkState.CONNECTING)

    # -- told by the lanes --------------------------------------------------------------------

    def show(self, picture: Picture, *, at_once: bool = False) -> None:
        """Replace the picture and tell the board."""
        old, self.picture = self.picture, picture
        if picture is not old:
            self._board.changed(old, picture, at_once=at_once)

    def link(
        self, state: LinkState, problem: Problem | None = None, retry_at: float | None = None
    ) -> None:
        """Show how the console stands with the host."""
        host = self.picture.host
        old = host.link
        new = replace(
            old,
            state=state,
            since=old.since if state is old.state else self.clock(),
            problem=problem,
            attempts=self._breaker.failures,
            retry_at=retry_at,
            route=self.driver.route or old.route,
        )
        if new != old:
            self.show(
                replace(self.picture, host=replace(host, link=new)), at_once=state is not old.state
            )

    def first_data(self) -> None:
        """The slow lane answered: the host is truly back, forget earlier failures."""
        self._breaker = self._breaker.reset()

    # -- life ---------------------------------------------------------------------------------

    async def run(self, delay_s: float) -> None:
        """Connect, watch and reconnect until cancelled."""
        try:
            await asyncio.sleep(delay_s)
            while True:
                await self._session()
                await self._wait()
        finally:
            await self._close()

    async def _session(self) -> None:
        """Connect and watch until something breaks, and tell what did.

        It is told before the driver lets go, which takes a while where the host is mute.
        """
        try:
            try:
                await self._connect()
                problem: DriverError = await self._watch()
            except DriverError as error:
                problem = error
            self._after(problem)
        finally:
            await self._close()

    async def _connect(self) -> None:
        if self.picture.host.link.state is not LinkState.DOWN:
            self.link(LinkState.CONNECTING)
        spec, failed = self.driver.spec, self._breaker.failures > 0
        async with self._connecting.turn(spec.site, failed=failed):
            limit = spec.connect_s + GRACE_S
            facts = await guarded(
                self.driver.connect(), limit, "the connection", unless=lambda: self._asked
            )
        self._asked = False
        host = replace(self.picture.host, facts=facts)
        self.show(replace(self.picture, host=host), at_once=True)
        self.link(LinkState.UP)
        self._tell_connected()

    async def _watch(self) -> DriverError:
        """Run the lanes and the event stream until one of them ends the session."""
        tasks = [asyncio.create_task(work) for work in (self._follow(), *self._lanes.work())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._lanes.over()
        return Unreachable("The connection ended.")

    async def _follow(self) -> None:
        try:
            async for event in self.driver.events():
                self._take(event)
                if event.change == "lost":
                    raise Unreachable(event.text, event.detail, "it is tried again by itself")
        except DriverError:
            raise
        except Exception as error:  # a defect in one driver must not end the other hosts
            raise problem_of(error, "the event stream") from error
        raise Unreachable("The connection ended.", fix="it is tried again by itself")

    def _take(self, event: Event) -> None:
        if event.change in ("lost", "connected"):
            return
        self._lanes.pulse.heard()
        picture = with_event(self.picture, event)
        if picture is not self.picture:
            self._lanes.remember(event)
        self.show(picture, at_once=True)
        self._board.happened(event)
        if event.kind in (EventKind.LIFECYCLE, EventKind.JOB, EventKind.BLOCK, EventKind.DEVICE):
            self._lanes.slow_due.set()

    def _after(self, error: DriverError) -> None:
        problem = error.problem
        self._wake.clear()
        if isinstance(error, HostKeyUnknown | HostKeyChanged):
            self._breaker, state = self._breaker.held(), LinkState.DECISION
        elif isinstance(error, AuthFailed):
            # Keys alone are refused during an outage of the directory as well: it comes back.
            held = error.answered
            self._breaker = self._breaker.held() if held else self._breaker.rarely(self.chance())
            state = LinkState.DOWN
        else:
            self._breaker, state = self._breaker.failed(self.chance()), LinkState.DOWN
        wait = self._breaker.wait_s
        self._due = None if wait is None else asyncio.get_running_loop().time() + wait
        retry_at = None if wait is None else self.clock() + wait
        self.link(state, problem, retry_at)
        self._tell_lost(problem)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout_at(self._due):
                await self._wake.wait()
        except TimeoutError:
            pass
        else:
            if self.picture.host.link.state is LinkState.DECISION:
                self.link(LinkState.CONNECTING)
        await self.running.wait()

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.driver.close()
        except Exception:  # noqa: BLE001 - late or a defect: neither may end the other hosts
            return

    # -- words --------------------------------------------------------------------------------

    def _tell_connected(self) -> None:
        text = f"connected, {self.driver.route}" if self.driver.route else "connected"
        if self._lost is not None:
            text = f"back: {text}"
        self._lost = None
        self._tell(text, "", "connected", Severity.INFO)

    def _tell_lost(self, problem: Problem) -> None:
        """Say it once for each new reason, not once an attempt."""
        if self._lost is not None and self._lost.code == problem.code:
            return
        self._lost = problem
        detail = " ".join(part for part in (problem.proof, problem.fix) if part)
        self._tell(f"lost: {problem.what}", detail, "lost", Severity.ERROR)

    def _tell(self, text: str, detail: str, change: str, severity: Severity) -> None:
        self._board.happened(
            Event(
                at=self.clock(),
                kind=EventKind.CONNECTION,
                host=self.driver.spec.name,
                text=text,
                detail=detail,
                change=change,
                severity=severity,
            )
        )
