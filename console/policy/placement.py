"""Where each disk of a migrating VM ends up: shared, copied into a pool, or already there."""

from __future__ import annotations

from dataclasses import dataclass

from console.policy.sizes import size_words
from console.policy.subject import Subject, age_words
from console.policy.usage import (
    disk_size,
    free_name,
    holds,
    path_in,
    sharing,
    volume_at,
    volume_name,
)
from drivers.model.fleet import stale_after
from drivers.model.host import Host
from drivers.model.job import Check, Verdict
from drivers.model.storage import Pool
from drivers.model.vm import VmDisk


@dataclass(frozen=True, slots=True)
class Copy:
    """One disk to copy along: ``size`` bytes to move into ``pool`` as ``name``."""

    disk: VmDisk
    pool: Pool
    name: str
    capacity: int
    size: int

    @property
    def path(self) -> str:
        """Where the new volume will lie."""
        return path_in(self.pool, self.name)


@dataclass(frozen=True, slots=True)
class Placement:
    """What is to be copied, and the check of every disk."""

    copies: tuple[Copy, ...]
    checks: tuple[Check, ...]

    @property
    def bytes(self) -> int:
        """Bytes all copies move."""
        return sum(copy.size for copy in self.copies)


def place(subject: Subject, target: Host, now: float) -> Placement:
    """Decide every disk of a VM for one target host."""
    copies: list[Copy] = []
    checks: list[Check] = []
    promised: dict[str, int] = {}
    for disk in subject.vm.disks:
        if not disk.source:
            checks.append(_check(disk, Verdict.OK, "empty drive"))
        elif disk.device != "disk" or disk.read_only:
            checks.append(_read_only(disk, target))
        elif _is_shared(subject, disk) or disk.kind not in ("file", "block"):
            checks.append(_shared(disk, target))
        else:
            outcome = _copy(subject, target, disk, promised, now)
            if isinstance(outcome, Copy):
                copies.append(outcome)
                promised[outcome.pool.name] = promised.get(outcome.pool.name, 0) + outcome.size
                checks.append(_copy_check(outcome, target, promised[outcome.pool.name]))
            else:
                checks.append(outcome)
    return Placement(tuple(copies), tuple(checks))


def _is_shared(subject: Subject, disk: VmDisk) -> bool:
    return disk.shared or sharing(subject.host, disk.source).shared is True


def _shared(disk: VmDisk, target: Host) -> Check:
    if disk.kind in ("file", "block"):
        there = sharing(target, disk.source)
        if there.shared is False:
            return _check(
                disk,
                Verdict.BLOCKED,
                f"{disk.source} is on shared storage that {target.name} does not have there",
                there.proof,
                f"mount it on {target.name} at the same place",
            )
        return _check(
            disk,
            Verdict.OK,
            f"{disk.source} is on storage that hosts share: not copied",
            there.proof,
        )
    return _check(
        disk,
        Verdict.NOT_TESTED,
        f"{disk.kind} disk {disk.source}: not copied",
        f"whether {target.name} reaches it is seen only when QEMU opens it",
    )


def _read_only(disk: VmDisk, target: Host) -> Check:
    if disk.shared or volume_at(target.pools, disk.source):
        return _check(disk, Verdict.OK, f"{disk.source} is on {target.name} too")
    folder = next((p for p in target.pools if _inside(p, disk.source)), None)
    if folder is None:
        return _check(
            disk,
            Verdict.NOT_TESTED,
            f"{disk.source} must exist on {target.name}",
            "it is in no pool there, so it cannot be seen from here",
        )
    return _check(
        disk,
        Verdict.BLOCKED,
        f"{disk.source} is not on {target.name}",
        f"{disk.device}; pool {folder.name} there does not list it",
        "eject it, or copy the image there",
    )


def _inside(pool: Pool, path: str) -> bool:
    return bool(pool.path) and path.rpartition("/")[0] == pool.path.rstrip("/")


def _copy(
    subject: Subject, target: Host, disk: VmDisk, promised: dict[str, int], now: float
) -> Copy | Check:
    capacity, allocation = disk_size(subject.host.pools, disk)
    if not capacity:
        return _check(
            disk,
            Verdict.BLOCKED,
            f"the size of {disk.source} is not known, so it cannot be copied along",
            f"no pool of {subject.host.name} lists it",
            f"put its folder into a pool of {subject.host.name}",
        )
    size = min(capacity, allocation) if allocation else capacity
    pool = destination_pool(subject, target, disk)
    if pool is None:
        return _check(
            disk,
            Verdict.BLOCKED,
            f"{target.name} has no pool for {disk.source}",
            f"wanted: pool {disk.pool or '(none)'} or one of tier {disk.tier or '(none)'}",
            f"create a pool of that name on {target.name}",
        )
    age = now - target.pools_at
    if not target.pools_at or age > stale_after(target.spec.pools_s):
        told = f"read {age_words(age)} ago" if target.pools_at else "never read"
        return _check(
            disk, Verdict.BLOCKED, f"pools of {target.name} are not known", told, "refresh"
        )
    free = pool.available - promised.get(pool.name, 0)
    if free < size:
        return _check(
            disk,
            Verdict.BLOCKED,
            f"pool {pool.name} of {target.name} is too full for {disk.target}",
            f"{size_words(size)} to copy, {size_words(free)} free",
            f"free space in {pool.name}",
        )
    return Copy(disk, pool, free_name(pool, volume_name(disk)), capacity, size)


def destination_pool(subject: Subject, target: Host, disk: VmDisk) -> Pool | None:
    """The target's pool of the same name, else the one of the same tier with most space."""
    usable = [p for p in target.pools if p.active and p.problem is None and holds(p, disk)]
    same = [p for p in usable if p.name == disk.pool] or [
        p for p in usable if not disk.pool and _inside(p, disk.source)
    ]
    if same:
        return same[0]
    home = next((p for p in subject.host.pools if p.name == disk.pool), None)
    tier = disk.tier or (home.tier.value if home else "")
    tiered = [p for p in usable if tier and p.tier.value == tier]
    return max(tiered, key=lambda p: p.available, default=None)


def _copy_check(copy: Copy, target: Host, promised: int) -> Check:
    text = f"{copy.disk.source} is copied to {copy.path} on {target.name}"
    free = size_words(copy.pool.available)
    proof = f"{size_words(copy.size)} into pool {copy.pool.name}, {free} free"
    if copy.pool.available - promised < copy.capacity - copy.size:
        proof += f"; it may grow to {size_words(copy.capacity)}"
        return _check(copy.disk, Verdict.WARN, text, proof, f"watch the space of {copy.pool.name}")
    return _check(copy.disk, Verdict.OK, text, proof)


def disk_name(disk: VmDisk) -> str:
    """What the check of a disk is called."""
    return f"disk {disk.target}"


def _check(disk: VmDisk, verdict: Verdict, text: str, proof: str = "", fix: str = "") -> Check:
    return Check(disk_name(disk), verdict, text, proof, fix)
