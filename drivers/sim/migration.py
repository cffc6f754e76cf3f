"""Migration between two simulated hosts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from drivers.errors import Busy, Cancelled, Failed, Refused
from drivers.model.event import EventKind
from drivers.model.vm import JobProgress, VmDisk, VmState
from drivers.protocol import MigrationSpec
from drivers.sim.waves import MIB, Precopy, precopy
from drivers.sim.world import SimHost, SimJob, SimVm, World, again

BROKEN = "post-copy failed"
"""libvirt's reason for a guest whose memory is on two hosts that do not reach each other."""

LINK_BPS = 1100.0 * MIB
"""Bytes a second between two hosts: a busy 10 Gbit/s network."""


async def migrate(
    world: World, source: SimHost, target: SimHost, guest: SimVm, spec: MigrationSpec
) -> None:
    """Move ``guest``; returns once it runs on ``target``.

    Raises:
        Refused: It cannot go there.
        Busy: It is on its way already.
        Cancelled: The job was aborted; the guest goes on where it was.
        DriverError: A host failed; the guest goes on where it was.
    """
    _check(source, target, guest, spec)
    move = _Move(world, source, target, guest, spec)
    if spec.offline:
        move.redefine()
        return
    if spec.resume:
        move.resume()
        return
    if not spec.p2p:
        await move.run()
        return
    task = asyncio.ensure_future(move.run())
    world.spawn(task)
    await asyncio.shield(task)


def job_of(guest: SimVm) -> SimJob:
    """The migration that moves a guest.

    Raises:
        Refused: There is none.
    """
    if guest.job is None:
        raise Refused(f"{guest.vm.name} has no running job.", proof="no job is active")
    return guest.job


def switch_over(guest: SimVm) -> None:
    """Let the guest run on the target now.

    Raises:
        Refused: It is not on its way, or not with permission for this.
    """
    job = job_of(guest)
    if not job.may_post_copy:
        raise Refused(
            "This migration cannot be switched to post-copy.",
            proof="it was begun without permission for it",
        )
    job.post_copy = True


def _check(source: SimHost, target: SimHost, guest: SimVm, spec: MigrationSpec) -> None:
    vm = guest.vm
    if guest.job is not None or guest.copies:
        raise Busy(f"{vm.name} has a job under way.", proof="another job holds the domain")
    if target is source:
        raise Refused(f"{vm.name} is already on {source.name}.", proof="same host")
    if not spec.resume and (vm.uuid in target.guests or vm.uuid in target.incoming):
        raise Refused(
            f"{target.name} already has a domain of that UUID.", proof=f"domain {vm.uuid} exists"
        )
    if spec.offline:
        if vm.state.active:
            raise Refused(f"{vm.name} runs.", proof=f"state {vm.state}", fix="shut it down first")
        return
    local = [d.target for d in vm.disks if not d.shared and d.target not in spec.copy_disks]
    if local:
        raise Refused(
            f"{vm.name} has disks that {target.name} cannot reach.",
            proof=f"Migration without shared storage is unsafe: {', '.join(local)}",
            fix="copy these disks along",
        )


def _rate(cap_mib: int) -> float:
    return min(LINK_BPS, float(cap_mib * MIB)) if cap_mib else LINK_BPS


