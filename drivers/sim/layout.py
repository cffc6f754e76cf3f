"""Who lives where in a simulated fleet; the same for the same sizes and seed."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace
from types import MappingProxyType

from drivers.model.host import HostFacts, HostSpec
from drivers.model.storage import Network, Pool, Tier, Volume
from drivers.model.vm import Vm, VmDisk, VmNic, VmState
from drivers.sim.waves import DAY_S, MIB, Character, mix, unit
from drivers.sim.world import SimHost, SimVm, World, unreachable

GIB = 1 << 30
SITES = ("ams1", "fra2", "sgp1")
TENANTS = ("shop", "bank", "media", "lab", "ops")
TIERS = MappingProxyType({"hot": "hot", "warm": "warm", "cold": "cold"})
ROLES = (
    # name, vCPUs, GiB of memory, pool, GiB of disk, storage, traffic
    ("web", 2, 2, "warm", 20, 0.4, 3.0),
    ("db", 4, 8, "hot", 80, 4.0, 1.0),
    ("app", 2, 4, "warm", 20, 0.5, 1.5),
    ("cache", 2, 8, "hot", 10, 0.2, 4.0),
    ("queue", 2, 4, "hot", 20, 1.5, 1.0),
    ("build", 4, 4, "warm", 60, 2.0, 0.5),
    ("log", 1, 2, "cold", 200, 2.5, 0.6),
    ("mail", 1, 2, "cold", 50, 0.5, 0.5),
    ("proxy", 1, 1, "warm", 10, 0.1, 6.0),
    ("batch", 8, 16, "cold", 100, 1.0, 0.2),
)
DEAF = 3
"""Number of the guest that ignores a request to shut down."""
CHURNING = 4
"""Number of the guest that rewrites its memory faster than any network carries it."""


def furnish(world: World, hosts: int, vms: int, seed: int) -> None:
    """Fill ``world`` with hosts and guests.

    From three hosts on the second lacks PSI and I/O figures; from four on the third holds a guest
    with a hung monitor and the fourth is down; from five on the fifth is far away.
    """
    born = world.clock()
    for index in range(hosts):
        host = _host(index, hosts, seed, born)
        world.hosts[host.name] = host
    homes = [host for host in world.hosts.values() if host.down is None]
    for number in range(vms):
        host = homes[number % len(homes)]
        guest = _guest(host, number, seed, born)
        host.guests[guest.vm.uuid] = guest
        _store(host, guest.vm)
    for host in world.hosts.values():
        _size(host)
    if hosts >= 4:
        stuck = next((g for g in homes[2].guests.values() if g.vm.state is VmState.RUNNING), None)
        if stuck is not None:
            stuck.stuck_since = born - 754.0


def _host(index: int, hosts: int, seed: int, born: float) -> SimHost:
    key = mix(seed * 1_000_003 + index)
    name = f"kvm{index + 1:0{max(2, len(str(hosts)))}d}"
    site = SITES[index * min(len(SITES), 1 + hosts // 2) // hosts]
    spec = HostSpec(
        name,
        f"sim://{name}/system",
        site=site,
        tags=(f"rack-{1 + index % 4}", "nvme" if key % 3 else "spinning"),
        tenant="ops" if key % 7 == 0 else "",
        tiers=TIERS,
    )
    old = key % 5 == 0
    facts = HostFacts(
        hostname=f"{name}.{site}.example",
        kernel="5.10.0-33-amd64" if old else "6.1.0-37-amd64",
        arch="x86_64",
        cpu_model="Skylake-Server-IBRS" if old else "EPYC-Milan",
        libvirt_version="7.0.0" if old else "9.0.0",
        qemu_version="5.2.0" if old else "7.2.11",
        hypervisor="QEMU",
        clock_skew_s=round(unit(key, 7) * 0.2 - 0.1, 3),
        networks=(Network("br0", name, "br0"), Network("default", name, "virbr0", True, "nat")),
    )
    host = SimHost(spec, facts, 0.4 + 3.0 * unit(key, 1), key, born - (1 + key % 200) * DAY_S)
    host.no_psi = host.no_io = hosts >= 3 and index == 1
    if hosts >= 4 and index == 3:
        host.down = unreachable(name, f"10.0.{index // 250}.{index % 250 + 4}")
    if hosts >= 5 and index == 4:
        host.rtt_ms = 240.0
    for pool in TIERS:
        path = f"/srv/{pool}"
        host.pools[pool] = Pool(pool, name, kind="dir", tier=Tier(pool), autostart=True, path=path)
    return host


def _guest(host: SimHost, number: int, seed: int, born: float) -> SimVm:
    key = mix(seed * 7_368_787 + number + (1 << 40))
    role, vcpus, gib, pool, disk_gib, storage, traffic = ROLES[mix(key) % len(ROLES)]
    name = f"{role}{number + 1:03d}"
    if number == DEAF:
        name = "legacy01"
    elif number == CHURNING:
        name, gib = "ledger01", 8
    special = number in (DEAF, CHURNING)
    state, reason = (VmState.RUNNING, "booted") if special else _state(unit(key, 2))
    memory = gib * GIB
    vm = Vm(
        uuid=str(uuid.UUID(int=mix(key + 1) << 64 | mix(key + 2), version=4)),
        name=name,
        host=host.name,
        state=state,
        reason=reason,
        domain_id=1 + key % 9973 if state.active else -1,
        title=f"{role} server" if key % 4 == 0 else "",
        vcpus=vcpus,
        memory=memory,
        memory_limit=memory,
        disks=_disks(key, name, pool, disk_gib, role == "db", special),
        nics=_nics(key, number, role == "proxy"),
        autostart=key % 3 != 0,
        machine="pc-q35-7.2",
        tags=(role, "prod" if key % 5 else "test"),
        tenant=TENANTS[key % len(TENANTS)],
        started_at=born - 3600.0 - unit(key, 3) * 90 * DAY_S if state.active else None,
    )
    calm = 1.0 + 12.0 * unit(key, 4)
    character = Character(
        key=key,
        level=calm,
        swing=45.0 * unit(key, 5) ** 2,
        phase=SITES.index(host.spec.site) * 0.2,
        noisy=unit(key, 6) > 0.97,
        storage=storage,
        traffic=traffic,
        dirty_bps=1500.0 * MIB if number == CHURNING else (5.0 + 60.0 * unit(key, 8)) * MIB,
        deaf=number == DEAF,
    )
    return SimVm(vm, character)


def _state(chance: float) -> tuple[VmState, str]:
    if chance < 0.88:
        return VmState.RUNNING, "booted"
    if chance < 0.91:
        return VmState.PAUSED, "user"
    if chance < 0.995:
        return VmState.OFF, "shutdown"
    return VmState.CRASHED, "panicked"


def _disks(
    key: int, name: str, pool: str, gib: int, database: bool, local: bool
) -> tuple[VmDisk, ...]:
    if not local and key % 4 == 1:
        source = f"nbd://store.example/{name}"
        root = VmDisk(
            "vda", source, "network", format="raw", shared=True, capacity=gib * GIB, allocation=None
        )
    else:
        root = _disk("vda", name, pool, gib, unit(key, 9))
    if database:
        return (root, _disk("vdb", f"{name}-data", "warm", gib * 2, unit(key, 10)))
    return (root,)


def _disk(target: str, name: str, pool: str, gib: int, full: float) -> VmDisk:
    file = f"{name}.qcow2"
    return VmDisk(
        target=target,
        source=f"/srv/{pool}/{file}",
        format="qcow2",
        pool=pool,
        volume=file,
        tier=pool,
        capacity=gib * GIB,
        allocation=int(gib * GIB * (0.2 + 0.6 * full)) & ~0xFFFF,
    )


def _nics(key: int, number: int, two: bool) -> tuple[VmNic, ...]:
    def nic(index: int, source: str) -> VmNic:
        mac = f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        kind = "network" if source == "default" else "bridge"
        tap = f"vnet{number * 2 + index}"
        return VmNic(tap, mac if index == 0 else f"52:54:01{mac[8:]}", kind, source, "virtio")

    first = nic(0, "default" if key % 6 == 0 else "br0")
    return (first, nic(1, "br0")) if two else (first,)


def _store(host: SimHost, vm: Vm) -> None:
    for disk in vm.disks:
        if disk.pool:
            host.volumes[disk.source] = Volume(
                name=disk.volume,
                path=disk.source,
                pool=disk.pool,
                host=host.name,
                format=disk.format,
                capacity=disk.capacity or 0,
                allocation=disk.allocation or 0,
                used_by=(vm.uuid,),
            )


def _size(host: SimHost) -> None:
    """Give a host as many CPUs, memory and storage as its guests call for, and some spare."""
    vms = [guest.vm for guest in host.guests.values()]
    vcpus = sum(vm.vcpus for vm in vms)
    cpus = next((n for n in (16, 32, 48, 64, 96, 128) if n * 3 >= vcpus), 8 * math.ceil(vcpus / 24))
    want = sum(vm.memory for vm in vms) * 1.25 + 8 * GIB
    memory = 64 * GIB * math.ceil(want / (64 * GIB))
    host.facts = replace(host.facts, cpus=cpus, memory=memory)
    for name, pool in host.pools.items():
        used = sum(v.allocation for v in host.volumes.values() if v.pool == name)
        spare = 1.1 if name == "hot" and host.key % 4 == 2 else 1.8
        capacity = 512 * GIB * math.ceil((used * spare + 256 * GIB) / (512 * GIB))
        host.pools[name] = replace(pool, capacity=capacity)
