"""The steps that move a VM which is off: its disks first, then its definition."""

from __future__ import annotations

import json
from dataclasses import replace

from console.policy.draft import Draft
from console.policy.moved_paths import create_step, definition_lines, remove_step
from console.policy.placement import Copy, Placement, place
from console.policy.sizes import size_words
from console.policy.subject import Subject
from console.policy.tuning import step_args
from console.policy.verbs import Verb
from console.policy.virsh import domain_arg, file_word, virsh
from drivers.model.host import Host
from drivers.model.job import Check, Request, Step


def plan_offline(
    subject: Subject, target: Host, request: Request, checks: tuple[Check, ...], *, now: float
) -> Draft:
    """Check, make room, send and compare each disk, move the definition, verify."""
    vm, host = subject.vm, subject.host
    placement = place(subject, target, now)
    remove = request.options.get("remove_source", "") == "yes"
    steps = (
        Step(
            Verb.PRECHECK,
            f"read {host.name} and {target.name} again",
            virsh(host.spec.uri, "domstate", domain_arg(vm), "--reason"),
            {"target": target.name, "mode": "offline"},
        ),
        *(step for copy in placement.copies for step in _copy(subject, copy, target)),
        _define(subject, target, placement, request),
        Step(
            Verb.VERIFY_MIGRATION,
            "read both hosts: exactly one knows it",
            virsh(target.spec.uri, "domstate", vm.uuid, "--reason"),
            {"target": target.name, "mode": "offline"},
        ),
        *(remove_step(subject, copy) for copy in placement.copies if remove),
    )
    title = f"Migrate {vm.name} from {host.name} to {target.name}"
    return Draft(title, steps, checks, _effects(subject, target, placement, remove=remove))


def _copy(subject: Subject, copy: Copy, target: Host) -> tuple[Step, ...]:
    """An empty raw file takes the image as it is, whatever its format."""
    vm, host, disk = subject.vm, subject.host, copy.disk
    args = {
        "target": target.name,
        "disk": disk.target,
        "old_path": disk.source,
        "path": copy.path,
    }
    word = file_word(vm, f"-{disk.target}.img")
    size = copy.capacity if disk.format in ("raw", "") else copy.size
    lines = (
        virsh(host.spec.uri, "vol-download", "--sparse", disk.source, word),
        virsh(target.spec.uri, "vol-upload", "--sparse", copy.path, word),
    )
    return (
        create_step(replace(copy, capacity=size), target, "raw"),
        Step(
            Verb.SEND_VOLUME,
            f"send {disk.source} to {copy.path} on {target.name}, through this console",
            " && ".join(lines),
            args,
        ),
        Step(
            Verb.COMPARE_SENT,
            f"compare {disk.source} on {host.name} with {copy.path} on {target.name}",
            "",
            args,
        ),
    )


def _define(subject: Subject, target: Host, placement: Placement, request: Request) -> Step:
    vm, host = subject.vm, subject.host
    moved = {c.disk.target: c.path for c in placement.copies if c.path != c.disk.source}
    words = ["migrate", "--offline", "--persistent", "--undefinesource"]
    lines: list[str] = []
    if moved:
        lines, files = definition_lines(subject, placement)
        words += files
    lines.append(virsh(host.spec.uri, *words, domain_arg(vm), target.spec.uri))
    return Step(
        Verb.MIGRATE,
        f"define {vm.name} on {target.name}, and forget it on {host.name}",
        " && ".join(lines),
        {
            "target": target.name,
            "mode": "offline",
            "copy": "",
            "bandwidth_mib": "0",
            "uri": "",
            "dest_paths": json.dumps(moved, sort_keys=True),
            **step_args(request.options),
        },
    )


def _effects(
    subject: Subject, target: Host, placement: Placement, *, remove: bool
) -> tuple[str, ...]:
    vm, host = subject.vm, subject.host
    lines = [f"{vm.name} stays off, and belongs to {target.name}; {host.name} forgets it"]
    for copy in placement.copies:
        told = f"{copy.disk.target}: {size_words(copy.size)} sent to {copy.path} on {target.name}"
        fate = "DELETED there once both ends are verified" if remove else "kept there, unused"
        lines += [told, f"{copy.disk.target}: the old {copy.disk.source} on {host.name} is {fate}"]
    lines.append(f"if it fails or is cancelled, {vm.name} stays on {host.name}")
    return tuple(lines)
