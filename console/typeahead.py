"""Keys pressed faster than the screen follows go where the key before them led."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from textual import events
from textual.message_pump import MessagePump
from textual.widgets import Input

from console.sized import SizedApp

QUIET = 2
"""Rounds without anything waiting until a key counts as dealt with: what a widget is just dealing
with waits no more, and what it sets off is behind the mark of that round."""

ROUNDS = 6
"""Rounds after which the next key goes on anyway: news never keep the keys waiting."""

LOST_S = 2.0
"""Seconds after which a mark counts as lost, whatever became of it: no key waits for ever."""

PAUSE_S = 0.02
"""Seconds between looks at whether the next screen has come."""


class TypeAheadApp(SizedApp):
    """An App that deals with one key at a time, however many arrive at once.

    A key is sent to what has the focus when it is sent. In ``3/web`` the slash belongs to the view
    that 3 opens and the letters to the prompt that the slash opens, also when all five arrive in
    one piece. So each waits until the one before it has come back from the widgets it went
    through, has set off all it sets off, and any screen it leads to stands.
    """

    def __init__(self) -> None:
        super().__init__()
        self.key_at = float("-inf")
        """When the last key arrived, by the monotonic clock."""
        self._keys: deque[events.Event] = deque()
        self._under_way = False
        self._round, self._rounds, self._quiet = 0, 0, 0
        self._timer: asyncio.TimerHandle | None = None

    def keys_wait(self) -> bool:
        """Whether a screen or dialog is on its way that the next key belongs to."""
        return not self.screen.is_mounted

    async def on_event(self, event: events.Event) -> None:
        """Keys and pasted text queue up; everything else goes its usual way."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        self.key_at = time.monotonic()
        self._keys.append(event)
        if self._under_way:
            return
        if self.keys_wait():
            self._mark()
        else:
            await self._send()

    async def _send(self) -> None:
        """Send the next key, and a mark after it; letters for a line need no mark."""
        self._under_way = False
        while self._keys and not self._under_way:
            event = self._keys.popleft()
            plain = isinstance(self.focused, Input) and (
                isinstance(event, events.Paste) or event.is_printable  # type: ignore[attr-defined]
            )
            await super().on_event(event)
            if not plain:
                self._rounds = self._quiet = 0
                self._mark()

    def _mark(self) -> None:
        """Follow the key through the queues from the focus up to here."""
        if not self.is_running:
            return
        self._under_way = True
        self._round += 1
        chain = list((self.focused or self.screen).ancestors_with_self)
        self._hop(self._round, chain)
        self._later(LOST_S, partial(self._hop, self._round, [self]))

    def _hop(self, number: int, chain: Sequence[MessagePump]) -> None:
        """On to the next queue that still takes something."""
        for place, node in enumerate(chain):
            if node.call_later(self._passed, number, chain[place + 1 :]):
                return

    async def _passed(self, number: int, chain: Sequence[MessagePump]) -> None:
        if chain:
            self._hop(number, chain)
        elif number == self._round:
            await self._came_back()

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, work)

    async def _came_back(self) -> None:
        """The key before has been dealt with, or has set off more."""
        if self._timer is not None:
            self._timer.cancel()
        self._rounds += 1
        self._quiet = 0 if self._astir() else self._quiet + 1
        if self.keys_wait():
            self._rounds = self._quiet = 0
            if self._keys:
                self._later(PAUSE_S, self._mark)
            else:
                self._under_way = False
        elif self._rounds < ROUNDS and self._quiet < QUIET:
            self._mark()
        else:
            await self._send()

    def _astir(self) -> bool:
        """Whether anything waits in the queues from the focus up to here."""
        start = self.focused or self.screen
        return any(node.message_queue_size for node in start.ancestors_with_self)
