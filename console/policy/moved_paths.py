"""What every migration with copied disks needs: room there, other paths, and an end here."""

from __future__ import annotations

from console.policy.placement import Copy, Placement
from console.policy.subject import Subject
from console.policy.verbs import Verb
from console.policy.virsh import domain_arg, file_word, sed_line, virsh
from drivers.model.host import Host
from drivers.model.job import Step
from drivers.model.storage import Volume


def create_step(copy: Copy, target: Host, fmt: str, base: Volume | None = None) -> Step:
    """Make an empty volume for a disk, on top of ``base`` if there is one."""
    words = ["vol-create-as", copy.pool.name, copy.name, f"{copy.capacity}b", "--format", fmt]
    if base is not None:
        words += ["--backing-vol", base.path, "--backing-vol-format", base.format or "raw"]
    return Step(
        Verb.CREATE_VOLUME,
        f"make an empty {copy.path} on {target.name} for {copy.disk.target}",
        virsh(target.spec.uri, *words),
        {
            "host": target.name,
            "pool": copy.pool.name,
            "name": copy.name,
            "path": copy.path,
            "capacity": str(copy.capacity),
            "format": fmt,
            "disk": copy.disk.target,
            "old_path": copy.disk.source,
            **({"backing": base.path} if base is not None else {}),
        },
    )


def definition_lines(subject: Subject, placement: Placement) -> tuple[list[str], list[str]]:
    """Lines that write the definition with the target's paths, and the words that use it."""
    vm, uri = subject.vm, subject.host.spec.uri
    changed = [c for c in placement.copies if c.path != c.disk.source]
    filters = [sed_line(f"'{c.disk.source}'", f"'{c.path}'") for c in changed]
    name = file_word(vm, "-there.xml")
    dump = virsh(uri, "dumpxml", "--migratable", "--security-info", domain_arg(vm))
    lines = [" | ".join([dump, *filters]) + f" > {name}"]
    words = ["--xml", name]
    if vm.persistent:
        kept = file_word(vm, "-there-kept.xml")
        dump = virsh(uri, "dumpxml", "--inactive", "--security-info", domain_arg(vm))
        lines.append(" | ".join([dump, *filters]) + f" > {kept}")
        words += ["--persistent-xml", kept]
    return lines, words


def remove_step(subject: Subject, copy: Copy) -> Step:
    """Delete a copied disk at the source."""
    path = copy.disk.source
    return Step(
        Verb.REMOVE_SOURCE,
        f"delete {path} on {subject.host.name}, now that {copy.path} is verified",
        virsh(subject.host.spec.uri, "vol-delete", path),
        {"path": path, "disk": copy.disk.target},
    )
