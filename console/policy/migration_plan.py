"""The steps of a migration, from a target that fits."""

from __future__ import annotations

import json

from console.policy.draft import Draft, blocked_problem
from console.policy.features import RESUME, lack, option_checks
from console.policy.layered import Layers, compare_steps, layers
from console.policy.migration import MANAGED, MODES, OFFLINE, P2P, mode_check, target_fit
from console.policy.moved_paths import create_step, definition_lines, remove_step
from console.policy.offline_plan import plan_offline
from console.policy.placement import Placement, place
from console.policy.post_copy import post_copy_check
from console.policy.preflight.grounds import NO_GROUNDS, Grounds, told
from console.policy.subject import Subject
from console.policy.tuning import (
    option_problem,
    step_args,
    tuning_checks,
    tuning_of,
    virsh_words,
)
from console.policy.usage import volume_at
from console.policy.verbs import Verb
from console.policy.virsh import domain_arg, virsh
from drivers.model.host import Host
from drivers.model.job import Check, Request, Step
from drivers.model.problem import Problem


def plan_migration(
    subject: Subject, request: Request, *, now: float, grounds: Grounds = NO_GROUNDS
) -> Draft:
    """Check, make room, migrate, verify; the source's copied volumes stay unless chosen."""
    vm = subject.vm
    title = f"Migrate {vm.name} from {subject.host.name} to {request.target or '?'}"
    target = subject.snapshot.host(request.target)
    problem = _request_problem(subject, request, target)
    if problem or target is None:
        return Draft(title, refusal=problem)
    fit = target_fit(subject, target, now=now, options=request.options, grounds=grounds)
    refusal = blocked_problem(f"{vm.name} cannot go to {target.name}", fit.reasons)
    if refusal:
        return Draft(title, checks=fit.reasons, refusal=refusal)
    post_copy = request.options.get("post_copy") == "yes"
    if fit.mode == MANAGED and post_copy:
        refusal = _post_copy_problem(target)
        return Draft(title, checks=fit.reasons, refusal=refusal)
    placement = place(subject, target, now)
    layered = Layers({})
    if request.options.get("incremental") == "yes" and fit.mode != OFFLINE:
        layered = layers(subject, target, placement, grounds.evidence)
    lacks = option_checks(request.options, subject.host, target)
    checks = (*fit.reasons, *lacks, *layered.checks)
    refusal = blocked_problem(f"{vm.name} cannot go to {target.name} like this", checks)
    if refusal:
        return Draft(title, checks=checks, refusal=refusal)
    if fit.mode == OFFLINE:
        return plan_offline(subject, target, request, fit.reasons, now=now)
    steps = _steps(subject, target, request, placement, layered, fit.mode)
    risk = (_post_copy_check(subject, target, grounds),) if post_copy else ()
    checks = (*checks, *risk, *tuning_checks(request.options, vm.name))
    remove = request.options.get("remove_source", "") == "yes"
    return Draft(title, steps, checks, _effects(subject, target, placement, fit.mode, remove))


def _steps(
    subject: Subject,
    target: Host,
    request: Request,
    placement: Placement,
    layered: Layers,
    mode: str,
) -> tuple[Step, ...]:
    vm = subject.vm
    remove = request.options.get("remove_source", "") == "yes"
    return (
        Step(
            Verb.PRECHECK,
            f"read {subject.host.name} and {target.name} again",
            virsh(subject.host.spec.uri, "domstate", domain_arg(vm), "--reason"),
            {"target": target.name},
        ),
        *compare_steps(subject, target, layered.bases),
        *(
            create_step(
                copy,
                target,
                copy.disk.format or "raw",
                volume_at(target.pools, layered.bases.get(copy.disk.target, "")),
            )
            for copy in placement.copies
        ),
        _migrate(subject, target, placement, mode, request),
        Step(
            Verb.VERIFY_MIGRATION,
            "read both hosts: exactly one runs it",
            virsh(target.spec.uri, "domstate", vm.uuid, "--reason"),
            {"target": target.name},
        ),
        *(remove_step(subject, copy) for copy in placement.copies if remove),
    )


