"""``novacron`` that dies as by kill -9 at one exact point, named in ``NOVACRON_DIES``.

``journal:VERB``: as soon as the journal holds that step as running, before it acts.
``after:METHOD``: when that call of the driver has returned, before the journal knows.
``during:METHOD``: when that call first tells progress.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from console.cli import main
from console.jobs.journal import Journal
from drivers.kvm.driver import KvmDriver
from drivers.model.job import Job, JobState

Method = Callable[..., Awaitable[Any]]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # nothing more happens until the signal is there


def dying_journal(write: Method, verb: str) -> Method:
    async def journaled(self: Journal, job: Job) -> None:
        await write(self, job)
        if any(s.step.verb == verb and s.state is JobState.RUNNING for s in job.steps):
            die()

    return journaled


def dying_after(call: Method) -> Method:
    async def called(*args: Any, **options: Any) -> None:
        await call(*args, **options)
        die()

    return called


def dying_during(call: Method) -> Method:
    async def called(*args: Any) -> None:
        await call(*args[:-1], lambda _done, _total: die())

    return called


def arm(point: str) -> None:
    """Make this process die at ``point``."""
    kind, _, name = point.partition(":")
    if kind == "journal":
        Journal.write = dying_journal(Journal.write, name)  # type: ignore[method-assign]
    else:
        wrap = {"after": dying_after, "during": dying_during}[kind]
        setattr(KvmDriver, name, wrap(getattr(KvmDriver, name)))


if __name__ == "__main__":
    arm(os.environ["NOVACRON_DIES"])
    sys.exit(main())
