"""Where a disk could go on its own host: pools of other tiers, with space, and why not."""

from __future__ import annotations

from console.policy.lifecycle import OFF, PAUSED, RUNNING
from console.policy.sizes import size_words
from console.policy.subject import Subject, age_words, find, request_problem
from console.policy.usage import disk_size, holds, other_users, users_words, volume_at
from drivers.model.fleet import FleetSnapshot, stale_after
from drivers.model.job import Action, Check, Request, TargetFit, Verdict
from drivers.model.problem import Problem
from drivers.model.storage import Pool, Tier, Volume
from drivers.model.vm import VmDisk

_DISTANCE = {Tier.HOT: 0, Tier.WARM: 1, Tier.COLD: 2, Tier.NONE: 3}
"""Order of targets that fit equally well: fastest first; pools without a tier last."""

LIVE = "live"
COLD = "cold"


def tier_targets(
    snapshot: FleetSnapshot, uuid: str, disk: str, *, now: float
) -> tuple[TargetFit, ...]:
    """Every other pool of the VM's host: fits first, those without warnings before others.

    Among equals hot, warm, cold and then by name: free space changes from reading to reading,
    and a list that a person picks from must not.
    """
    subject = find(snapshot, uuid)
    found = None if isinstance(subject, Problem) else disk_of(subject, disk)
    if isinstance(subject, Problem) or found is None:
        return ()
    ranked = []
    for pool in subject.host.pools:
        if pool.name != home_pool(subject, found):
            fit = pool_fit(subject, found, pool, now=now)
            warned = sum(c.verdict is Verdict.WARN for c in fit.reasons)
            ranked.append((not fit.fits, warned, _DISTANCE[pool.tier], pool.name, fit))
    return tuple(row[-1] for row in sorted(ranked, key=lambda row: row[:-1]))


def disk_of(subject: Subject, target: str) -> VmDisk | None:
    """The disk of that target device; the only movable one when none is named."""
    disks = subject.vm.disks
    if target:
        return next((d for d in disks if d.target == target), None)
    movable = [d for d in disks if d.device == "disk" and not d.read_only and d.source]
    return movable[0] if len(movable) == 1 else None


def home_pool(subject: Subject, disk: VmDisk) -> str:
    """The pool a disk is in now; empty when it is in none."""
    volume = volume_at(subject.host.pools, disk.source)
    return volume.pool if volume else disk.pool


def mode_of(subject: Subject) -> str:
    """``live`` (block copy and pivot) for a VM that runs, ``cold`` for one that is off."""
    return COLD if subject.vm.state in OFF else LIVE


def pool_fit(subject: Subject, disk: VmDisk, pool: Pool, *, now: float) -> TargetFit:
    """One pool, looked at from every side."""
    checks = (
        _vm_check(subject, now),
        *_disk_checks(subject, disk),
        *_pool_checks(subject, disk, pool, now),
    )
    fits = not any(c.verdict is Verdict.BLOCKED for c in checks)
    return TargetFit(pool.name, fits, mode_of(subject), checks)


def _vm_check(subject: Subject, now: float) -> Check:
    vm = subject.vm
    problem = request_problem(subject, Request(Action.TIER, vm.uuid), now)
    if problem:
        return Check("vm", Verdict.BLOCKED, problem.what, problem.proof, problem.fix)
    if vm.job is not None:
        return Check("vm", Verdict.BLOCKED, f"a job runs on {vm.name}", vm.job.phase, "wait for it")
    if vm.state not in RUNNING | PAUSED | OFF:
        text = f"{vm.name} is {vm.state.value}"
        return Check("vm", Verdict.BLOCKED, text, fix="start it or shut it down first")
    how = "copied while it runs" if mode_of(subject) == LIVE else "copied while it is off"
    return Check("vm", Verdict.OK, f"{vm.name} is {vm.state.value}: {how}")


