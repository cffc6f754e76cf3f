"""What a simulated host answers at an instant; pure functions of the world and the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from drivers.model.host import Filesystem, HostDisk, HostLoad, HostNic, Psi
from drivers.model.problem import Missing
from drivers.model.storage import Pool, Volume
from drivers.model.vm import Vm, VmDisk, VmFast, VmState
from drivers.protocol import FastReading, SlowReading
from drivers.sim.waves import MIB, Figures, figures, noise
from drivers.sim.world import SimHost, SimVm

GIB = 1 << 30
NO_PSI = Missing("psi", "kernel built without PSI (no /proc/pressure)", "boot with psi=1")
NO_IO = Missing(
    "vm.io",
    "no right to read /proc/PID/io of QEMU",
    "connect as root, or allow the login sudo -n cat",
)


def fast_reading(host: SimHost, at: float) -> FastReading:
    """The fast lane's answer: host load, and figures of each guest with a QEMU process."""
    vms: dict[str, VmFast] = {}
    cpu = read = write = rx = tx = 0.0
    memory = 4 * GIB
    for uuid, guest in host.guests.items():
        if not guest.vm.state.active:
            continue
        now = _now(guest, at)
        fast = _fast(host, guest, now, at)
        vms[uuid] = fast
        cpu += now.cpu_pct * guest.vm.vcpus
        read, write = read + now.read_bps, write + now.write_bps
        rx, tx = rx + now.rx_bps, tx + now.tx_bps
        memory += fast.rss or 0
    busy = min(99.0, 1.5 + cpu / max(1, host.facts.cpus))
    load = _load(host, at, busy, memory, (read, write, rx, tx))
    missing = (NO_PSI, NO_IO) if host.no_psi else ()
    return FastReading(at, load, vms, missing, rtt_ms=round(host.rtt_ms, 2))


def slow_reading(host: SimHost, at: float) -> SlowReading:
    """The slow lane's answer: definition, state, disks and balloon of each guest."""
    vms = [_slow(guest, at) for guest in host.guests.values()]
    vms += [
        replace(guest.vm, host=host.name, state=VmState.PAUSED, reason="migration", slow_at=at)
        for guest in host.incoming.values()
    ]
    stuck = {
        uuid: at - guest.stuck_since
        for uuid, guest in host.guests.items()
        if guest.stuck_since is not None
    }
    return SlowReading(at, tuple(vms), stuck)


def pools_reading(host: SimHost, at: float) -> tuple[Pool, ...]:
    """The pools lane's answer, volumes with the guests that use them."""
    users: dict[str, tuple[str, ...]] = {}
    for uuid, guest in host.guests.items():
        for disk in guest.vm.disks:
            users[disk.source] = (*users.get(disk.source, ()), uuid)
    by_pool: dict[str, list[Volume]] = {name: [] for name in host.pools}
    for path, volume in host.volumes.items():
        used_by = users.get(path, ())
        told = volume if used_by == volume.used_by else replace(volume, used_by=used_by)
        by_pool[volume.pool].append(told)
    return tuple(_pool(pool, by_pool[name], at) for name, pool in host.pools.items())


def _pool(pool: Pool, volumes: Iterable[Volume], at: float) -> Pool:
    if pool.problem is not None:
        return pool
    held = tuple(volumes)
    used = sum(volume.allocation for volume in held)
    return replace(
        pool,
        volumes=held,
        allocation=used,
        available=max(0, pool.capacity - used),
        at=at,
    )


def _now(guest: SimVm, at: float) -> Figures:
    if guest.vm.state is VmState.RUNNING and guest.stuck_since is None:
        return figures(guest.character, at)
    return Figures(0.0, 0.0, 0.0, 0.0, 0.0, 0.5)


