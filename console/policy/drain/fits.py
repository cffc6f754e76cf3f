"""Whether a VM could run on a host at all, as the drain planner asks it.

The answer is that of the target list a person sees before a single migration. Room and groups are
kept by the planner itself, because they change from step to step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from console.policy.migration import target_fit
from console.policy.placement import place
from console.policy.preflight.grounds import NO_GROUNDS, Grounds
from console.policy.subject import Subject
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.job import Check, Verdict
from drivers.model.vm import Vm

GROUP_CHECK = "group "
"""How the name of a check begins that looks at VMs kept apart or together."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One VM against one host.

    Attributes:
        ok: Nothing speaks against it.
        blocked: What does.
        warned: What warns.
        copies: Bytes to copy into each pool of the host; empty when all storage is shared.
    """

    ok: bool
    blocked: tuple[Check, ...] = ()
    warned: tuple[Check, ...] = ()
    copies: tuple[tuple[str, int], ...] = ()


Fits = Callable[[Vm, Host], Fit]
"""Asked with a VM and a possible target; the VM's own host is the one it is on now."""


def is_local(vm: Vm) -> bool:
    """Whether a disk of the VM lies where its host alone reaches it: then moving means copying."""
    return any(
        d.source
        and d.device == "disk"
        and not d.read_only
        and not d.shared
        and d.kind in ("file", "block")
        for d in vm.disks
    )


def fits_in(snapshot: FleetSnapshot, *, now: float, grounds: Grounds = NO_GROUNDS) -> Fits:
    """The judge of one snapshot; remembers what it was asked."""
    hosts = {host.name: host for host in snapshot.hosts}
    known: dict[tuple[str, str], Fit] = {}

    def ask(vm: Vm, target: Host) -> Fit:
        key = (vm.uuid, target.name)
        if key not in known:
            known[key] = _judge(Subject(snapshot, hosts[vm.host], vm), target, now, grounds)
        return known[key]

    return ask


def _judge(subject: Subject, target: Host, now: float, grounds: Grounds) -> Fit:
    found = target_fit(subject, target, now=now, grounds=grounds)
    reasons = [c for c in found.reasons if not c.name.startswith(GROUP_CHECK)]
    blocked = tuple(c for c in reasons if c.verdict is Verdict.BLOCKED)
    warned = tuple(c for c in reasons if c.verdict is Verdict.WARN)
    sizes: dict[str, int] = {}
    for copy in place(subject, target, now).copies if is_local(subject.vm) else ():
        sizes[copy.pool.name] = sizes.get(copy.pool.name, 0) + copy.size
    return Fit(not blocked, blocked, warned, tuple(sorted(sizes.items())))
