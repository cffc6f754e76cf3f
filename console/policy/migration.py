"""Which hosts a VM fits, which not, and why: the list a person chooses a target from."""

from __future__ import annotations

from collections.abc import Mapping

from console.policy.migration_checks import (
    clash_checks,
    cpu_checks,
    from_problem,
    host_checks,
    memory_check,
    network_checks,
    software_checks,
    vm_check,
)
from console.policy.placement import place
from console.policy.subject import Subject, find, host_problem
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.job import Check, TargetFit, Verdict
from drivers.model.problem import Problem

P2P = "p2p"
MANAGED = "managed"


def migration_targets(snapshot: FleetSnapshot, uuid: str, *, now: float) -> tuple[TargetFit, ...]:
    """Every other host with whether the VM fits there, fits first, then least to copy.

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
        fit = target_fit(subject, host, now=now)
        warned = sum(c.verdict is Verdict.WARN for c in fit.reasons)
        free = (host.load.memory_available if host.load else None) or 0
        ranked.append(
            (not fit.fits, warned, place(subject, host, now).bytes, -free, host.name, fit)
        )
    return tuple(row[-1] for row in sorted(ranked, key=lambda row: row[:-1]))


def target_fit(
    subject: Subject, target: Host, *, now: float, options: Mapping[str, str] | None = None
) -> TargetFit:
    """One host, looked at from every side."""
    mode = chosen_mode(target, options or {})
    checks: tuple[Check, ...] = (
        from_problem("source", host_problem(subject.host, now), f"{subject.host.name} answers"),
        vm_check(subject),
        *host_checks(subject, target, now),
        memory_check(subject.vm, target),
        *cpu_checks(subject, target),
        *software_checks(subject, target),
        *network_checks(subject, target),
        *place(subject, target, now).checks,
        *clash_checks(subject.vm, target),
        mode_check(subject, target, mode),
        Check(
            "data path",
            Verdict.NOT_TESTED,
            f"{subject.host.name} sends memory straight to {target.name}",
            f"to {target.spec.migrate_uri or 'its host name, TCP ports 49152 to 49215'}",
        ),
    )
    return TargetFit(
        target.name, not any(c.verdict is Verdict.BLOCKED for c in checks), mode, checks
    )


def chosen_mode(target: Host, options: Mapping[str, str]) -> str:
    """``p2p`` where the fleet says how hosts reach the target's daemon, else ``managed``."""
    wanted = options.get("mode", "auto") or "auto"
    if wanted in (P2P, MANAGED):
        return wanted
    return P2P if target.spec.peer_uri else MANAGED


def mode_check(subject: Subject, target: Host, mode: str) -> Check:
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
    return Check(
        "mode",
        Verdict.NOT_TESTED,
        f"peer-to-peer: {subject.host.name} drives it, so it goes on if this console dies",
        f"whether {subject.host.name} may log in at {target.spec.peer_uri} is seen when it begins",
    )