def _fast(host: SimHost, guest: SimVm, now: Figures, at: float) -> VmFast:
    vm = guest.vm
    share = 1.0 / max(1, len(vm.nics))
    rx, tx = now.rx_bps * share, now.tx_bps * share
    crowd = noise(host.key, at, 40.0)
    return VmFast(
        uuid=vm.uuid,
        at=at,
        cpu_pct=now.cpu_pct,
        delay_pct=round(now.cpu_pct * 0.08 * crowd, 1),
        rss=int(vm.memory * (0.55 + 0.3 * now.memory_share)) & ~0xFFF,
        read_bps=None if host.no_io else now.read_bps,
        write_bps=None if host.no_io else now.write_bps,
        nics=tuple((nic.target, rx, tx, rx / 900.0, tx / 900.0) for nic in vm.nics),
        started_at=vm.started_at,
        missing=(NO_IO,) if host.no_io else (),
    )


def _slow(guest: SimVm, at: float) -> Vm:
    vm = guest.vm
    if not vm.state.active:
        return replace(vm, slow_at=at)
    if guest.stuck_since is not None:
        return replace(
            vm, slow_at=guest.stuck_since, monitor_stuck_s=round(at - guest.stuck_since, 1)
        )
    now = _now(guest, at)
    share = 1.0 / max(1, len(vm.disks))
    return replace(
        vm,
        memory_used=int(vm.memory * now.memory_share) & ~0xFFF,
        read_bps=now.read_bps,
        write_bps=now.write_bps,
        disks=tuple(_disk(disk, now, share) for disk in vm.disks),
        job=guest.job.progress(at) if guest.job is not None else None,
        slow_at=at,
    )


def _disk(disk: VmDisk, now: Figures, share: float) -> VmDisk:
    slow = {"hot": 0.4, "warm": 2.5, "cold": 9.0}.get(disk.tier, 1.2)
    load = min(4.0, now.cpu_pct / 25.0)
    return replace(
        disk,
        read_bps=now.read_bps * share,
        write_bps=now.write_bps * share,
        read_iops=now.read_bps * share / 16384.0,
        write_iops=now.write_bps * share / 12288.0,
        read_ms=round(slow * (0.5 + load), 2),
        write_ms=round(slow * (0.7 + load), 2),
    )


def _load(
    host: SimHost, at: float, busy: float, memory: int, rates: tuple[float, float, float, float]
) -> HostLoad:
    read, write, rx, tx = rates
    wait = round(min(100.0 - busy, (read + write) / (200.0 * MIB)), 1)
    facts = host.facts
    run = busy / 100.0 * facts.cpus
    pressure = max(0.0, busy - 60.0)
    wobble = noise(host.key, at, 11.0)
    disk = HostDisk(
        "nvme0n1", read, write, read / 16384.0, write / 12288.0, min(100.0, wait * 6 + 2)
    )
    return HostLoad(
        cpu_pct=round(busy, 1),
        user_pct=round(busy * 0.1, 1),
        system_pct=round(busy * 0.12, 1),
        iowait_pct=wait,
        irq_pct=round(busy * 0.02, 1),
        steal_pct=0.0,
        guest_pct=round(busy * 0.76, 1),
        load1=round(run * (0.9 + 0.2 * wobble), 2),
        load5=round(run * 0.97, 2),
        load15=round(run * 0.95, 2),
        psi_cpu=None if host.no_psi else Psi(round(pressure * 0.6 + wobble, 2), 0.0),
        psi_memory=None if host.no_psi else Psi(0.0, 0.0),
        psi_io=None if host.no_psi else Psi(round(wait * 1.5, 2), round(wait * 0.8, 2)),
        memory_total=facts.memory,
        memory_available=max(GIB, facts.memory - memory),
        swap_total=8 * GIB,
        swap_used=int(64 * MIB * (1 + host.key % 9)),
        disks=(disk,),
        nics=(HostNic("eno1", rx, tx), HostNic("br0", rx, tx)),
        filesystems=(
            Filesystem("/", "ext4", 64 * GIB, int((20 + 20 * (host.key % 97) / 97) * GIB)),
        ),
        uptime_s=at - host.booted_at,
    )