def _disk_checks(subject: Subject, disk: VmDisk) -> tuple[Check, ...]:
    vm, name = subject.vm, f"disk {disk.target}"
    if not disk.source:
        return (Check(name, Verdict.BLOCKED, f"{disk.target} has nothing in it"),)
    if disk.device != "disk" or disk.read_only:
        kind = "read-only disk" if disk.read_only else disk.device
        return (Check(name, Verdict.BLOCKED, f"{disk.target} is a {kind}: it is not moved"),)
    if disk.kind not in ("file", "block"):
        text = f"{disk.target} is a {disk.kind} disk: no pool of this host holds it"
        return (Check(name, Verdict.BLOCKED, text, disk.source),)
    volume = volume_at(subject.host.pools, disk.source)
    if volume is None and mode_of(subject) == COLD:
        text = f"{disk.source} is in no pool, so it cannot be copied while the VM is off"
        return (
            Check(name, Verdict.BLOCKED, text, fix="start the VM, or make a pool of its folder"),
        )
    named = volume or Volume(disk.source, disk.source, "", subject.host.name)
    others = other_users(subject.snapshot, vm, named)
    if others:
        text = f"{disk.source} is used by {users_words(others)} too"
        return (Check(name, Verdict.BLOCKED, text, fix="a shared disk stays where it is"),)
    return (
        Check(name, Verdict.OK, f"{disk.source} is used by {vm.name} alone"),
        Check(
            "inside the image",
            Verdict.NOT_TESTED,
            "a VM with snapshots is refused: a copy loses them; a backing file is merged in",
            "libvirt is asked for its snapshots right before the copy",
        ),
    )


def _pool_checks(subject: Subject, disk: VmDisk, pool: Pool, now: float) -> tuple[Check, ...]:
    age = now - (pool.at or subject.host.pools_at)
    if age > stale_after(subject.host.spec.pools_s):
        text = f"pool {pool.name} was read {age_words(age)} ago"
        return (Check("pool", Verdict.BLOCKED, text, fix="refresh"),)
    if pool.problem is not None:
        problem = pool.problem
        return (Check("pool", Verdict.BLOCKED, problem.what, problem.proof, problem.fix),)
    if not pool.active:
        text = f"pool {pool.name} is not active"
        fix = f"virsh -c {subject.host.spec.uri} pool-start {pool.name}"
        return (Check("pool", Verdict.BLOCKED, text, "defined, not started", fix),)
    if pool.name == home_pool(subject, disk):
        return (Check("pool", Verdict.BLOCKED, f"{disk.target} is in {pool.name} already"),)
    if not holds(pool, disk):
        text = f"a {disk.kind} disk cannot become part of a {pool.kind} pool"
        return (Check("pool", Verdict.BLOCKED, text),)
    return _tier_check(subject, disk, pool), _space_check(subject, disk, pool)


def _tier_check(subject: Subject, disk: VmDisk, pool: Pool) -> Check:
    home = next((p for p in subject.host.pools if p.name == home_pool(subject, disk)), None)
    now = home.tier.value if home else disk.tier
    if pool.tier.value and pool.tier.value != now:
        return Check("tier", Verdict.OK, f"tier {now or 'none'} becomes {pool.tier.value}")
    text = f"same tier: {now}" if pool.tier.value else f"pool {pool.name} has no tier"
    return Check("tier", Verdict.WARN, text, fix=f"give {pool.name} a tier in the configuration")


def _space_check(subject: Subject, disk: VmDisk, pool: Pool) -> Check:
    capacity, allocation = disk_size(subject.host.pools, disk)
    if not capacity:
        return Check("space", Verdict.BLOCKED, f"the size of {disk.source} is not known")
    size = min(capacity, allocation) if allocation else capacity
    proof = f"{size_words(size)} to copy, {size_words(pool.available)} free"
    if pool.available < size:
        return Check("space", Verdict.BLOCKED, f"pool {pool.name} is too full", proof)
    if pool.available < capacity:
        text = f"{disk.target} may outgrow {pool.name}"
        return Check("space", Verdict.WARN, text, f"{proof}; it may grow to {size_words(capacity)}")
    return Check("space", Verdict.OK, "space is free", proof)
