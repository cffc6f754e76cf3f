"""One list of targets for several VMs at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from console.policy.gathering import Said, gathered
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Check, TargetFit, Verdict
from drivers.model.vm import Vm

Offer = tuple[Vm, tuple[TargetFit, ...]]


def combined(offers: Sequence[Offer], snapshot: FleetSnapshot) -> tuple[TargetFit, ...]:
    """Every target of any of the VMs, with what it says of each: those that fit most first.

    A target that fits some of them can be chosen; which ones do not fit, and why, is said here and
    again in the preview, where they are left alone. One VM's list is returned as it is.
    """
    if len(offers) == 1:
        return offers[0][1]
    names = dict.fromkeys(fit.target for _, fits in offers for fit in fits)
    joined = [_joined(name, offers, snapshot) for name in names]
    return tuple(fit for _, fit in sorted(joined, key=lambda pair: -pair[0]))


def _joined(target: str, offers: Sequence[Offer], snapshot: FleetSnapshot) -> tuple[int, TargetFit]:
    able: list[Vm] = []
    warned: list[Said] = []
    checks: list[Check] = []
    for vm, fits in offers:
        fit = next((one for one in fits if one.target == target), None)
        if fit is None:
            checks.append(_not_offered(vm, target))
        elif fit.fits:
            able.append(vm)
            warned += [(vm.name, c) for c in fit.reasons if c.verdict is Verdict.WARN]
        else:
            checks += _barred(vm, fit)
    if together := _together(target, able, snapshot):
        checks.insert(0, together)
    told = "all fit" if len(able) == len(offers) else f"{len(able)} of {len(offers)} fit"
    return len(able), TargetFit(target, bool(able), told, (*checks, *gathered(warned)))


def _not_offered(vm: Vm, target: str) -> Check:
    if vm.host == target:
        return Check(vm.name, Verdict.OK, f"is on {target} already and stays")
    return Check(vm.name, Verdict.BLOCKED, f"{vm.host} has no {target}")


def _barred(vm: Vm, fit: TargetFit) -> list[Check]:
    said = [check for check in fit.reasons if check.verdict is Verdict.BLOCKED]
    return [replace(check, name=vm.name) for check in said]


def _together(target: str, vms: Sequence[Vm], snapshot: FleetSnapshot) -> Check | None:
    """Each may fit alone and all together not: the memory they would take at once."""
    host = snapshot.host(target)
    free = host.load.memory_available if host is not None and host.load is not None else None
    coming = [vm for vm in vms if vm.host != target]
    needed = sum(vm.memory for vm in coming)
    if host is None or free is None or not coming:
        return None
    gib = 1 << 30
    text = f"{needed / gib:.1f} GiB for {len(coming)} VMs, {free / gib:.1f} GiB free on {target}"
    return Check("together", Verdict.WARN if needed > free else Verdict.OK, text)
