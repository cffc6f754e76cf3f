"""Everything that belongs to one connection of a driver, made and thrown away as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from drivers.kvm.blocks import BlockJobs
from drivers.kvm.events import EventHub
from drivers.kvm.facts import read_changes, read_facts
from drivers.kvm.pools import PoolReader
from drivers.kvm.session import Session, together
from drivers.kvm.slow import SlowReader
from drivers.kvm.swift import Swift
from drivers.model.event import Event, EventKind
from drivers.model.host import HostFacts, HostSpec
from drivers.protocol import Prompter
from drivers.ssh.desk import Desk

# Changes after which a domain's XML may say something else.
_XML_CHANGES = frozenset(
    {
        "defined",
        "started",
        "stopped",
        "device-removed",
        "device-added",
        "metadata",
        "tray",
        "block-ready",
        "block-completed",
        "block-failed",
        "block-cancelled",
    }
)


class Live:
    """One connection with its readers.

    Args:
        spec: The host.
        prompter: Asked while connecting.
        clock: The console's clock.
        desk: What the SSH connections of this console share.
    """

    def __init__(
        self, spec: HostSpec, prompter: Prompter, clock: Callable[[], float], desk: Desk
    ) -> None:
        self.hub = EventHub(spec.name, clock, self._observe)
        self.session = Session(spec, prompter, self.hub.end, desk)
        self.pools = PoolReader(self.session, clock)
        self.slow = SlowReader(self.session, clock, lambda: self.pools.places)
        self.blocks = BlockJobs(self.session)
        self.swift = Swift(self.session, clock)
        self._clock = clock
        self._handles: list[int] = []
        self._facts = HostFacts()

    async def open(self) -> HostFacts:
        """Connect, register for events and read what the host is.

        What goes over connections of their own is asked side by side, which a far host feels; on
        one connection it is done in turn, for several threads at it have crashed the client.
        """
        await self.session.open()
        session = self.session
        facts, _ = await together(self._describe(), self.slow.prepare())
        text = f"connected: {session.route}"
        name = session.spec.name
        self.hub.publish(Event(self._clock(), EventKind.CONNECTION, name, text, change="connected"))
        self._facts = cast(HostFacts, facts)
        return self._facts

    async def read_facts(self) -> HostFacts:
        """What the host is, with what changes while it is connected read again."""
        self._facts = await read_changes(self.session, self._clock, self._facts)
        return self._facts

    async def _describe(self) -> HostFacts:
        session = self.session
        await session.arm()
        if session.diag is session.conn:
            await self._arm()
            return await read_facts(session, self._clock)
        facts, _ = await together(read_facts(session, self._clock), self._arm())
        return cast(HostFacts, facts)

    async def _arm(self) -> None:
        session = self.session
        # Into a list of ours: what is registered when this is cancelled is let go by close as well.
        await session.call(
            lambda: self.hub.arm(session.lv, session.conn, self._handles),
            "events could not be registered",
        )

    async def close(self) -> None:
        """Let go of everything within two seconds, also of a mute host; never raises."""
        self.hub.end()
        self.pools.close()
        sweeps = self.slow.close()
        # Side by side: what the link carries ends with it at the latest.
        await asyncio.gather(
            self.swift.close(), self.session.close(tuple(self._handles), (sweeps,))
        )

    def _observe(self, event: Event) -> None:
        if not event.vm:
            return
        if event.change in _XML_CHANGES:
            self.slow.changed(event.vm)
        if event.kind is EventKind.BLOCK:
            self.blocks.observe(event.change, event.vm, event.detail)
        if event.change == "migration-iteration":
            self.slow.job(event.vm, running=True)
        elif event.change in ("job-completed", "stopped", "resumed"):
            self.slow.job(event.vm, running=False)
