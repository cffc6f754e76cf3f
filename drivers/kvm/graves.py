"""Where libvirt's objects end: never in a thread that runs an event loop.

Python may find garbage in any thread. Freeing the last object of a connection closes it, which
waits for the host's answer; the loop that would carry that answer must not be what waits.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_End = Callable[[Any], None]


class Graves:
    """Frees objects in a daemon thread of its own."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[_End, Any]] = queue.SimpleQueue()

    def dig(self, module: Any) -> None:
        """Let every class of ``module`` that has a finalizer end here, and begin to serve."""
        for kind in [kind for kind in vars(module).values() if isinstance(kind, type)]:
            if "__del__" in vars(kind):
                kind.__del__ = self._later(vars(kind)["__del__"])  # type: ignore[attr-defined]
        threading.Thread(target=self._serve, name="libvirt-graves", daemon=True).start()

    def _later(self, end: _End) -> _End:
        put, running = self._queue.put, asyncio._get_running_loop

        def finalize(mortal: Any) -> None:
            # Lanes have no loop: they free thousands of domains a sweep, at once and cheaply.
            if running() is None:
                end(mortal)
            else:
                put((end, mortal))

        return finalize

    def _serve(self) -> None:
        while True:
            end, mortal = self._queue.get()
            with suppress(Exception):  # as in any finalizer: nobody is there to be told
                end(mortal)
            del mortal
