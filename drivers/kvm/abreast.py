"""Blocking calls made side by side: a far host then answers several in one round trip."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

AT_ONCE = 4
"""Calls on one connection; libvirtd serves five of one client at a time."""


def side_by_side(
    calls: Sequence[Callable[[], object]],
    harmless: type[Exception],
    *,
    at_once: int = AT_ONCE,
) -> None:
    """Make all calls, the calling thread among those that do, and return once all have ended.

    Args:
        calls: What to call; values are not kept.
        harmless: The error that ends one call without a word.
        at_once: Threads at most.

    Raises:
        BaseException: The first other error of a call; calls not begun by then are left out.
    """
    left = deque(calls)
    failures: list[BaseException] = []

    def work() -> None:
        while left and not failures:
            try:
                call = left.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                call()
            except harmless:
                continue
            except BaseException as failure:  # noqa: BLE001 - raised in the calling thread
                failures.append(failure)

    helpers = [
        threading.Thread(target=work, name="libvirt call", daemon=True)
        for _ in range(min(at_once, len(calls)) - 1)
    ]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if failures:
        raise failures[0]
