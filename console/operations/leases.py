"""The leases that this console's operations hold: no two consoles work on a host at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from weakref import WeakValueDictionary

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
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def holds(self, host: str) -> bool:
        """Whether an operation of this console holds a host now."""
        held = self._held.get(host)
        return held is not None and not held.lost.is_set()

    async def take(self, operation_id: str, hosts: Iterable[str], words: str) -> None:
        """Hold all these hosts, or none of them; one that cannot be held is gone on without.

        They are asked side by side, so that one that hangs delays no other, nor any operation
        that does not want it. A host that does not answer, or where no command can be run, gives no
        lease: the journal still keeps operations of one history apart.

        Raises:
            Busy: Another console holds one of them; says who.
        """
        async with _turn(self._asking, operation_id):
            before = {host for host, users in self._users.items() if operation_id in users}
            asked = (self._one(operation_id, host, words) for host in sorted(set(hosts)))
            try:
                # All are waited for: a lease that is just being given must not be forgotten.
                answers = await asyncio.gather(*asked, return_exceptions=True)
            except asyncio.CancelledError:
                await self._release(operation_id, keep=before)
                raise
            for error in answers:
                if error is None or (
                    isinstance(error, DriverError) and not isinstance(error, Busy)
                ):
                    continue
                await self._release(operation_id, keep=before)
                raise error

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
                with suppress(DriverError):  # the next look tells it again
                    await lost(taken)

    async def release(self, operation_id: str) -> None:
        """Let go of what no other operation of this console needs; never raises."""
        async with _turn(self._asking, operation_id):
            await self._release(operation_id, keep=set())

    async def _one(self, operation_id: str, host: str, words: str) -> None:
        async with _turn(self._changing, host):
            held = self._held.get(host)
            if held is None or held.lost.is_set():
                self._held[host] = await self._hold(host, words)
            self._users.setdefault(host, set()).add(operation_id)

    async def _release(self, operation_id: str, keep: set[str]) -> None:
        mine = [h for h, users in self._users.items() if operation_id in users and h not in keep]
        await asyncio.gather(*(self._leave(operation_id, host) for host in mine))

    async def _leave(self, operation_id: str, host: str) -> None:
        async with _turn(self._changing, host):
            users = self._users.get(host, set())
            users.discard(operation_id)
            if users:
                return
            self._users.pop(host, None)
            held = self._held.pop(host, None)
            if held is not None:
                await held.release()


def _turn(locks: WeakValueDictionary[str, asyncio.Lock], name: str) -> asyncio.Lock:
    """The lock of one name, which goes when nobody has or wants it."""
    return locks.setdefault(name, asyncio.Lock())
