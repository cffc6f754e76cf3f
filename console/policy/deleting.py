"""The plan that deletes a VM: disks are listed, and kept unless chosen."""

from __future__ import annotations

from console.policy.draft import Draft, blocked_problem
from console.policy.lifecycle import OFF
from console.policy.subject import Subject, age_words
from console.policy.usage import deletion_check, other_users, users_words, volume_at
from console.policy.verbs import Verb
from console.policy.virsh import domain_arg, virsh
from drivers.model.fleet import stale_after
from drivers.model.job import Check, Request, Step, Verdict
from drivers.model.problem import Problem


def plan_delete(subject: Subject, request: Request, *, now: float) -> Draft:
    """Undefine a stopped VM and delete the volumes chosen in ``options["volumes"]``."""
    vm, host = subject.vm, subject.host
    title = f"Delete {vm.name}"
    if vm.state not in OFF:
        return Draft(
            title,
            refusal=Problem(
                f"{vm.name} is {vm.state.value}; only a VM that is off can be deleted",
                proof=f"state {vm.state.value} on {host.name}",
                fix="shut it down first",
                code="wrong-state",
            ),
        )
    chosen = tuple(p for p in request.options.get("volumes", "").split(",") if p)
    checks = tuple(check_volume(subject, path, now=now) for path in chosen)
    refusal = blocked_problem("a chosen volume must not be deleted", checks)
    if refusal:
        return Draft(title, checks=checks, refusal=refusal)
    checks += tuple(deletion_check(host, path) for path in dict.fromkeys(chosen))
    nvram = request.options.get("nvram", "") == "yes"
    return Draft(title, _steps(subject, chosen, nvram), checks, _effects(subject, chosen, nvram))


def _steps(subject: Subject, chosen: tuple[str, ...], nvram: bool) -> tuple[Step, ...]:
    vm, uri = subject.vm, subject.host.spec.uri
    words = ("--managed-save", "--snapshots-metadata", "--nvram" if nvram else "--keep-nvram")
    domain = domain_arg(vm)
    return (
        Step(
            Verb.CHECK_OFF,
            f"read again that {vm.name} is off",
            virsh(uri, "domstate", domain, "--reason"),
        ),
        Step(
            Verb.UNDEFINE,
            f"forget the definition of {vm.name} on {subject.host.name}",
            virsh(uri, "undefine", domain, *words),
            {"nvram": "yes" if nvram else "no"},
        ),
        Step(Verb.VERIFY_GONE, "read the list back", virsh(uri, "list", "--all", "--uuid")),
        *(
            Step(
                Verb.DELETE_VOLUME,
                f"delete {path} unless any VM names it",
                virsh(uri, "vol-delete", path),
                {"path": path},
            )
            for path in dict.fromkeys(chosen)
        ),
    )


def _effects(subject: Subject, chosen: tuple[str, ...], nvram: bool) -> tuple[str, ...]:
    vm = subject.vm
    lines = [f"the definition of {vm.name} is gone for good, with its snapshots' metadata"]
    for disk in vm.disks:
        if disk.source:
            fate = "DELETED" if disk.source in chosen else "kept"
            lines.append(f"{disk.target} {disk.source}: {fate}")
    lines.append("firmware variables (NVRAM): " + ("dropped" if nvram else "kept"))
    return tuple(lines)


def check_volume(subject: Subject, path: str, *, now: float) -> Check:
    """Whether one chosen volume may go with the VM."""
    vm, host = subject.vm, subject.host
    disk = next((d for d in vm.disks if d.source == path), None)
    name = f"volume {path}"
    if disk is None:
        return _no(name, f"{path} is not a disk of {vm.name}", "", "choose among its own disks")
    volume = volume_at(host.pools, path)
    age = now - host.pools_at
    if volume is None or not host.pools_at or age > stale_after(host.spec.pools_s):
        return _no(
            name,
            f"{path} is in no pool that was read lately",
            f"pools of {host.name} read {age_words(age) if host.pools_at else 'never'}",
            "refresh; a file outside all pools is kept",
        )
    others = other_users(subject.snapshot, vm, volume)
    if others:
        return _no(name, f"{path} is used by {users_words(others)}", "", "keep it")
    if disk.device != "disk" or disk.read_only:
        return _no(name, f"{path} is a {disk.device} image that others may insert", "", "keep it")
    return Check(name, Verdict.OK, f"{path} is used by {vm.name} alone", f"pool {volume.pool}")


def _no(name: str, text: str, proof: str, fix: str) -> Check:
    return Check(name, Verdict.BLOCKED, text, proof, fix)
