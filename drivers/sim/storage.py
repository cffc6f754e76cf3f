"""Volumes and live block copies of a simulated host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

from drivers.errors import Busy, Gone, Refused
from drivers.model.event import EventKind
from drivers.model.host import HostSpec, Protect
from drivers.model.storage import Volume
from drivers.model.vm import VmDisk
from drivers.sim.waves import MIB
from drivers.sim.world import SimCopy, SimHost, SimVm, World, again

COPY_BPS = 800.0 * MIB
"""Bytes a second of a simulated copy between pools."""


def volume_of(host: SimHost, path: str) -> Volume:
    """The volume of that path.

    Raises:
        Gone: There is none.
    """
    found = host.volumes.get(path)
    if found is None:
        raise Gone(
            f"{host.name} has no volume {path}.",
            proof="Storage volume not found: no storage vol with matching path",
            fix="refresh the pool",
        )
    return found


def create(
    host: SimHost, pool: str, name: str, capacity: int, fmt: str, backing: str = ""
) -> Volume:
    """A new empty volume; Refused where the name is taken or the pool too full."""
    if backing:
        volume_of(host, backing)
    home = host.pools.get(pool)
    if home is None:
        raise Gone(f"{host.name} has no pool {pool}.", proof="Storage pool not found")
    if home.problem is not None:
        raise Refused(f"Pool {pool} does not answer.", proof=home.problem.what)
    path = str(PurePosixPath(home.path) / name)
    if path in host.volumes:
        raise Refused(f"{path} exists already.", proof="storage volume exists already")
    used = sum(v.allocation for v in host.volumes.values() if v.pool == pool)
    if used + capacity > home.capacity:
        raise Refused(
            f"Pool {pool} is too full.",
            proof=f"{home.capacity - used} bytes free, {capacity} needed",
            fix="choose another pool or free space",
        )
    volume = Volume(name, path, pool, host.name, fmt, capacity, 196_608)
    host.volumes[path] = volume
    return volume


def delete(host: SimHost, path: str) -> None:
    """Delete a volume; Refused while a running guest uses it."""
    volume_of(host, path)
    for guest in host.guests.values():
        if guest.vm.state.active and any(disk.source == path for disk in guest.vm.disks):
            raise Refused(
                f"{guest.vm.name} runs on {path}.", proof="volume in use", fix="stop it first"
            )
    del host.volumes[path]


async def clone(
    world: World,
    host: SimHost,
    path: str,
    pool: str,
    name: str,
    progress: Callable[[int, int], None],
) -> Volume:
    """Copy a volume with progress; a cancelled copy leaves nothing behind."""
    source = volume_of(host, path)
    copy = create(host, pool, name, source.capacity, source.format)
    total = source.allocation
    try:
        for percent in range(0, 100, 5):
            progress(total * percent // 100, total)
            await world.delay(total / COPY_BPS / 20)
            if host.down is not None:
                raise again(host.down)
            await asyncio.sleep(0)
    except BaseException:
        host.volumes.pop(copy.path, None)
        raise
    world.contents[copy.path] = world.content(path)
    copy = replace(copy, allocation=total)
    host.volumes[copy.path] = copy
    progress(total, total)
    return copy


async def send(
    world: World,
    source: SimHost,
    peer: HostSpec,
    path: str,
    there: str,
    progress: Callable[[int, int], None],
) -> None:
    """Copy a volume's content onto one of another host."""
    if peer.protect is Protect.RO:
        raise Refused(f"{peer.name} is read-only.", proof='protect = "ro"')
    target = world.hosts[peer.name]
    total = volume_of(source, path).allocation
    for percent in range(0, 100, 5):
        progress(total * percent // 100, total)
        await world.delay(total / COPY_BPS / 20)
        for host in (source, target):
            if host.down is not None:
                raise again(host.down)
        await asyncio.sleep(0)
    volume = volume_of(target, there)
    world.contents[there] = world.content(path)
    target.volumes[there] = replace(volume, format=volume_of(source, path).format, allocation=total)
    progress(total, total)


def disk_of(guest: SimVm, target: str) -> VmDisk:
    """The guest's disk of that target; Gone when it has none."""
    for disk in guest.vm.disks:
        if disk.target == target:
            return disk
    raise Gone(f"{guest.vm.name} has no disk {target}.", proof="no such target device")


def begin_copy(
    world: World, host: SimHost, guest: SimVm, target: str, place: tuple[str, str], cap_mib: int
) -> None:
    """Begin a live block copy to (path, format), and announce when it is in step."""
    disk, (path, fmt) = disk_of(guest, target), place
    volume_of(host, path)
    if target in guest.copies:
        raise Busy(f"Disk {target} of {guest.vm.name} is being copied.", proof="block job active")
    total = disk.allocation or disk.capacity or 0
    pace = min(COPY_BPS, cap_mib * MIB) if cap_mib else COPY_BPS
    copy = SimCopy(path, fmt, total, world.clock(), pace)
    guest.copies[target] = copy

    async def announce() -> None:
        await world.until(
            copy.began + total / copy.rate_bps, lambda: guest.copies.get(target) is not copy
        )
        if guest.copies.get(target) is copy:
            world.emit(
                host, guest.vm, "block-ready", f"{target} copy is in step", kind=EventKind.BLOCK
            )

    world.spawn(asyncio.ensure_future(announce()))


def pivot(world: World, host: SimHost, guest: SimVm, target: str) -> None:
    """Switch the guest to the finished copy."""
    copy = _copy_of(guest, target)
    if not copy.at(world.clock()).ready:
        raise Refused(
            f"The copy of {target} is not in step yet.",
            proof="block copy still active: disk not ready for pivot yet",
            fix="wait until it is ready",
        )
    volume = volume_of(host, copy.path)
    host.volumes[volume.path] = replace(volume, allocation=copy.total)
    world.contents[volume.path] = world.content(disk_of(guest, target).source)
    _point(host, guest, target, volume, copy.fmt)
    del guest.copies[target]
    world.emit(
        host, guest.vm, "block-completed", f"{target} now on {volume.pool}", kind=EventKind.BLOCK
    )


def repoint(world: World, host: SimHost, guest: SimVm, target: str, path: str, fmt: str) -> None:
    """Let a stopped guest's disk point at another volume; Refused while it runs."""
    if guest.vm.state.active:
        raise Refused(
            f"{guest.vm.name} is not stopped.", proof=f"state {guest.vm.state}", fix="stop it first"
        )
    _point(host, guest, target, volume_of(host, path), fmt)
    world.emit(host, guest.vm, "defined", "defined (updated)")


def _point(host: SimHost, guest: SimVm, target: str, volume: Volume, fmt: str) -> None:
    old = disk_of(guest, target)
    new = replace(
        old,
        source=volume.path,
        format=fmt,
        pool=volume.pool,
        volume=volume.name,
        tier=str(host.pools[volume.pool].tier),
    )
    guest.vm = replace(guest.vm, disks=tuple(new if d is old else d for d in guest.vm.disks))


def abort_copy(world: World, host: SimHost, guest: SimVm, target: str) -> None:
    """Drop the copy; the guest stays on its old disk."""
    _copy_of(guest, target)
    del guest.copies[target]
    world.emit(host, guest.vm, "block-cancelled", f"{target} copy cancelled", kind=EventKind.BLOCK)


def _copy_of(guest: SimVm, target: str) -> SimCopy:
    disk_of(guest, target)
    copy = guest.copies.get(target)
    if copy is None:
        raise Refused(f"Disk {target} of {guest.vm.name} has no block job.", proof="no block job")
    return copy
