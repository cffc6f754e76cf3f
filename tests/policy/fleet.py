"""A small fleet for policy tests: two hosts, three pools each, a few VMs."""

from __future__ import annotations

from dataclasses import replace

from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, HostFacts, HostLoad, HostSpec, Link, LinkState, Protect
from drivers.model.storage import Network, Pool, Tier, Volume
from drivers.model.vm import Vm, VmDisk, VmNic, VmState

NOW = 1_000_000.0
GIB = 1 << 30
UUID = "11111111-2222-3333-4444-555555555555"


def pool(host: str, name: str, *volumes: Volume, available: int = 100 * GIB) -> Pool:
    return Pool(
        name, host, tier=Tier(name), path=f"/srv/{name}", capacity=200 * GIB,
        available=available, volumes=volumes, at=NOW,
    )  # fmt: skip


def volume(host: str, pool_name: str, name: str, *used_by: str) -> Volume:
    path = f"/srv/{pool_name}/{name}"
    return Volume(name, path, pool_name, host, "qcow2", 10 * GIB, 2 * GIB, used_by)


def disk(pool_name: str = "warm", name: str = "web1.qcow2", target: str = "vda") -> VmDisk:
    return VmDisk(target, f"/srv/{pool_name}/{name}", format="qcow2", pool=pool_name, volume=name)


def vm(state: VmState = VmState.RUNNING, *, name: str = "web1", uuid: str = UUID,
       host: str = "kvm1", disks: tuple[VmDisk, ...] | None = None) -> Vm:  # fmt: skip
    return Vm(
        uuid, name, host, state, vcpus=2, memory=2 * GIB, slow_at=NOW,
        disks=(disk(),) if disks is None else disks,
        nics=(VmNic("vnet0", kind="network", source="default"),),
    )  # fmt: skip


def host(name: str, *vms: Vm, protect: Protect = Protect.RW, peer: str = "") -> Host:
    spec = HostSpec(
        name, f"qemu+ssh://root@{name}/system?keyfile=/k e y", protect=protect, peer_uri=peer
    )
    facts = HostFacts(
        name, arch="x86_64", cpus=8, cpu_model="Skylake", memory=64 * GIB,
        libvirt_version="9.0.0", qemu_version="7.2.0", hypervisor="QEMU",
        networks=(Network("default", name, "virbr0"),),
    )  # fmt: skip
    volumes = tuple(volume(name, d.pool, d.volume, v.uuid) for v in vms for d in v.disks if d.pool)
    pools = tuple(
        pool(name, tier, *(v for v in volumes if v.pool == tier))
        for tier in ("hot", "warm", "cold")
    )
    return Host(
        spec, Link(LinkState.UP, NOW), facts,
        HostLoad(memory_total=64 * GIB, memory_available=32 * GIB), vms, pools,
        slow_at=NOW, fast_at=NOW, pools_at=NOW,
    )  # fmt: skip


def fleet(
    first: Vm | None = None, *, protect: Protect = Protect.RW, peer: str = ""
) -> FleetSnapshot:
    one = first or vm()
    return FleetSnapshot(NOW, 1, (host("kvm1", one, protect=protect), host("kvm2", peer=peer)))


def change(snapshot: FleetSnapshot, name: str, **fields: object) -> FleetSnapshot:
    hosts = tuple(
        replace(h, **fields) if h.name == name else h  # type: ignore[arg-type]
        for h in snapshot.hosts
    )
    return replace(snapshot, hosts=hosts)
