"""N+1: whether the hosts that remain still carry every VM when one more of them is lost."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence

from console.policy.drain.rooms import Bin
from console.policy.sizes import size_words
from drivers.model.job import Check, Verdict

Load = Sequence[tuple[int, int]]
"""(bytes, vCPUs) of each active VM of a host."""


def spare_check(
    bins: Mapping[str, Bin], loads: Mapping[str, Load], takers: Collection[str]
) -> Check:
    """Lose each host in turn and give its VMs to the rest, by memory and vCPUs alone.

    Args:
        bins: Room of each remaining host, after the operation.
        loads: What each remaining host carries, after the operation.
        takers: Hosts that may take VMs.
    """
    name = "N+1"
    if any(bins[host].memory is None or bins[host].vcpus is None for host in bins):
        unknown = ", ".join(h for h, b in bins.items() if b.memory is None or b.vcpus is None)
        text = "whether one more host may be lost is not known"
        return Check(name, Verdict.NOT_TESTED, text, f"how much room is left: {unknown}")
    unproven = []
    for lost, load in loads.items():
        rest = [bins[host] for host in takers if host != lost]
        short = _shortage(load, rest)
        if short:
            text = f"if {lost} is lost too, its {len(load)} VMs have no place"
            return Check(name, Verdict.WARN, text, short)
        if not _fits(load, rest):
            unproven.append(lost)
    if unproven:
        text = "whether one more host may be lost is not proven"
        proof = f"in sum there is room, but no placement was found for: {', '.join(unproven)}"
        return Check(name, Verdict.NOT_TESTED, text, proof)
    text = "any one more host may be lost: the rest carries all VMs"
    return Check(name, Verdict.OK, text, "by memory and vCPUs alone")


def _shortage(load: Load, rest: Sequence[Bin]) -> str:
    """Proof that it cannot fit; empty when there is none."""
    memory = sum(m for m, _ in load)
    vcpus = sum(c for _, c in load)
    free = sum(max(0, b.memory or 0) for b in rest)
    left = sum(max(0, b.vcpus or 0) for b in rest)
    if memory > free:
        return f"needs {size_words(memory)}, {size_words(free)} left elsewhere"
    if vcpus > left:
        return f"needs {vcpus} vCPUs, {left} left elsewhere"
    largest = max((m for m, _ in load), default=0)
    widest = max((b.memory or 0 for b in rest), default=0)
    if largest > widest:
        return f"one needs {size_words(largest)}, no host has more than {size_words(widest)} left"
    return ""


def _fits(load: Load, rest: Sequence[Bin]) -> bool:
    """Largest first into the emptiest host."""
    heap = [(-(b.memory or 0), b.vcpus or 0) for b in rest]
    heapq.heapify(heap)
    for memory, vcpus in sorted(load, reverse=True):
        aside = []
        while heap and (heap[0][1] < vcpus or -heap[0][0] < memory):
            if -heap[0][0] < memory:
                return False
            aside.append(heapq.heappop(heap))
        if not heap:
            return False
        free, left = heapq.heappop(heap)
        heapq.heappush(heap, (free + memory, left - vcpus))
        for room in aside:
            heapq.heappush(heap, room)
    return True
