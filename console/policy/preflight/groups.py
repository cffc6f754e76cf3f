"""Cordons, and VMs that should share a host or must not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from console.policy.preflight.grounds import APART, TOGETHER, Group, Rules
from console.policy.subject import Subject
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.job import Check, Verdict
from drivers.model.vm import Vm


def cordon_check(target: Host, cordoned: Mapping[str, str]) -> Check:
    """A cordoned host takes no VMs."""
    why = cordoned.get(target.name)
    if why is None:
        return Check("maintenance", Verdict.OK, f"{target.name} is not cordoned")
    text = f"{target.name} is cordoned: it takes no VMs"
    return Check("maintenance", Verdict.BLOCKED, text, why or "as set here", "uncordon it first")


def group_checks(subject: Subject, target: Host, rules: Rules) -> tuple[Check, ...]:
    """One check a group that the VM belongs to."""
    vm = subject.vm
    groups = [g for g in rules.groups if _belongs(vm, g)] + _tagged(vm)
    if not groups:
        return ()
    return tuple(_group_check(subject, target, group) for group in groups)


def _belongs(vm: Vm, group: Group) -> bool:
    named = vm.name in group.vms or vm.uuid in group.vms
    return named or any(tag in group.tags for tag in vm.tags)


def _tagged(vm: Vm) -> list[Group]:
    """Groups that a VM's own tags make: ``apart:db``."""
    found = []
    for tag in vm.tags:
        rule, colon, name = tag.partition(":")
        if colon and name and rule in (TOGETHER, APART):
            found.append(Group(name, rule, tags=frozenset((tag,))))
    return found


def _group_check(subject: Subject, target: Host, group: Group) -> Check:
    vm = subject.vm
    others = _others(subject.snapshot, vm, group)
    there = [other.name for other in others if other.host == target.name]
    name = f"group {group.name}"
    broken = Verdict.BLOCKED if group.strict else Verdict.WARN
    if group.rule == APART:
        if there:
            text = f"{vm.name} and {_words(there)} must not share a host"
            proof = f"group {group.name} keeps them apart; {_words(there)} runs on {target.name}"
            return Check(name, broken, text, proof, "choose another target")
        return Check(name, Verdict.OK, f"nobody of group {group.name} runs on {target.name}")
    away = [f"{other.name} on {other.host}" for other in others if other.host != target.name]
    if away:
        text = f"{vm.name} belongs together with {_words(away)}"
        proof = f"group {group.name} keeps them on one host, not on {target.name}"
        return Check(name, broken, text, proof, "move the whole group")
    return Check(name, Verdict.OK, f"all of group {group.name} is on {target.name}")


def _others(snapshot: FleetSnapshot, vm: Vm, group: Group) -> list[Vm]:
    return [
        o for o in snapshot.vms() if o.uuid != vm.uuid and o.state.active and _belongs(o, group)
    ]


def _words(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
