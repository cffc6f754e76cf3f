"""What simulated guests need and simulated hosts offer, worked out from what they are."""

from __future__ import annotations

import hashlib

from drivers.model.caps import (
    CpuMatch,
    CpuNeed,
    DirtyRate,
    DiskNeed,
    DomainNeeds,
    GuestFit,
    HostCaps,
    PeerLogin,
    Reach,
    Reached,
)
from drivers.model.vm import VmState
from drivers.sim.domxml import domain_xml, machines_of
from drivers.sim.world import SimHost, SimVm, World

GUEST_CPU = "Skylake-Server-IBRS"
LEAST_CPU = "qemu64"
_LINK_MBIT = 10_000


def needs_of(guest: SimVm, at: float) -> DomainNeeds:
    """What a guest asks: a plain machine with virtio disks."""
    vm = guest.vm
    text = domain_xml(vm, inactive=False)
    return DomainNeeds(
        vm.uuid,
        hashlib.sha256(text.encode()).hexdigest(),
        at,
        arch="x86_64",
        machine=vm.machine,
        virt="kvm",
        emulator="/usr/bin/qemu-system-x86_64",
        memory=vm.memory_limit or vm.memory,
        vcpus=vm.vcpus,
        cpu=CpuNeed("custom", GUEST_CPU, xml=_cpu_xml(GUEST_CPU)),
        disks=tuple(
            DiskNeed(
                disk.target,
                cache="none",
                chain_known=vm.state.active,
                block_job="copy" if disk.target in guest.copies else "",
                servers=(("store.example", 10809),) if disk.kind == "network" else (),
            )
            for disk in vm.disks
        ),
        autostart=vm.autostart,
        persistent=vm.persistent,
    )


def caps_of(host: SimHost, at: float) -> HostCaps:
    """One NUMA node, no huge pages."""
    cpus = tuple(range(host.facts.cpus))
    return HostCaps(host.name, at, host.facts.cpu_model, cpus=cpus, nodes=(0,))


def fit_of(host: SimHost, needs: DomainNeeds, at: float) -> GuestFit:
    """Hosts with an old QEMU lack the newest machine type; every CPU can be what guests have."""
    offered = machines_of(host.facts)
    family = needs.machine.rpartition("-")[0]
    known = needs.machine in offered
    near = () if known else tuple(m for m in offered if m.rpartition("-")[0] == family)
    same = host.facts.cpu_model == needs.cpu.model
    return GuestFit(
        host.name,
        needs.digest,
        at,
        virt=needs.arch == host.facts.arch,
        machine=known,
        near=near,
        vcpus_max=288,
        cpu=CpuMatch.IDENTICAL if same else CpuMatch.SUPERSET,
        host_model=host.facts.cpu_model,
        host_cpu=_cpu_xml(host.facts.cpu_model),
        tpm=("emulator",),
        loaders=(),
    )


def baseline_of(cpus: tuple[str, ...], needs: DomainNeeds) -> CpuNeed:
    """The guest's own CPU where all are alike, else the least there is."""
    model = needs.cpu.model if len(set(cpus)) == 1 else LEAST_CPU
    return CpuNeed("custom", model, xml=_cpu_xml(model))


def _cpu_xml(model: str) -> str:
    return f"<cpu mode='custom'><model>{model}</model></cpu>"


def reach_of(host: SimHost, address: str, port: int, world: World) -> Reach:
    """Hosts that are switched off stay silent; nobody listens for a migration beforehand."""
    hosts = world.hosts.values()
    far = next((p for p in hosts if address in (p.name, p.facts.hostname)), None)
    if far is not None and (far.down is not None or far.hung):
        outcome = Reached.SILENT
    else:
        outcome = Reached.CONNECTED if port < 49152 else Reached.REFUSED
    return Reach(
        host.name, address, port, outcome, world.clock(), "simulated", "", "br0", _LINK_MBIT
    )


def login_of(host: SimHost, uri: str, at: float) -> PeerLogin:
    """Simulated hosts trust each other."""
    return PeerLogin(host.name, uri, True, at, "root")


def dirty_of(guest: SimVm, seconds: int, at: float) -> DirtyRate:
    """What the guest's character writes; nothing while it is paused."""
    bps = guest.character.dirty_bps if guest.vm.state is VmState.RUNNING else 0.0
    return DirtyRate(guest.vm.uuid, bps, seconds, at, "simulated")
