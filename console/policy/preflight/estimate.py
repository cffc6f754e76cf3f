"""How long a move takes and how long the guest stands still: arithmetic on named figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.policy.bounds import USUAL_BPS
from console.policy.placement import Placement
from console.policy.preflight.grounds import Bandwidth, Evidence, Rules, failed, told
from console.policy.sizes import size_words
from console.policy.subject import Subject
from drivers.model.host import Host
from drivers.model.job import Check, Verdict
from drivers.model.vm import VmState

ASSUMED_BPS = USUAL_BPS
"""Bytes a second where nothing was measured: a link of 1 Gbit/s. Always said as an assumption."""

DOWNTIME_S = 0.3
"""QEMU's own limit for the last pass, unless somebody sets another (migrate-setmaxdowntime)."""

_SLOW_SHARE = 0.7
"""From this share of the rate on, a guest's writes make many passes."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of copying, and seconds of standstill; None where copying would never end."""

    seconds: float | None
    downtime_s: float | None


def precopy(memory: float, disks: float, bps: float, dirty_bps: float) -> Estimate:
    """Passes over memory until what is left fits into the allowed standstill.

    Disks are copied first. Each pass sends what was written during the one before, so the passes
    form a geometric series with ratio ``dirty_bps / bps``.

    Args:
        memory: Bytes of the first pass.
        disks: Bytes of storage copied along.
        bps: Bytes a second.
        dirty_bps: Bytes a second the guest rewrites.
    """
    last = bps * DOWNTIME_S
    if memory > last and dirty_bps >= bps:
        return Estimate(None, None)
    seconds, left = disks / bps, memory
    while left > last:
        seconds += left / bps
        left *= dirty_bps / bps
        if left < 1:
            break
    return Estimate(seconds + left / bps, left / bps)


def duration_check(
    subject: Subject, target: Host, placement: Placement, evidence: Evidence, rules: Rules
) -> Check:
    """What it would take, with every figure it rests on and where that came from."""
    vm = subject.vm
    rate = _rate(subject, target, evidence, rules)
    dirty, dirty_words = _dirty(subject, evidence)
    memory = min(vm.memory, vm.rss) if vm.rss else vm.memory
    found = precopy(memory, placement.bytes, rate.bps, dirty or 0.0)
    proof = f"{size_words(memory)} memory"
    if placement.bytes:
        proof += f" and {size_words(placement.bytes)} of disks"
    proof += f"; {size_words(round(rate.bps))}/s ({rate.source}); {dirty_words}"
    if found.seconds is None or found.downtime_s is None:
        text = "live copying would not end by itself: the guest writes faster than the link carries"
        fix = "throttle it (auto-converge), use post-copy, or let it stand still longer"
        return Check("duration", Verdict.WARN, text, proof, fix)
    text = f"about {_words(found.seconds)}, standstill about {found.downtime_s * 1000:.0f} ms"
    if dirty is None:
        text = f"at least {_words(found.seconds)}; the standstill depends on what the guest writes"
    if dirty is not None and dirty > _SLOW_SHARE * rate.bps:
        fix = "move it at a quieter time, or throttle it (auto-converge)"
        return Check("duration", Verdict.WARN, f"{text}: slow to end", proof, fix)
    return Check("duration", Verdict.OK, text, proof)


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _rate(subject: Subject, target: Host, evidence: Evidence, rules: Rules) -> Bandwidth:
    """What was measured, else what is configured, else the link's own speed, else an assumption."""
    pair = (subject.host.name, target.name)
    measured = measured_between(evidence.bandwidth, *pair)
    if measured is not None:
        return measured
    if rules.link_bps:
        return Bandwidth(rules.link_bps, "as configured")
    reach = told(evidence.data.get(pair))
    if reach is not None and reach.link_mbit:
        words = f"assumed: {reach.device} of {pair[0]} is a link of {reach.link_mbit} Mbit/s"
        return Bandwidth(reach.link_mbit * 1e6 / 8, words)
    return Bandwidth(ASSUMED_BPS, "assumed: 1 Gbit/s, nothing was measured")


def measured_between(
    known: Mapping[tuple[str, str], Bandwidth], source: str, target: str
) -> Bandwidth | None:
    """What was measured on this link, else the slowest of what either host did with others."""
    found = known.get((source, target))
    if found is not None and found.bps > 0:
        return found
    beside = [
        (pair, one)
        for pair, one in known.items()
        if one.bps > 0 and (pair[0] == source or pair[1] == target)
    ]
    if not beside:
        return None
    pair, slowest = min(beside, key=lambda item: item[1].bps)
    told = f"{slowest.source}, between {pair[0]} and {pair[1]}; none on this link"
    return Bandwidth(slowest.bps, told, slowest.at)


def _dirty(subject: Subject, evidence: Evidence) -> tuple[float | None, str]:
    if subject.vm.state is VmState.PAUSED:
        return 0.0, "it is paused and writes nothing"
    reading = evidence.dirty.get(subject.vm.uuid)
    found = told(reading)
    if found is not None:
        per = f"{size_words(round(found.bps))}/s"
        return found.bps, f"it rewrites {per} (sampled over {found.seconds} s)"
    problem = failed(reading)
    why = problem.proof or problem.what if problem else "not measured"
    return None, f"how fast it rewrites its memory is not known: {why}"
