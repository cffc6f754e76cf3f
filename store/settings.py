"""How history is kept: limits, retention and rhythm."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HOUR = 3600.0
DAY = 24 * HOUR


def ticks() -> float:
    """Seconds since boot, those asleep included (CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Which boot of the machine this is; empty where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Limits, retention and rhythm of the store. Times are seconds, sizes bytes.

    Attributes:
        memory_limit: What DuckDB may take, in its own notation. Its default would be 80 % of RAM.
        threads: Threads DuckDB may use for one query.
        raw_s: How long samples are kept as recorded.
        minute_s: How long one-minute means and maxima are kept.
        hour_s: How long one-hour means and maxima, events, placements and ended jobs are kept.
        commit_s: Longest wait before queued samples are committed; kill -9 loses no more.
        ring: Samples kept in memory while they cannot be written; the oldest are dropped beyond.
        lease_s: Least time a host stays with the console that records it; three of its intervals
            if that is longer.
        free_bytes: Recording pauses while the filesystem has less free space than this.
        retry_s: Wait between attempts to resume recording or to take over the file.
        temp_bytes: What a large query may spill to disk.
        group: Group whose members may connect to the socket; empty for the same user only.
        clock: Seconds since the epoch.
        ticks: Seconds since boot, those asleep included.
        boot: Which boot of the machine this is; empty where that cannot be told.
    """

    memory_limit: str = "256MB"
    threads: int = 2
    raw_s: float = 48 * HOUR
    minute_s: float = 30 * DAY
    hour_s: float = 730 * DAY
    commit_s: float = 2.0
    ring: int = 200_000
    lease_s: float = 15.0
    free_bytes: int = 256 * 1024 * 1024
    retry_s: float = 1.0
    temp_bytes: int = 1024 * 1024 * 1024
    group: str = ""
    clock: Callable[[], float] = time.time
    ticks: Callable[[], float] = ticks
    boot: Callable[[], str] = boot_id
