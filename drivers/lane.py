"""A daemon thread with a queue: where blocking calls wait without holding anybody else.

libvirt and DuckDB block. ThreadPoolExecutor holds process exit until a hung call returns; a daemon
thread does not. A lane that overran its deadline is *stuck*: further calls are refused at once
with TimedOut until the hung call returns, so one host can stall only itself.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from drivers.errors import TimedOut

T = TypeVar("T")
_Work = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Lane:
    """Runs callables one after another in a thread of its own.

    Args:
        name: Shown in errors and as the thread's name.
        deadline_s: Default seconds a call may take, waiting in the queue included.
    """

    def __init__(self, name: str, deadline_s: float = 10.0) -> None:
        self.name = name
        self.deadline_s = deadline_s
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._busy_since: float | None = None
        self._overran = False

    @property
    def stuck_s(self) -> float:
        """Seconds the overrun call has been hanging; 0.0 when nothing overran."""
        started = self._busy_since
        return time.monotonic() - started if self._overran and started is not None else 0.0

    async def run(self, call: Callable[[], T], *, deadline_s: float | None = None) -> T:
        """Run ``call`` in the lane's thread and wait for its value.

        Raises:
            TimedOut: The call did not return in time, or an earlier one still hangs.
        """
        if self._overran:
            raise TimedOut(
                f"{self.name} is still waiting for an earlier call",
                proof=f"no answer for {self.stuck_s:.0f} s",
                fix="it answers by itself once the host does",
            )
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self.name, daemon=True)
            self._thread.start()
        limit = self.deadline_s if deadline_s is None else deadline_s
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put((call, loop, future))
        try:
            async with asyncio.timeout(limit):
                return await future
        except TimeoutError:
            with self._lock:  # it may return this very moment: then the lane is free again
                self._overran = self._busy_since is not None
            raise TimedOut(
                f"{self.name} did not answer within {limit:g} s",
                proof="the call is still running",
                fix="check the host; the console keeps trying",
            ) from None

    def close(self) -> None:
        """End the thread after the calls already queued; a hung call is left to the daemon."""
        self._queue.put(None)
        self._thread = None

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            call, loop, future = work
            if future.cancelled():
                continue
            self._busy_since = time.monotonic()
            value: Any = None
            error: BaseException | None = None
            try:
                value = call()
            except BaseException as caught:  # noqa: BLE001 - handed to the caller
                error = caught
            with self._lock:
                self._busy_since = None
                self._overran = False
            _deliver(loop, future, value, error)


def _deliver(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Any],
    value: object,
    error: BaseException | None,
) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop closed while the call ran: nobody is left to tell
        return
