"""What a disk's definition asks, beside where its data goes: cache, chain, block jobs, servers."""

from __future__ import annotations

from collections.abc import Iterator

from console.policy.migration_checks import version_key
from console.policy.placement import Placement, disk_name
from console.policy.preflight.grounds import Evidence, failed, told, untested
from console.policy.subject import Subject
from drivers.model.caps import DiskNeed, Reached
from drivers.model.host import Host
from drivers.model.job import Check, Verdict
from drivers.model.vm import VmDisk

_SAFE_CACHES = ("none", "directsync")
_DROPS_CACHE = ("5.6", "4.0")
"""libvirt and QEMU from which a migration drops the target's page cache: any mode is safe then."""


def storage_checks(
    subject: Subject, target: Host, placement: Placement, evidence: Evidence
) -> tuple[Check, ...]:
    """Of each disk, what its definition adds; nothing where it was not read."""
    needs = told(evidence.needs.get(subject.vm.uuid))
    if needs is None:
        return ()
    copied = {copy.disk.target for copy in placement.copies}
    found: list[Check] = []
    for disk in subject.vm.disks:
        need = needs.disk(disk.target)
        if need is None or not disk.source:
            continue
        found += _job(disk, need, known=needs.jobs_known)
        if disk.device == "disk" and not disk.read_only:
            found += _cache(subject, disk, need, copied=disk.target in copied)
        found += _chain(target, disk, need, copied=disk.target in copied)
        found += _servers(target, disk, need, evidence)
    return tuple(found)


def _job(disk: VmDisk, need: DiskNeed, *, known: bool) -> Iterator[Check]:
    if need.block_job:
        text = f"a block {need.block_job} runs on {disk.target}"
        fix = "wait for it, or cancel it"
        yield Check(f"block job {disk.target}", Verdict.BLOCKED, text, "as libvirt tells", fix)
    elif not known:
        text = f"whether a block job runs on {disk.target} is not known"
        proof = "libvirt did not answer about it"
        yield Check(f"block job {disk.target}", Verdict.NOT_TESTED, text, proof)


def _cache(subject: Subject, disk: VmDisk, need: DiskNeed, *, copied: bool) -> Iterator[Check]:
    """libvirt's own rule for storage that both hosts open at once."""
    name, mode = f"cache {disk.target}", need.cache or "default"
    if copied or need.cache in _SAFE_CACHES or disk.kind == "network":
        return
    facts = subject.host.facts
    libvirt, qemu = (facts.libvirt_version, facts.qemu_version) if facts else ("", "")
    proof = f"cache mode {mode}; libvirt {libvirt or 'unknown'}, QEMU {qemu or 'unknown'}"
    if not libvirt or not qemu:
        text = f"whether {disk.target} may be shared with that cache mode is not known"
        yield Check(name, Verdict.NOT_TESTED, text, proof)
    elif version_key(libvirt) < version_key(_DROPS_CACHE[0]) or version_key(qemu) < version_key(
        _DROPS_CACHE[1]
    ):
        text = f"libvirt calls it unsafe to move {disk.target} with that cache mode"
        fix = "set cache='none' and restart the VM, or update libvirt and QEMU"
        yield Check(name, Verdict.BLOCKED, text, proof, fix)
    else:
        yield Check(name, Verdict.OK, f"QEMU drops the cache of {disk.target} by itself", proof)


def _chain(target: Host, disk: VmDisk, need: DiskNeed, *, copied: bool) -> Iterator[Check]:
    name = f"chain {disk.target}"
    if need.backing:
        proof = f"{disk.source} on top of {', then '.join(need.backing)}"
        if copied:
            text = f"the whole chain of {disk.target} is copied into one file"
            yield Check(name, Verdict.WARN, text, proof, "the copy no longer shares its base")
            return
        here = [path for path in need.backing if path.startswith("/")]
        if disk.shared or not here:
            text = f"the chain of {disk.target} lies on storage that hosts share"
            yield Check(name, Verdict.OK, text, proof)
        else:
            text = f"{target.name} must reach the whole chain of {disk.target}"
            yield Check(name, Verdict.NOT_TESTED, text, proof)
    elif not need.chain_known and disk.format == "qcow2":
        text = f"what {disk.target} is on top of is not told"
        yield Check(name, Verdict.NOT_TESTED, text, "libvirt tells the chain of running VMs alone")


def _servers(target: Host, disk: VmDisk, need: DiskNeed, evidence: Evidence) -> Iterator[Check]:
    """A network disk's servers, dialled from the target; one that answers is enough.

    Named as the disk's own check, in whose place it stands: that one could not tell.
    """
    if not need.servers:
        return
    name = disk_name(disk)
    readings = [evidence.servers.get((target.name, *place)) for place in need.servers]
    reached = [r for r in map(told, readings) if r is not None]
    places = ", ".join(f"{host}:{port}" for host, port in need.servers)
    if any(r.outcome is Reached.CONNECTED for r in reached):
        text = f"{target.name} reaches the server of {disk.target}"
        yield Check(name, Verdict.OK, text, f"connected to {places}")
    elif len(reached) == len(readings):
        text = f"{target.name} does not reach the server of {disk.target}"
        said = "; ".join(
            f"{r.address}:{r.port} {r.outcome.value} {r.said}".strip() for r in reached
        )
        yield Check(name, Verdict.BLOCKED, text, said, f"let {target.name} connect to {places}")
    else:
        text = f"whether {target.name} reaches {places} was not tried"
        yield untested(name, text, next((p for p in map(failed, readings) if p), None))