class _Move:
    """One migration under way."""

    def __init__(
        self, world: World, source: SimHost, target: SimHost, guest: SimVm, spec: MigrationSpec
    ) -> None:
        self._world = world
        self._source = source
        self._target = target
        self._guest = guest
        self._spec = spec
        self._began = world.clock()
        self._downtime_s = (spec.tuning.max_downtime_ms or 300.0) / 1000
        self._since, self._sent, self._passes = self._began, 0, 0
        self._first = guest.vm.memory
        self._rate = _rate(spec.bandwidth_mib)
        copied = [d for d in guest.vm.disks if d.target in spec.copy_disks]
        self._disks = sum(d.allocation or d.capacity or 0 for d in copied)

    async def run(self) -> None:
        world, guest, uuid = self._world, self._guest, self._guest.vm.uuid
        job = guest.job = SimJob(self._progress, self._tune, self._spec.tuning.post_copy)
        self._target.incoming[uuid] = guest
        world.emit(self._target, guest.vm, "started", "started (migrated)")
        try:
            await self._carry(job)
        except BaseException:
            if uuid in self._target.guests:
                raise
            world.emit(self._target, guest.vm, "stopped", "stopped (failed)")
            world.emit(self._target, guest.vm, "undefined", "undefined (removed)")
            raise
        finally:
            guest.job = None
            self._target.incoming.pop(uuid, None)
        self._hand_over()

    def redefine(self) -> None:
        """Let the target know a guest that is off, and the source forget it."""
        guest, uuid = self._guest, self._guest.vm.uuid
        guest.vm = replace(guest.vm, host=self._target.name, disks=self._disks_there())
        self._target.guests[uuid] = guest
        del self._source.guests[uuid]
        self._world.emit(self._target, guest.vm, "defined", "defined (added)")
        self._world.emit(self._source, guest.vm, "undefined", "undefined (removed)")

    def _disks_there(self) -> tuple[VmDisk, ...]:
        paths = self._spec.dest_paths
        return tuple(replace(d, source=paths.get(d.target, d.source)) for d in self._guest.vm.disks)

    async def _carry(self, job: SimJob) -> None:
        iteration = 0
        while not (now := self._at(self._world.clock())).finished and not job.post_copy:
            if job.aborted:
                raise Cancelled(
                    f"The migration of {self._guest.vm.name} was cancelled.",
                    proof="operation aborted: migration out job: canceled by client",
                )
            for host in (self._source, self._target):
                if host.down is not None:
                    raise again(host.down)
            if now.iteration != iteration:
                iteration = now.iteration
                text = f"migration iteration {iteration}"
                self._world.emit(
                    self._source, self._guest.vm, "migration-iteration", text, kind=EventKind.JOB
                )
            await asyncio.sleep(0.05)
        if job.post_copy and (self._source.cut or self._target.cut):
            self._fall_apart()

    def _fall_apart(self) -> None:
        """The link is gone after the switch: each host has a part of the memory."""
        guest, vm, there = self._guest, self._guest.vm, self._target
        far = SimVm(replace(vm, host=there.name, reason=BROKEN), guest.character)
        there.guests[vm.uuid] = far
        self._world.emit(there, far.vm, "resumed", "resumed (post-copy failed)")
        self._world.enter(
            self._source, guest, VmState.PAUSED, BROKEN, "suspended", "suspended (post-copy failed)"
        )
        raise Failed(
            f"The migration of {vm.name} broke after its switch.",
            proof="job 'migration out' failed in post-copy phase",
            fix="recover it once the hosts reach each other",
        )

    def resume(self) -> None:
        """Go on where it broke."""
        vm, there = self._guest.vm, self._target.guests.get(self._guest.vm.uuid)
        if vm.reason != BROKEN or there is None:
            raise Refused(f"{vm.name} has no broken migration.", proof=f"state {vm.state}")
        if self._source.cut or self._target.cut:
            raise Failed(f"{self._target.name} is still not reached.", proof="no route to host")
        self._hand_over()

    def _hand_over(self) -> None:
        world, guest, source, target = self._world, self._guest, self._source, self._target
        uuid = guest.vm.uuid
        guest.last = self._progress(world.clock())
        world.emit(source, guest.vm, "suspended", "suspended (migrated)")
        del source.guests[uuid]
        for disk in guest.vm.disks:
            path = self._spec.dest_paths.get(disk.target, disk.source)
            volume = source.volumes.get(disk.source)
            if disk.target in self._spec.copy_disks and volume is not None:
                target.volumes[path] = replace(volume, path=path, host=target.name)
                world.contents[path] = world.content(disk.source)
                source.volumes.pop(disk.source)
        guest.vm = replace(guest.vm, host=target.name, reason="migrated", disks=self._disks_there())
        target.guests[uuid] = guest
        world.emit(source, guest.vm, "stopped", "stopped (migrated)")
        world.emit(source, guest.vm, "job-completed", "migration completed", kind=EventKind.JOB)
        world.emit(source, guest.vm, "undefined", "undefined (removed)")
        world.enter(target, guest, VmState.RUNNING, "migrated", "resumed", "resumed (migrated)")

    def _tune(self, bandwidth_mib: int | None, max_downtime_ms: float | None) -> None:
        """Go on from where it stands with another rate or pause."""
        now = self._world.clock()
        state = self._stretch(now)
        if state.iteration:
            self._disks, self._first = 0, state.remaining
            self._passes += state.iteration - 1
        else:
            self._disks -= state.done
        self._sent += state.done
        self._since = now
        if bandwidth_mib is not None:
            self._rate = _rate(bandwidth_mib)
        if max_downtime_ms is not None:
            self._downtime_s = max_downtime_ms / 1000

    def _at(self, now: float) -> Precopy:
        state = self._stretch(now)
        passes = self._passes + state.iteration if state.iteration else 0
        return replace(state, done=self._sent + state.done, iteration=passes)

    def _stretch(self, now: float) -> Precopy:
        """How it stands since it was last tuned."""
        return precopy(
            now - self._since,
            self._guest.vm.memory,
            self._disks,
            self._rate,
            self._guest.character.dirty_bps,
            self._downtime_s,
            self._first,
        )

    def _progress(self, now: float) -> JobProgress:
        state = self._at(now)
        dirty = self._guest.character.dirty_bps
        gain = self._rate - (dirty if state.iteration else 0.0)
        return JobProgress(
            phase="disks" if state.iteration == 0 else "memory",
            at=now,
            started_at=self._began,
            done=state.done,
            total=state.done + state.remaining,
            remaining=state.remaining,
            rate_bps=self._rate,
            dirty_bps=dirty,
            iteration=state.iteration,
            downtime_ms=state.downtime_ms or 1000.0 * state.remaining / self._rate,
            eta_s=state.remaining / gain if gain > 0 else None,
            note="" if gain > 0 else "the guest rewrites its memory faster than it can be sent",
        )
