"""Disks that lie on top of a backing file which the target has too: only the top is sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.policy.placement import Copy, Placement
from console.policy.preflight.grounds import Evidence, told
from console.policy.subject import Subject
from console.policy.usage import volume_at
from console.policy.verbs import Verb
from drivers.model.host import Host
from drivers.model.job import Check, Step, Verdict


@dataclass(frozen=True, slots=True)
class Layers:
    """Disk target to its backing file, and what was looked at."""

    bases: Mapping[str, str]
    checks: tuple[Check, ...] = ()


def layers(
    subject: Subject, target: Host, placement: Placement, evidence: Evidence | None
) -> Layers:
    """Each copied disk's backing file, which must be on the target at the same path and size."""
    bases: dict[str, str] = {}
    checks = []
    for copy in placement.copies:
        base = _base(subject, copy, evidence)
        checks.append(_check(subject, target, copy, base))
        bases[copy.disk.target] = base
    return Layers(bases, tuple(checks))


def _base(subject: Subject, copy: Copy, evidence: Evidence | None) -> str:
    needs = told(evidence.needs.get(subject.vm.uuid)) if evidence else None
    need = needs.disk(copy.disk.target) if needs else None
    return need.backing[0] if need and need.backing else ""


def _check(subject: Subject, target: Host, copy: Copy, base: str) -> Check:
    disk, name = copy.disk.target, f"backing file {copy.disk.target}"
    whole = "leave incremental out: the whole disk is copied then"
    if not base:
        text = f"what {disk} is on top of is not known, or nothing"
        return Check(name, Verdict.BLOCKED, text, "as libvirt tells of the running VM", whole)
    here, there = volume_at(subject.host.pools, base), volume_at(target.pools, base)
    if there is None:
        text = f"{base}, which {disk} is on top of, is not on {target.name}"
        return Check(name, Verdict.BLOCKED, text, "no pool there lists it", whole)
    if here is None or here.capacity != there.capacity or here.format != there.format:
        text = f"{base} is another file on {target.name}"
        ours = f"{here.format} of {here.capacity} bytes" if here else "in no pool"
        proof = f"{ours} here, {there.format} of {there.capacity} bytes there"
        return Check(name, Verdict.BLOCKED, text, proof, whole)
    text = f"{base} is on {target.name} too; its content is compared before anything is sent"
    return Check(name, Verdict.OK, text, f"both {here.format} of {here.capacity} bytes")


def compare_steps(subject: Subject, target: Host, bases: Mapping[str, str]) -> tuple[Step, ...]:
    """The backing files must hold the same, or the guest would read nonsense there."""
    return tuple(
        Step(
            Verb.COMPARE_SENT,
            f"compare {base} on {subject.host.name} and on {target.name}",
            "",
            {"target": target.name, "disk": f"{disk} base", "old_path": base, "path": base,
             "must": "yes"},
        )
        for disk, base in bases.items()
    )  # fmt: skip