def _request_problem(subject: Subject, request: Request, target: Host | None) -> Problem | None:
    if target is None:
        return Problem(
            "the target is not a host of this fleet",
            proof=f"asked for {request.target!r}",
            fix="choose one of: " + ", ".join(h.name for h in subject.snapshot.hosts),
            code="unknown-target",
        )
    if target.name == subject.host.name:
        return Problem(
            f"{subject.vm.name} is already on {target.name}",
            proof=f"state {subject.vm.state.value} there",
            code="wrong-state",
        )
    mode = request.options.get("mode", "auto")
    if mode not in ("", "auto", *MODES):
        return _option("mode", mode, "auto, p2p, managed or offline")
    return option_problem(request.options)


def _post_copy_check(subject: Subject, target: Host, grounds: Grounds) -> Check:
    needs = told(grounds.evidence.needs.get(subject.vm.uuid)) if grounds.evidence else None
    work = None if needs is None else needs.main_thread
    return post_copy_check(subject.vm.name, lack(RESUME, subject.host, target), work)


def _post_copy_problem(target: Host) -> Problem:
    return Problem(
        "post-copy needs a peer-to-peer migration",
        proof="a migration that this console manages ends with it, and after the switch the guest "
        "would stop with it; what is left then cannot always be recovered",
        fix=f"set peer_uri for {target.name} and migrate in mode p2p, or leave post-copy out",
        code="bad-option",
    )


def _option(name: str, given: str, wanted: str) -> Problem:
    return Problem(f"{name} must be {wanted}", proof=f"given: {given!r}", code="bad-option")


def _migrate(
    subject: Subject, target: Host, placement: Placement, mode: str, request: Request
) -> Step:
    vm, host = subject.vm, subject.host
    moved = {c.disk.target: c.path for c in placement.copies if c.path != c.disk.source}
    copied = ",".join(c.disk.target for c in placement.copies)
    cap = request.options.get("bandwidth_mib", "") or "0"
    tuning, uri = tuning_of(request.options), request.options.get("migrate_uri", "")
    uri = uri or target.spec.migrate_uri
    words = ["migrate", "--live", "--verbose"]
    words += ["--undefinesource"] if not tuning.keep_source else []
    keeps = vm.persistent if tuning.persist is None else tuning.persist
    words += ["--persistent"] if keeps else []
    words += ["--abort-on-error"] if not tuning.carry_on else []
    words += ["--p2p"] if mode == P2P else []
    storage = "--copy-storage-inc" if tuning.incremental else "--copy-storage-all"
    words += [storage, "--migrate-disks", copied] if copied else []
    words += ["--bandwidth", cap] if int(cap) else []
    words += virsh_words(request.options)
    words += ["--migrateuri", uri] if uri else []
    lines: list[str] = []
    if moved:
        lines, files = definition_lines(subject, placement)
        words += files
    words += [domain_arg(vm), target.spec.peer_uri if mode == P2P else target.spec.uri]
    lines.append(virsh(host.spec.uri, *words))
    who = f"{host.name} drives it" if mode == P2P else "this console drives it"
    return Step(
        Verb.MIGRATE,
        f"move the running {vm.name} to {target.name}; {who}",
        " && ".join(lines),
        {
            "target": target.name,
            "mode": mode,
            "copy": copied,
            "bandwidth_mib": str(int(cap)),
            "uri": uri,
            "dest_paths": json.dumps(moved, sort_keys=True),
            **step_args(request.options),
        },
    )


def _effects(
    subject: Subject, target: Host, placement: Placement, mode: str, remove: bool
) -> tuple[str, ...]:
    vm, host = subject.vm, subject.host
    lines = [f"{vm.name} goes on running on {target.name}; {host.name} forgets it"]
    lines.append(mode_check(subject, target, mode).text)
    for copy in placement.copies:
        lines.append(f"{copy.disk.target}: copied to {copy.path} on {target.name}")
        fate = "DELETED there once both ends are verified" if remove else "kept there, unused"
        lines.append(f"{copy.disk.target}: the old {copy.disk.source} on {host.name} is {fate}")
    if not vm.persistent:
        lines.append(f"{vm.name} is transient and stays so")
    lines.append(f"if it fails or is cancelled, {vm.name} stays on {host.name}")
    return tuple(lines)
