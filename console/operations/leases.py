"""The leases that this console's operations hold: no two consoles work on a host at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from drivers.errors import Busy, DriverError
from drivers.protocol import HeldLease

LOOK_S = 5.0
"""How often it is looked whether all are still held."""

Hold = Callable[[str, str], Awaitable[HeldLease]]


class LeaseDesk:
    """Leases by host, shared by all operations of this console.

    Args:
        hold: Takes the lease of a host; the words tell others who holds it, since when, for what.
        sleep: Waits; replaced in tests.
    """

    def __init__(self, hold: Hold, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._hold = hold
        self._sleep = sleep
        self._held: dict[str, HeldLease] = {}
        self._users: dict[str, set[str]] = {}
        self._lock = asyncio.Lock()

    def holds(self, host: str) -> bool:
        """Whether an operation of this console holds a host now."""
        held = self._held.get(host)
        return held is not None and not held.lost.is_set()

    async def take(self, operation_id: str, hosts: Iterable[str], words: str) -> None:
        """Hold all these hosts, or none of them; one that cannot be held is gone on without.

        A host that does not answer, or where no command can be run, gives no lease: the journal
        still keeps operations of one history apart.

        Raises:
            Busy: Another console holds one of them; says who.
        """
        async with self._lock:
            before = {host for host, users in self._users.items() if operation_id in users}
            for host in sorted(hosts):
                try:
                    await self._one(operation_id, host, words)
                except Busy:
                    await self._release(operation_id, keep=before)
                    raise
                except DriverError:
                    continue

    async def keep(
        self,
        operation_id: str,
        hosts: Callable[[], Iterable[str]],
        words: str,
        lost: Callable[[Busy], Awaitable[None]],
    ) -> None:
        """Take again what a broken link has cost, until cancelled; ``lost`` hears who has it."""
        while True:
            await self._sleep(LOOK_S)
            try:
                await self.take(operation_id, hosts(), words)
            except Busy as taken:
                await lost(taken)

    async def release(self, operation_id: str) -> None:
        """Let go of what no other operation of this console needs; never raises."""
        async with self._lock:
            await self._release(operation_id, keep=set())

    async def _one(self, operation_id: str, host: str, words: str) -> None:
        held = self._held.get(host)
        if held is None or held.lost.is_set():
            self._held[host] = await self._hold(host, words)
        self._users.setdefault(host, set()).add(operation_id)

    async def _release(self, operation_id: str, keep: set[str]) -> None:
        for host, users in list(self._users.items()):
            if host in keep:
                continue
            users.discard(operation_id)
            if not users:
                del self._users[host]
                held = self._held.pop(host, None)
                if held is not None:
                    await held.release()
