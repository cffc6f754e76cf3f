"""A deadline around a driver's call, and one error tree out of whatever it raised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from drivers.errors import DriverError, Failed, TimedOut

T = TypeVar("T")

SLICE_S = 0.25
"""How finely time is told from time that does not count."""


async def guarded(
    call: Coroutine[Any, Any, T],
    limit_s: float,
    what: str,
    *,
    unless: Callable[[], bool] | None = None,
) -> T:
    """The call's value within ``limit_s`` seconds; time does not count while ``unless()`` is true.

    Drivers keep deadlines of their own. This one is for a driver that does not.

    Raises:
        TimedOut: The call did not return.
        DriverError: What the call raised; a foreign exception becomes Failed.
    """
    task = asyncio.ensure_future(call)
    left = limit_s
    try:
        while True:
            pause = left if unless is None else min(left, SLICE_S)
            done, _ = await asyncio.wait((task,), timeout=pause)
            if done:
                return task.result()
            left -= 0.0 if unless is not None and unless() else pause
            if left <= 0.0:
                raise TimedOut(
                    f"{what[0].upper()}{what[1:]} did not answer within {limit_s:g} s.",
                    fix="check the host and the network; the console keeps trying",
                )
    except (DriverError, asyncio.CancelledError):
        raise
    except Exception as error:  # a defect in one driver must not end the other hosts
        raise problem_of(error, what) from error
    finally:
        task.add_done_callback(_forget)
        task.cancel()


def _forget(task: asyncio.Future[Any]) -> None:
    """Take what an abandoned call still raises, so that nothing is logged over the terminal."""
    if not task.cancelled():
        task.exception()


def problem_of(error: Exception, what: str) -> DriverError:
    """A foreign exception as a DriverError."""
    return Failed(
        f"Reading {what} failed inside the console.",
        proof=f"{type(error).__name__}: {error}",
        fix="this is a defect of NovaCron; it is tried again by itself",
    )
