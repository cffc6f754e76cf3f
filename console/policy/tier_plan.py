"""The steps of a tier move: block copy and pivot while running, copy and redefine while off."""

from __future__ import annotations

from console.policy.draft import Draft, blocked_problem
from console.policy.subject import Subject
from console.policy.tiering import LIVE, disk_of, pool_fit
from console.policy.usage import (
    deletion_check,
    disk_size,
    free_name,
    path_in,
    volume_at,
    volume_name,
)
from console.policy.verbs import Verb
from console.policy.virsh import domain_arg, file_word, sed_line, virsh
from drivers.model.job import Request, Step
from drivers.model.problem import Problem
from drivers.model.storage import Pool
from drivers.model.vm import VmDisk


def plan_tier(subject: Subject, request: Request, *, now: float) -> Draft:
    """Move one disk to another pool of the same host."""
    vm = subject.vm
    title = f"Move a disk of {vm.name} to {request.target or '?'}"
    disk = disk_of(subject, request.options.get("disk", ""))
    pool = next((p for p in subject.host.pools if p.name == request.target), None)
    if disk is None:
        return Draft(title, refusal=_no_disk(subject, request))
    if pool is None:
        return Draft(title, refusal=_no_pool(subject, request))
    cap = request.options.get("bandwidth_mib", "") or "0"
    if not (cap.isascii() and cap.isdigit()):
        return Draft(title, refusal=_no_limit(cap))
    title = f"Move {disk.target} of {vm.name} to {pool.name}"
    fit = pool_fit(subject, disk, pool, now=now)
    refusal = blocked_problem(f"{disk.target} cannot go to {pool.name}", fit.reasons)
    if refusal:
        return Draft(title, checks=fit.reasons, refusal=refusal)
    move = _Move(subject, disk, pool, int(cap))
    keep = request.options.get("keep_old", "") == "yes"
    live = fit.mode == LIVE
    steps = (*(move.live() if live else move.cold()), move.verify())
    checks = fit.reasons
    if not keep:
        steps = (*steps, move.remove_old())
        checks = (*checks, deletion_check(subject.host, disk.source))
    return Draft(title, steps, checks, move.effects(live=live, keep=keep))


