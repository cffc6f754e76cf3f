"""What the connections of one console share: login slots, decisions and opened keys.

sshd counts logins (MaxStartups) and a person answers questions for the console as a whole, so one
desk is made with the console's drivers and handed to each of them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from drivers.scratch import Scratch

if TYPE_CHECKING:
    import asyncssh

# sshd's default MaxStartups is 10:30:100: from the tenth login under way on it drops some.
LOGINS_AT_ONCE = 8


class Slot:
    """One of the places at an address, given back at the end of the block or by ``leave``."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._held = False

    async def __aenter__(self) -> Slot:
        await self._places.acquire()
        self._held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Give the place back before the end; a second time does nothing."""
        if self._held:
            self._held = False
            self._places.release()


class Desk:
    """Shared by all links of one console, in one event loop.

    Attributes:
        opened: Private keys that were opened with their passphrase.
        scratch: Makes the folders of forwarded sockets.
    """

    def __init__(self) -> None:
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._once: set[tuple[str, bytes]] = set()
        self.opened: dict[str, asyncssh.SSHKey] = {}
        self.scratch = Scratch()

    def login(self, address: str) -> Slot:
        """A slot to log in at ``address``; hold it from TCP until authenticated."""
        return Slot(self._slots.setdefault(address, asyncio.Semaphore(LOGINS_AT_ONCE)))

    def question(self, subject: str) -> asyncio.Lock:
        """Held while a person is asked about ``subject``, so that it is asked once."""
        return self._locks[subject]

    def trust_once(self, name: str, key: asyncssh.SSHKey) -> None:
        """Accept ``key`` for ``name`` as long as this console runs."""
        self._once.add((name, key.public_data))

    def trusts(self, name: str, key: asyncssh.SSHKey) -> bool:
        """Whether ``key`` was accepted for ``name`` without being put on record."""
        return (name, key.public_data) in self._once


class Patience:
    """A deadline that stands still while a person is asked.

    Raises:
        TimeoutError: From the ``async with`` block, once ``seconds`` without questions passed.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._timeout: asyncio.Timeout | None = None
        self._pauses = 0

    async def __aenter__(self) -> Patience:
        self._timeout = asyncio.timeout(self._left)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        timeout, self._timeout = self._timeout, None
        if timeout is not None:
            await timeout.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def person(self) -> AsyncIterator[None]:
        """Stop the clock meanwhile."""
        now = asyncio.get_running_loop().time
        if self._pauses == 0 and self._timeout and (due := self._timeout.when()) is not None:
            self._left = due - now()
            self._reschedule(None)
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            if self._pauses == 0:
                self._reschedule(now() + self._left)

    def _reschedule(self, when: float | None) -> None:
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(when)
