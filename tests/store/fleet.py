"""Hosts and VMs with made-up figures for the store's tests and benchmark."""

from __future__ import annotations

import random
from dataclasses import replace
from uuid import UUID

from drivers.model.host import Host, HostLoad, HostNic, HostSpec, Link, LinkState, Psi
from drivers.model.job import Action, Job, JobState, Plan, Request
from drivers.model.vm import Vm, VmDisk, VmNic, VmState

T0 = 1_800_000_000.0  # a whole hour of the epoch


def uuid(number: int) -> str:
    """The UUID of VM ``number``."""
    return str(UUID(int=0x9_0000_0000 + number))


def make_vm(number: int, host: str, at: float, **changes: object) -> Vm:
    """A running VM whose figures are all fresh at ``at``."""
    vm = Vm(
        uuid=uuid(number),
        name=f"web{number}",
        host=host,
        state=VmState.RUNNING,
        vcpus=2,
        memory=2 << 30,
        memory_used=1 << 30,
        rss=2 << 30,
        cpu_pct=12.5,
        steal_pct=0.0,
        delay_pct=0.3,
        read_bps=1e6,
        write_bps=2e6,
        disks=(VmDisk("vda", read_iops=10.0, write_iops=20.0, read_ms=0.5, write_ms=1.5),),
        nics=(VmNic("vnet0", rx_bps=1e5, tx_bps=2e5),),
        slow_at=at,
        fast_at=at,
    )
    return replace(vm, **changes)  # type: ignore[arg-type]


def make_host(name: str, at: float, vms: tuple[Vm, ...] = (), **changes: object) -> Host:
    """A host that is up, with figures fresh at ``at``."""
    load = HostLoad(
        cpu_pct=40.0,
        iowait_pct=1.0,
        steal_pct=0.0,
        load1=3.21,
        psi_cpu=Psi(2.0, 0.0),
        psi_memory=Psi(0.0, 0.0),
        psi_io=Psi(1.0, 0.5),
        memory_total=64 << 30,
        memory_available=24 << 30,
        swap_used=0,
        nics=(HostNic("eth0", 1e6, 2e6),),
    )
    host = Host(
        HostSpec(name, f"qemu+ssh://root@{name}/system"),
        Link(LinkState.UP, rtt_ms=1.2),
        load=load,
        vms=vms,
        fast_at=at,
        slow_at=at,
    )
    return replace(host, **changes)  # type: ignore[arg-type]


def make_job(job_id: str, at: float, state: JobState = JobState.RUNNING) -> Job:
    """A migration as the journal holds it."""
    request = Request(Action.MIGRATE, uuid(1), "kvm2")
    plan = Plan("p-" + job_id, request, "web1", "kvm1", at, title="Migrate web1")
    return Job(job_id, plan, state, created_at=at, owner="root@here:1:2", facts={"disk": "vda"})


def noisy_fleet(hosts: int, vms: int, at: float, chance: random.Random) -> tuple[Host, ...]:
    """Hosts with ``vms`` VMs each whose figures move the way busy guests' do."""
    fleet = []
    for h in range(hosts):
        name = f"kvm{h}"
        guests = tuple(_noisy(h * vms + v, name, at, chance) for v in range(vms))
        fleet.append(make_host(name, at, guests))
    return tuple(fleet)


def _noisy(number: int, host: str, at: float, chance: random.Random) -> Vm:
    busy = 1 + number % 7
    disk = VmDisk(
        "vda",
        read_iops=busy * chance.lognormvariate(2, 0.5),
        write_iops=busy * chance.lognormvariate(3, 0.5),
        read_ms=chance.lognormvariate(-1, 0.5),
        write_ms=chance.lognormvariate(0, 0.5),
    )
    nic = VmNic(
        "vnet0",
        rx_bps=busy * chance.lognormvariate(10, 0.6),
        tx_bps=busy * chance.lognormvariate(10, 0.6),
    )
    return make_vm(
        number,
        host,
        at,
        cpu_pct=max(0.0, chance.gauss(10 * busy, 4)),
        delay_pct=abs(chance.gauss(0, 0.4)),
        memory_used=int((1 << 30) * (1 + chance.random() * 0.02)),
        rss=int((2 << 30) * (1 + chance.random() * 0.001)),
        read_bps=busy * chance.lognormvariate(12, 0.6),
        write_bps=busy * chance.lognormvariate(12, 0.6),
        disks=(disk,),
        nics=(nic,),
    )
