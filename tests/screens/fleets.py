"""Hand-made pictures of a small fleet, with a frozen clock and one of each trouble."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from drivers.model.event import Event, EventKind, Severity
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import StoreStatus
from drivers.model.host import (
    Filesystem,
    Host,
    HostDisk,
    HostFacts,
    HostLoad,
    HostNic,
    HostSpec,
    Link,
    LinkState,
    Protect,
    Psi,
)
from drivers.model.problem import Missing, Problem
from drivers.model.storage import Pool, Tier, Volume
from drivers.model.vm import JobProgress, Vm, VmDisk, VmNic, VmState

NOW = 1_700_000_000.0
GIB = 1 << 30
MIB = 1 << 20


def make_vm(number: int, host: str, name: str = "", **changes: object) -> Vm:
    """A running VM with figures that follow from its number."""
    vm = Vm(
        uuid=f"00000000-0000-4000-8000-{number:012d}",
        name=name or f"web{number}",
        host=host,
        state=VmState.RUNNING,
        reason="booted",
        domain_id=number,
        vcpus=1 + number % 4,
        memory=(1 + number % 3) * GIB,
        memory_used=(300 + 37 * number % 600) * MIB,
        rss=(400 + 31 * number % 600) * MIB,
        cpu_pct=float(number * 17 % 101),
        steal_pct=0.5,
        delay_pct=1.5,
        read_bps=float(number % 7 * MIB),
        write_bps=float(number % 5 * 300_000),
        disks=(
            VmDisk(
                "vda", source=f"/pools/hot/web{number}.qcow2", format="qcow2", pool="hot",
                volume=f"web{number}.qcow2", tier="hot", capacity=20 * GIB,
                allocation=4 * GIB, read_bps=float(number % 7 * MIB), write_bps=300_000.0,
                read_iops=12.0, write_iops=30.0, read_ms=0.4, write_ms=1.9,
            ),
        ),
        nics=(VmNic(f"vnet{number}", mac=f"52:54:00:00:00:{number % 256:02x}", source="default",
                    model="virtio", rx_bps=12_000.0 * number, tx_bps=3_000.0 * number),),
        tags=("prod", "web") if number % 2 else ("test",),
        tenant="acme" if number % 3 else "",
        started_at=NOW - 3600.0 * number,
        slow_at=NOW - 4.0,
        fast_at=NOW - 0.5,
    )  # fmt: skip
    return replace(vm, **changes)


def make_load(number: int) -> HostLoad:
    """Figures of a host that follow from its number."""
    return HostLoad(
        cpu_pct=20.0 + 7 * number, user_pct=5.0, system_pct=3.0, iowait_pct=1.0, irq_pct=0.2,
        steal_pct=0.0, guest_pct=10.0 + number, load1=1.25 * number, load5=1.0, load15=0.75,
        psi_cpu=Psi(3.0, 0.0), psi_memory=Psi(0.0, 0.0), psi_io=Psi(1.5, 0.5),
        memory_total=64 * GIB, memory_available=40 * GIB, swap_total=8 * GIB, swap_used=GIB // 4,
        disks=(HostDisk("nvme0n1", 3e6, 9e6, 120.0, 340.0, 17.0), HostDisk("sda", 0, 1e5, 0, 3, 2)),
        nics=(HostNic("eno1", 3.2e6, 1.1e6), HostNic("eno2", 0, 0, 0, 3, up=False)),
        filesystems=(Filesystem("/", "ext4", 100 * GIB, 60 * GIB),
                     Filesystem("/pools", "xfs", 2000 * GIB, 700 * GIB)),
        uptime_s=86_400.0 * 12 + 11_000,
    )  # fmt: skip


FACTS = HostFacts(
    hostname="kvm", kernel="6.1.0-18-amd64", arch="x86_64", cpus=16, cpu_model="EPYC-Rome",
    memory=64 * GIB, libvirt_version="9.0.0", qemu_version="7.2.9", hypervisor="QEMU",
    clock_skew_s=0.02,
)  # fmt: skip

TIERS = MappingProxyType({"hot": "hot", "warm": "warm", "cold": "cold"})


def make_pools(host: str) -> tuple[Pool, ...]:
    """Three pools, one volume each."""
    return tuple(
        Pool(
            name=tier.value, host=host, tier=tier, path=f"/pools/{tier.value}",
            capacity=1000 * GIB, allocation=(100 + n * 300) * GIB,
            available=(900 - n * 300) * GIB, at=NOW - 20.0,
            volumes=(Volume(f"web{n + 1}.qcow2", f"/pools/{tier.value}/web{n + 1}.qcow2",
                            tier.value, host, "qcow2", 20 * GIB, 4 * GIB),),
        )
        for n, tier in enumerate((Tier.HOT, Tier.WARM, Tier.COLD))
    )  # fmt: skip


def make_host(number: int, vms: Iterable[Vm] = (), **changes: object) -> Host:
    """A host that is up and was read half a second ago."""
    name = f"kvm{number}"
    host = Host(
        spec=HostSpec(name, f"qemu+ssh://root@{name}/system", site="dc1", tags=("rack1",),
                      tiers=TIERS, protect=Protect.RW),
        link=Link(LinkState.UP, NOW - 7200.0, rtt_ms=0.8,
                  route=f"{name}:22 > forwarded /run/libvirt/libvirt-sock"),
        facts=replace(FACTS, hostname=name),
        load=make_load(number),
        vms=tuple(vms),
        pools=make_pools(name),
        fast_at=NOW - 0.5,
        slow_at=NOW - 4.0,
        pools_at=NOW - 20.0,
    )  # fmt: skip
    return replace(host, **changes)


def make_fleet() -> FleetSnapshot:
    """Four hosts: busy, read-only with troubles, degraded, and down with stale VMs."""
    calm = [make_vm(n, "kvm1") for n in range(1, 8)]
    calm[1] = replace(calm[1], state=VmState.OFF, reason="shut down", cpu_pct=None, rss=None,
                      memory_used=None, read_bps=None, write_bps=None, started_at=None)  # fmt: skip
    calm[2] = replace(
        calm[2],
        job=JobProgress("migrating", NOW, done=47 * MIB, total=100 * MIB, rate_bps=9e6),
    )
    odd = [
        make_vm(11, "kvm2", "db-main", state=VmState.PAUSED, reason="I/O error"),
        make_vm(12, "kvm2", "db-replica", state=VmState.CRASHED, reason="panicked", cpu_pct=None),
        make_vm(
            13, "kvm2", "データベース", missing=(Missing("vm.cpu", "/proc is hidden", "use root"),)
        ),
        make_vm(14, "kvm2", "stuck", monitor_stuck_s=42.0),
    ]
    old = [make_vm(21, "kvm4", "mail", fast_at=NOW - 95.0, slow_at=NOW - 99.0)]
    gone = Problem("kvm4 does not answer", "connect to 10.0.0.4:22 timed out after 15 s",
                   "check the network to kvm4", "unreachable")  # fmt: skip
    slow = Problem("the /proc reader ended", "exit status 1", "look at python3 on kvm3", "failed")
    second = make_host(2, odd)
    hosts = (
        make_host(1, calm),
        replace(second, spec=replace(second.spec, protect=Protect.RO)),
        make_host(3, [make_vm(31, "kvm3")], link=Link(LinkState.DEGRADED, NOW - 30.0, slow),
                  missing=(Missing("psi", "kernel built without PSI", "boot with psi=1"),)),
        make_host(4, old, link=Link(LinkState.DOWN, NOW - 95.0, gone, 4, NOW + 12.0),
                  fast_at=NOW - 95.0, slow_at=NOW - 99.0),
    )  # fmt: skip
    return FleetSnapshot(NOW, 1, hosts)


EVENTS = (
    Event(NOW - 60.0, EventKind.CONNECTION, "kvm4", "lost: timed out", severity=Severity.ERROR),
    Event(NOW - 30.0, EventKind.LIFECYCLE, "kvm1", "started (booted)",
          vm=make_vm(1, "kvm1").uuid, vm_name="web1", change="started"),
)  # fmt: skip

RECORDING = StoreStatus("writer", "/tmp/history.duckdb", 4242)
