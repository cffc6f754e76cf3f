"""Whether a connected host is still heard of, told second by second.

A cut or black-holed link gives no error: nothing comes, and that is all. A keepalive notices after
many seconds; a person should see sooner that what is shown grows old, and why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from console.poller.guard import guarded
from drivers.errors import DriverError, TimedOut, Unreachable
from drivers.model.problem import Problem

if TYPE_CHECKING:
    from console.poller.watch import HostWatch

TICK_S = 1.0
"""Seconds between two looks, so that ages move each second."""

ASK_S = 2.0
"""Seconds of silence after which the host is asked for a sign of life."""

SHOWN_S = 3.0
"""Seconds of silence after which it is shown: three fast readings went without an answer."""

_LEAST_S = 0.05


class Pulse:
    """Listens to one connected host.

    Args:
        watch: The host's watch.
        tell: Told at each tick of silence what is wrong, and None while the host is heard.
    """

    def __init__(self, watch: HostWatch, tell: Callable[[Problem | None], None]) -> None:
        self._watch = watch
        self._tell = tell
        self._heard_at = 0.0

    def heard(self) -> None:
        """Something came from the host."""
        self._heard_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Look each second.

        Raises:
            TimedOut: Nothing came for as long as the host may take to answer.
        """
        loop = asyncio.get_running_loop()
        limit = self._watch.driver.spec.deadline_s
        tick = min(TICK_S, limit / 4)
        asking: asyncio.Task[None] | None = None
        quiet = 0.0
        self.heard()
        try:
            while True:
                pause = max(_LEAST_S, min(tick, limit - quiet))
                due = loop.time() + pause
                await asyncio.sleep(pause)
                # Had this console itself stood still, the host is not to blame.
                late = loop.time() - due
                self._heard_at += late if late > tick else 0.0
                if not self._watch.running.is_set():
                    self.heard()
                quiet = loop.time() - self._heard_at
                if quiet >= limit:
                    raise TimedOut(*_words(quiet))
                if quiet >= min(ASK_S, limit / 3) and (asking is None or asking.done()):
                    asking = asyncio.create_task(self._ask(limit))
                self._tell(_silence(quiet) if quiet >= min(SHOWN_S, limit / 2) else None)
        finally:
            if asking is not None:
                asking.cancel()

    async def _ask(self, limit: float) -> None:
        """Whatever the host answers is a sign of life, a refusal too."""
        try:
            await guarded(self._watch.driver.ping(), limit, "the host")
        except (TimedOut, Unreachable):
            return
        except DriverError:
            pass
        self.heard()


def _words(quiet: float) -> tuple[str, str, str]:
    return (
        f"No answer for {quiet:.0f} s.",
        "the connection is open, but nothing comes over it",
        "check the host and the network; it is tried again by itself",
    )


def _silence(quiet: float) -> Problem:
    return Problem(*_words(quiet), code="silent")
