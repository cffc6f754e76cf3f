"""Job statistics (virDomainGetJobStats) and block job information to progress. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.kvm.stats import number
from drivers.kvm.words import OPERATIONS
from drivers.model.migration import MemoryCount
from drivers.model.vm import JobProgress

_MIGRATING_OUT = 5
_MIGRATING = (4, _MIGRATING_OUT)


_UNDER_WAY = (1, 2)
_COMPLETED = (3,)
"""virDomainJobType: bounded and unbounded; completed."""


def read_job(stats: Mapping[str, object], *, at: float, ended: bool = False) -> JobProgress | None:
    """The running job; None when the record says there is none or it has ended.

    Args:
        stats: What ``virDomain.jobStats()`` gave.
        at: The console's clock, epoch seconds.
        ended: The record is of a job that has ended.
    """
    if stats.get("type") not in (_COMPLETED if ended else _UNDER_WAY):
        return None
    elapsed = number(stats, "time_elapsed")
    page = number(stats, "memory_page_size")
    dirty = number(stats, "memory_dirty_rate")
    rates = [number(stats, key) for key in ("memory_bps", "disk_bps")]
    known = [value for value in rates if value is not None]
    rate = float(sum(known)) if known else None
    dirty_bps = float(dirty * page) if dirty is not None and page else None
    remaining = number(stats, "data_remaining")
    downtime = number(stats, "downtime")
    memory = _memory(stats)
    packing = _packing(stats, memory)
    plain_bps = rate * packing if rate is not None else None
    return JobProgress(
        phase=_phase(stats),
        at=at,
        started_at=at - elapsed / 1000 if elapsed is not None else 0.0,
        done=number(stats, "data_processed"),
        total=number(stats, "data_total"),
        remaining=remaining,
        rate_bps=rate,
        dirty_bps=dirty_bps,
        iteration=number(stats, "memory_iteration"),
        downtime_ms=None if downtime is None else float(downtime),
        throttle=number(stats, "auto_converge_throttle"),
        eta_s=_eta(remaining, plain_bps, dirty_bps),
        note=_note(plain_bps, dirty_bps),
        packing=packing,
        memory=memory,
    )


def _memory(stats: Mapping[str, object]) -> MemoryCount | None:
    """The guest's memory in bytes; libvirt's ``compression_*`` are of method ``xbzrle`` alone."""
    sent, left = number(stats, "memory_processed"), number(stats, "memory_remaining")
    page = number(stats, "memory_page_size")
    if sent is None or left is None or not page:
        return None
    zeros = page * (number(stats, "memory_constant") or 0)
    # A page that xbzrle could not make smaller is sent whole, and counted with those.
    encoded = (number(stats, "compression_pages") or 0) - (
        number(stats, "compression_overflow") or 0
    )
    whole = (number(stats, "memory_normal_bytes") or 0) + page * max(0, encoded)
    return MemoryCount(sent, left, zeros, whole)


def _packing(stats: Mapping[str, object], memory: MemoryCount | None) -> float:
    """Bytes of memory that a byte on the line carried, in the mean of all so far; at least 1."""
    total = number(stats, "memory_total")
    if memory is None or not memory.sent:
        return 1.0
    gone = (total or 0) - memory.left - memory.zeros  # all of it was sent, at least once
    return max(1.0, memory.whole / memory.sent, gone / memory.sent)


def _phase(stats: Mapping[str, object]) -> str:
    operation = number(stats, "operation") or 0
    if operation not in _MIGRATING:
        return OPERATIONS[operation] if operation < len(OPERATIONS) else OPERATIONS[0]
    if number(stats, "disk_remaining") and not number(stats, "memory_processed"):
        return "copying disks"
    if number(stats, "memory_postcopy_requests"):
        return "fetching memory after the switch"
    iteration = number(stats, "memory_iteration") or 0
    if iteration > 1:
        return f"copying changed memory, pass {iteration}"
    if number(stats, "memory_total"):
        return "copying memory"
    return "setting up"


def _eta(remaining: int | None, plain: float | None, dirty: float | None) -> float | None:
    """Seconds until the rest is over; None while memory changes as fast as it is copied."""
    if remaining is None or not plain:
        return None
    net = plain - (dirty or 0.0)
    return remaining / net if net > 0 else None


def _note(plain: float | None, dirty: float | None) -> str:
    if plain and dirty and dirty >= plain:
        return "memory changes as fast as it is copied"
    return ""
