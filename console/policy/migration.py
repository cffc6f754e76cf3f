"""Which hosts a VM fits, which not, and why: the list a person chooses a target from."""

from __future__ import annotations

from collections.abc import Mapping

from console.policy.features import lacking
from console.policy.lifecycle import OFF
from console.policy.migration_checks import (
    clash_checks,
    cpu_checks,
    from_problem,
    host_checks,
    memory_checks,
    network_checks,
    paused_check,
    software_checks,
    vm_check,
)
from console.policy.offline import soften, stored_checks, way_checks
from console.policy.placement import Placement, place
from console.policy.preflight.estimate import duration_check
from console.policy.preflight.grounds import NO_GROUNDS, Grounds
from console.policy.preflight.groups import cordon_check, group_checks
from console.policy.preflight.guest import guest_checks
from console.policy.preflight.hardware import hardware_checks
from console.policy.preflight.links import clock_check, data_check, login_check
from console.policy.preflight.storage import storage_checks
from console.policy.subject import Subject, find, host_problem
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.job import Check, TargetFit, Verdict
from drivers.model.problem import Problem
from drivers.model.vm import Vm

P2P = "p2p"
MANAGED = "managed"
OFFLINE = "offline"
MODES = (P2P, MANAGED, OFFLINE)


def migration_targets(
    snapshot: FleetSnapshot,
    uuid: str,
    *,
    now: float,
    options: Mapping[str, str] | None = None,
    grounds: Grounds = NO_GROUNDS,
) -> tuple[TargetFit, ...]:
    """Every other host with whether the VM fits there, fits first, then least to copy.

    Args:
        options: How it would be migrated, as in ``Request.options``.

    Returns:
        Nothing when the VM is not known. What a snapshot cannot tell is NOT_TESTED with why.
    """
    subject = find(snapshot, uuid)
    if isinstance(subject, Problem):
        return ()
    ranked = []
    for host in snapshot.hosts:
        if host.name == subject.host.name:
            continue
        fit = target_fit(subject, host, now=now, options=options, grounds=grounds)
        warned = sum(c.verdict is Verdict.WARN for c in fit.reasons)
        free = (host.load.memory_available if host.load else None) or 0
        ranked.append(
            (not fit.fits, warned, place(subject, host, now).bytes, -free, host.name, fit)
        )
    return tuple(row[-1] for row in sorted(ranked, key=lambda row: row[:-1]))


def target_fit(
    subject: Subject,
    target: Host,
    *,
    now: float,
    options: Mapping[str, str] | None = None,
    grounds: Grounds = NO_GROUNDS,
) -> TargetFit:
    """One host, looked at from every side.

    The target list, the plan's preview and the pre-flight matrix all show these checks. Without
    evidence in ``grounds`` only the snapshot is judged, and what it cannot tell says so.
    """
    mode = chosen_mode(subject.vm, target, options or {})
    offline = mode == OFFLINE
    placement = place(subject, target, now)
    deep = _deep_checks(subject, target, placement, grounds, offline=offline)
    answered = {check.name for check in deep}
    needed_to_run = (
        *memory_checks(subject.vm, target, grounds.rules),
        *cpu_checks(subject, target, grounds.rules, compared="cpu" in answered),
        *software_checks(subject, target),
        *network_checks(subject, target),
    )
    checks: tuple[Check, ...] = (
        from_problem("source", host_problem(subject.host, now), f"{subject.host.name} answers"),
        vm_check(subject, offline=offline),
        *paused_check(subject),
        *host_checks(subject, target, now),
        cordon_check(target, grounds.cordoned),
        *(soften(needed_to_run, target) if offline else needed_to_run),
        *(check for check in placement.checks if check.name not in answered),
        *deep,
        *clash_checks(subject.vm, target),
        *(() if keeps_groups(options) else group_checks(subject, target, grounds.rules)),
        *_way_checks(subject, target, placement, mode, grounds),
    )
    fits = not any(c.verdict is Verdict.BLOCKED for c in checks)
    return TargetFit(target.name, fits, mode, checks, lacking(subject.host, target))


def _way_checks(
    subject: Subject, target: Host, placement: Placement, mode: str, grounds: Grounds
) -> tuple[Check, ...]:
    if mode == OFFLINE:
        return way_checks(placement)
    return (
        mode_check(subject, target, mode, grounds),
        data_check(subject, target, grounds.evidence),
        clock_check(subject, target, grounds.rules),
    )


def _deep_checks(
    subject: Subject, target: Host, placement: Placement, grounds: Grounds, *, offline: bool
) -> tuple[Check, ...]:
    """What only gathered readings can tell; one check that says so where none were gathered."""
    evidence = grounds.evidence
    if evidence is None:
        text = f"what {subject.vm.name} asks of a host was not read: devices, firmware, snapshots"
        return (Check("definition", Verdict.NOT_TESTED, text, "the pre-flight matrix reads it"),)
    if offline:
        return (
            *soften(hardware_checks(subject, target, evidence), target),
            *stored_checks(subject, target, placement, evidence),
        )
    return (
        *hardware_checks(subject, target, evidence),
        *guest_checks(subject, target, evidence),
        *storage_checks(subject, target, placement, evidence),
        duration_check(subject, target, placement, evidence, grounds.rules),
    )


def keeps_groups(options: Mapping[str, str] | None) -> bool:
    """True for a move of an operation that itself keeps VMs together and apart as a whole."""
    return (options or {}).get("groups") == "kept"


def chosen_mode(vm: Vm, target: Host, options: Mapping[str, str]) -> str:
    """``offline`` for a VM that is off, ``p2p`` where hosts know each other, else ``managed``."""
    wanted = options.get("mode", "auto") or "auto"
    if wanted in MODES:
        return wanted
    if vm.state in OFF:
        return OFFLINE
    return P2P if target.spec.peer_uri else MANAGED


def mode_check(subject: Subject, target: Host, mode: str, grounds: Grounds = NO_GROUNDS) -> Check:
    """Who drives the migration, and what a dying console would mean."""
    if mode == MANAGED:
        return Check(
            "mode",
            Verdict.OK,
            "managed by this console: if it dies, libvirt aborts and the VM stays on "
            f"{subject.host.name}, at worst paused until resumed",
        )
    if not target.spec.peer_uri:
        return Check(
            "mode",
            Verdict.BLOCKED,
            f"peer-to-peer needs a URI by which hosts reach {target.name}",
            f"peer_uri of {target.name} is not set",
            f"set peer_uri for {target.name}, or use mode managed",
        )
    return login_check(subject, target, grounds.evidence)
