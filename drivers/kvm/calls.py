"""The libvirt calls under way on one host: a connection in use must not be closed.

libvirt frees it under the call, which then crashes the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
# Seconds that calls under way may take to notice that their carrier is gone.
_QUIET_S = 0.5


class Calls:
    """Counts the calls that run, in whatever threads they do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._late: Sequence[Callable[[], None]] = ()

    @property
    def running(self) -> int:
        """How many calls have not returned."""
        return self._running

    def counted(self, call: Callable[[], T]) -> Callable[[], T]:
        """``call``, known to run while it does; the last to return does what came too late."""

        def run() -> T:
            with self._lock:
                self._running += 1
            try:
                return call()
            finally:
                with self._lock:
                    self._running -= 1
                    late: Sequence[Callable[[], None]] = ()
                    if not self._running:
                        late, self._late = self._late, ()
                for do in late:
                    do()

        return run

    async def quiet(self, late: Sequence[Callable[[], None]]) -> bool:
        """Whether no call runs any more, after a short wait.

        Args:
            late: Where one still runs: what the last of them does once it has returned, in its
                thread. It must not raise.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_QUIET_S):
                while self._running:  # noqa: ASYNC110 - threads end without telling the loop
                    await asyncio.sleep(_QUIET_S / 20)
        with self._lock:
            if self._running:
                self._late = late
            return not self._running
