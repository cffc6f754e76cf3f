"""Garbage collection that never stops the interface.

Python's own full collection walks every live object: with 10,000 VMs that is hundreds of
milliseconds in which no key is answered. Snapshots are trees of frozen values and free themselves
by reference count; cycles come from closed screens and caught exceptions. So only the newest
objects are searched, often, and a full search waits until memory has really grown.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path

EVERY_S = 0.1
GROWTH = 128 * 1024 * 1024
"""Bytes the process may grow by before a full search is worth its pause."""
WARM_UP = 300
"""Rounds before growth is judged: a console fills up while its first readings come in."""


class Tidy:
    """Takes collection over from the interpreter, until ``restore``.

    Args:
        resident: Resident bytes of this process.
    """

    def __init__(self, resident: Callable[[], int] | None = None) -> None:
        self._resident = resident or resident_bytes
        self._rounds = 0
        self._base = 0
        self._was_enabled = gc.isenabled()
        gc.disable()

    def round(self) -> bool:
        """Search the objects made since the last round; True when it was a full search."""
        self._rounds += 1
        if self._rounds > WARM_UP and self._resident() - self._base > GROWTH:
            gc.unfreeze()
            gc.collect()
            self._base = self._resident()
            full = True
        else:
            gc.collect(0)
            full = False
        gc.freeze()
        if self._rounds == WARM_UP:
            self._base = self._resident()
        return full

    def restore(self) -> None:
        """Leave collection as it was found."""
        gc.unfreeze()
        if self._was_enabled:
            gc.enable()

    async def run(self) -> None:
        """Rounds for ever; restores at the end."""
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                self.round()
        finally:
            self.restore()


def resident_bytes() -> int:
    """Resident bytes of this process (/proc/self/statm)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