class _Move:
    """One disk on its way to one pool: the same names in every step."""

    def __init__(self, subject: Subject, disk: VmDisk, pool: Pool, cap_mib: int) -> None:
        self.vm, self.disk, self.pool, self.cap_mib = subject.vm, disk, pool, cap_mib
        self.host = subject.host
        self.uri = subject.host.spec.uri
        self.domain = domain_arg(subject.vm)
        self.name = free_name(pool, volume_name(disk))
        self.path = path_in(pool, self.name)
        self.format = disk.format or "raw"
        self.capacity = disk_size(subject.host.pools, disk)[0] or 0

    def live(self) -> tuple[Step, ...]:
        """Create, copy, pivot."""
        target = self.disk.target
        copy = ["blockcopy", self.domain, target, "--dest", self.path, "--format", self.format]
        copy += ["--reuse-external", "--transient-job", "--wait", "--verbose"]
        copy += ["--bandwidth", str(self.cap_mib)] if self.cap_mib else []
        return (
            Step(
                Verb.CREATE_VOLUME,
                f"make an empty {self.path}",
                virsh(
                    self.uri,
                    *("vol-create-as", self.pool.name, self.name, f"{self.capacity}b"),
                    *("--format", self.format),
                ),
                self._args(host=self.host.name, capacity=str(self.capacity)),
            ),
            Step(
                Verb.BLOCK_COPY,
                f"copy {target} while {self.vm.name} runs",
                virsh(self.uri, *copy),
                self._args(bandwidth_mib=str(self.cap_mib)),
            ),
            Step(
                Verb.PIVOT,
                f"switch {self.vm.name} to the copy",
                virsh(self.uri, "blockjob", self.domain, target, "--pivot"),
                self._args(),
            ),
        )

    def cold(self) -> tuple[Step, ...]:
        """Copy, compare, point the definition at the copy."""
        return (
            Step(
                Verb.CHECK_OFF,
                f"read again that {self.vm.name} is off",
                virsh(self.uri, "domstate", self.domain, "--reason"),
            ),
            Step(
                Verb.CLONE,
                f"copy {self.disk.source} to {self.path}",
                self._clone_line(),
                self._args(host=self.host.name, capacity=str(self.capacity)),
            ),
            Step(
                Verb.COMPARE,
                "compare size and checksum of both",
                virsh(self.uri, "vol-info", self.path, "--bytes"),
                self._args(),
            ),
            Step(
                Verb.REPOINT,
                f"point {self.disk.target} of {self.vm.name} at {self.path}",
                self._define_line(),
                self._args(),
            ),
        )

    def verify(self) -> Step:
        """Read the definition back."""
        return Step(
            Verb.VERIFY_DISK,
            f"read back that {self.disk.target} is {self.path}",
            virsh(self.uri, "domblklist", self.domain, "--details"),
            self._args(),
        )

    def remove_old(self) -> Step:
        """Delete the volume the VM has left."""
        return Step(
            Verb.REMOVE_OLD,
            f"delete {self.disk.source} unless any VM names it",
            virsh(self.uri, "vol-delete", self.disk.source),
            {"path": self.disk.source, "disk": self.disk.target},
        )

    def effects(self, *, live: bool, keep: bool) -> tuple[str, ...]:
        """What is different afterwards."""
        how = "the guest goes on running" if live else f"{self.vm.name} stays off meanwhile"
        if self.cap_mib:
            how += f"; at most {self.cap_mib} MiB/s" if live else "; the limit is for running VMs"
        old = "kept, unused" if keep else "deleted once the move is verified"
        return (
            f"{self.disk.target} is {self.path} in pool {self.pool.name}; {how}",
            f"the old {self.disk.source} is {old}",
            f"if it fails or is cancelled, {self.vm.name} stays on {self.disk.source}",
        )

    def _args(self, **more: str) -> dict[str, str]:
        return {
            "disk": self.disk.target,
            "old_path": self.disk.source,
            "pool": self.pool.name,
            "name": self.name,
            "path": self.path,
            "format": self.format,
            **more,
        }

    def _clone_line(self) -> str:
        source = volume_at(self.host.pools, self.disk.source)
        old_pool = source.pool if source else self.disk.pool
        old_name = source.name if source else volume_name(self.disk)
        xml = file_word(self.vm, f"-{self.disk.target}.xml")
        dump = virsh(self.uri, "vol-dumpxml", "--pool", old_pool, old_name)
        if self.name != old_name:
            dump += " | " + sed_line(f"<name>{old_name}</name>", f"<name>{self.name}</name>")
        words = ("vol-create-from", self.pool.name, xml, old_name, "--inputpool", old_pool)
        return f"{dump} > {xml} && {virsh(self.uri, *words)}"

    def _define_line(self) -> str:
        xml = file_word(self.vm, ".xml")
        dump = virsh(self.uri, "dumpxml", "--inactive", "--security-info", self.domain)
        edit = sed_line(f"'{self.disk.source}'", f"'{self.path}'")
        return f"{dump} | {edit} > {xml} && {virsh(self.uri, 'define', xml)}"


def _no_disk(subject: Subject, request: Request) -> Problem:
    asked = request.options.get("disk", "")
    return Problem(
        f"{subject.vm.name} has no disk {asked}" if asked else "which disk is to move?",
        proof="disks: " + (", ".join(d.target for d in subject.vm.disks) or "none"),
        fix="name one of them",
        code="unknown-target",
    )


def _no_limit(given: str) -> Problem:
    wanted = "a number of MiB a second, 0 for no cap"
    return Problem(f"bandwidth_mib must be {wanted}", proof=f"given: {given!r}", code="bad-option")


def _no_pool(subject: Subject, request: Request) -> Problem:
    return Problem(
        f"{subject.host.name} has no pool {request.target}",
        proof="pools: " + (", ".join(p.name for p in subject.host.pools) or "none"),
        fix="name one of them",
        code="unknown-target",
    )
