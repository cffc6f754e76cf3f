"""What every part of the benchmarks begins with: signals that end it tidily, and priority."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PRIORITY = 5


def end_tidily() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, once and without a traceback.

    So every ``finally`` runs.
    """

    def end(_number: int, _frame: object) -> None:
        sys.excepthook = lambda *_error: None
        for name in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        signal.raise_signal(signal.SIGINT)

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, end)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on a disk with a short path, which other users may enter; gone afterwards."""
    with tempfile.TemporaryDirectory(
        prefix="ncb", dir="/var/tmp", ignore_cleanup_errors=True
    ) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def protected() -> Iterator[str]:
    """Keep other programs of this machine from taking the processor meanwhile.

    All threads of this process, and processes and threads begun meanwhile, run at SCHED_FIFO, as by
    ``chrt -f 5``. That takes root (or CAP_SYS_NICE). ``nice`` would do little: Linux weighs whole
    sessions against each other first.

    Yields:
        What to print: whether it is so.
    """
    try:
        _schedule(os.SCHED_FIFO, _PRIORITY)
    except PermissionError:
        yield "other programs may disturb: only root can hold them off"
        return
    try:
        yield f"at real-time priority (SCHED_FIFO {_PRIORITY}), so that other programs disturb less"
    finally:
        _schedule(os.SCHED_OTHER, 0)


def _schedule(policy: int, priority: int) -> None:
    for task in Path("/proc/self/task").iterdir():
        try:
            os.sched_setscheduler(int(task.name), policy, os.sched_param(priority))
        except ProcessLookupError:  # the thread ended meanwhile
            continue
