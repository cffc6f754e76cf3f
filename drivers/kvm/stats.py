"""One record of the bulk statistics call to one Vm. Pure: numbers in, a frozen value out.

Counters become rates over the interval since the last reading. A counter that ran backwards (guest
restarted, device replaced, wrap) gives no rate for that interval: a gap, never a spike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.kvm.domxml import DiskDef, DomainDef, NicDef
from drivers.kvm.places import Places
from drivers.kvm.text import clean
from drivers.kvm.words import state_words
from drivers.model.problem import Missing
from drivers.model.vm import JobProgress, Vm, VmDisk, VmNic

_DISK_COUNTERS = ("rd.bytes", "wr.bytes", "rd.reqs", "wr.reqs", "rd.times", "wr.times")
_NIC_COUNTERS = ("rx.bytes", "tx.bytes", "rx.pkts", "tx.pkts")
_NIC_ERRORS = ("rx.errs", "tx.errs", "rx.drop", "tx.drop")
_KIB = 1024

_NO_PERIOD = Missing(
    "vm.memory",
    "the balloon's statistics are not being collected",
    "virsh dommemstat DOMAIN --period 5 --live --config",
)
_NO_BALLOON = Missing("vm.memory", "the domain has no memory balloon")
_SILENT_BALLOON = Missing(
    "vm.memory",
    "the guest's balloon driver tells nothing",
    "load virtio_balloon in the guest",
)
_NO_MONITOR = Missing("vm.disks", "another job holds the VM's monitor", "it ends with that job")

_NO_BLOCK = Missing("vm.disks", "this hypervisor tells no figures of disks")

Counters = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """The counters of one reading, kept to make rates from the next.

    Attributes:
        at: Monotonic seconds.
        domain_id: A new id is a new QEMU process: its counters began anew.
        cpu: Nanoseconds of CPU time.
        disks: Target to bytes, requests and nanoseconds, read and written.
        nics: MAC or target to bytes and packets.
    """

    at: float
    domain_id: int
    cpu: int | None = None
    disks: Mapping[str, Counters] = field(default_factory=dict)
    nics: Mapping[str, Counters] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a domain besides its statistics and XML."""

    uuid: str
    name: str
    host: str
    domain_id: int = -1
    persistent: bool = True
    autostart: bool = False
    job: JobProgress | None = None


def number(stats: Mapping[str, object], key: str) -> int | None:
    """A non-negative integer of the record, None where it is absent or something else."""
    value = stats.get(key)
    return value if type(value) is int and value >= 0 else None


def rate(new: int | None, old: int | None, seconds: float) -> float | None:
    """Change a second; None across a reset, a gap or no time at all."""
    if new is None or old is None or new < old or seconds <= 0.0:
        return None
    return (new - old) / seconds


def build_vm(
    facts: Facts,
    definition: DomainDef,
    stats: Mapping[str, object],
    last: Mark | None,
    places: Places,
    *,
    at: float,
    now: float,
    with_cpu: bool,
) -> tuple[Vm, Mark]:
    """One VM and the counters to compare the next reading with.

    Args:
        facts: Identity, and what neither XML nor statistics say.
        definition: The parsed XML.
        stats: One record of virConnectGetAllDomainStats.
        last: Counters of the reading before, None for the first.
        places: Which pool and tier a path lies in.
        at: The console's clock, for ``slow_at``.
        now: Monotonic seconds of this reading.
        with_cpu: Fill CPU and RSS here too, where no fast lane does.
    """
    state, reason = state_words(stats.get("state.state"), stats.get("state.reason"))
    if last is not None and last.domain_id != facts.domain_id:
        last = None
    seconds = now - last.at if last is not None else 0.0
    disk_rows, disk_marks = _disks(definition, stats, last, seconds, places)
    nic_rows, nic_marks = _nics(definition, stats, last, seconds)
    cpu = number(stats, "cpu.time")
    used, missing = _memory_used(definition, stats, active=state.active)
    if (
        state.active
        and definition.disks
        and not any(d and d[0] is not None for d in disk_marks.values())
    ):
        missing = (*missing, _NO_MONITOR if "block.count" in stats else _NO_BLOCK)
    current = number(stats, "balloon.current")
    limit = number(stats, "balloon.maximum")
    vcpus = definition.vcpus or number(stats, "vcpu.current") or 0
    rss = number(stats, "balloon.rss") if with_cpu else None
    vm = Vm(
        uuid=facts.uuid,
        name=clean(facts.name),
        host=facts.host,
        state=state,
        reason=reason,
        domain_id=facts.domain_id,
        title=definition.title,
        description=definition.description,
        vcpus=vcpus,
        memory=definition.memory if current is None else current * _KIB,
        memory_limit=(definition.memory_limit or None) if limit is None else limit * _KIB,
        memory_used=used,
        rss=None if rss is None else rss * _KIB,
        cpu_pct=_cpu(cpu, last, seconds, vcpus) if with_cpu and state.active else None,
        disks=disk_rows,
        nics=nic_rows,
        persistent=facts.persistent,
        autostart=facts.autostart,
        machine=definition.machine,
        tags=definition.tags,
        tenant=definition.tenant,
        job=facts.job,
        slow_at=at,
        missing=missing,
    )
    return vm, Mark(now, facts.domain_id, cpu, disk_marks, nic_marks)


def _cpu(cpu: int | None, last: Mark | None, seconds: float, vcpus: int) -> float | None:
    used = rate(cpu, last.cpu if last is not None else None, seconds)
    return None if used is None or vcpus < 1 else min(100.0, used / 1e7 / vcpus)


def _memory_used(
    definition: DomainDef, stats: Mapping[str, object], *, active: bool
) -> tuple[int | None, tuple[Missing, ...]]:
    if not active:
        return None, ()
    if not definition.balloon and definition.readable:
        return None, (_NO_BALLOON,)
    if definition.balloon_period <= 0:  # what is there was told once, at boot
        return None, (_NO_PERIOD,)
    available = number(stats, "balloon.available")
    free = number(stats, "balloon.usable")
    if free is None:
        free = number(stats, "balloon.unused")
    if available is None or free is None or free > available:
        return None, (_SILENT_BALLOON,)
    return (available - free) * _KIB, ()


def _disks(
    definition: DomainDef,
    stats: Mapping[str, object],
    last: Mark | None,
    seconds: float,
    places: Places,
) -> tuple[tuple[VmDisk, ...], dict[str, Counters]]:
    slots = {
        stats.get(f"block.{index}.name"): f"block.{index}."
        for index in range(min(number(stats, "block.count") or 0, 4096))
    }
    rows: list[VmDisk] = []
    marks: dict[str, Counters] = {}
    for disk in definition.disks:
        prefix = slots.get(disk.target)
        new: Counters = ()
        size: tuple[int | None, int | None] = (None, None)
        if prefix is not None:
            new = marks[disk.target] = tuple(number(stats, prefix + k) for k in _DISK_COUNTERS)
            size = (number(stats, prefix + "capacity"), number(stats, prefix + "allocation"))
        old = last.disks.get(disk.target, ()) if last is not None else ()
        rows.append(_disk_row(disk, size, new, old, seconds, places))
    return tuple(rows), marks


def _disk_row(
    disk: DiskDef,
    size: tuple[int | None, int | None],
    new: Counters,
    old: Counters,
    seconds: float,
    places: Places,
) -> VmDisk:
    place = places.of(disk)
    rates: list[float | None] = [None] * 6
    if new and old:
        rates = [rate(n, o, seconds) for n, o in zip(new, old, strict=True)]
    read_bps, write_bps, read_iops, write_iops, read_ns, write_ns = rates
    return VmDisk(
        target=disk.target,
        source=place.path or disk.source,
        kind=disk.kind,
        device=disk.device,
        format=disk.format,
        pool=place.pool,
        volume=place.volume,
        tier=place.tier,
        read_only=disk.read_only,
        shared=disk.shared or place.shared,
        capacity=place.capacity if size[0] is None else size[0],
        allocation=place.allocation if size[1] is None else size[1],
        read_bps=read_bps,
        write_bps=write_bps,
        read_iops=read_iops,
        write_iops=write_iops,
        read_ms=_latency(read_ns, read_iops),
        write_ms=_latency(write_ns, write_iops),
    )


def _latency(nanoseconds_a_second: float | None, requests_a_second: float | None) -> float | None:
    """Mean milliseconds a request; None where there was no request."""
    if nanoseconds_a_second is None or not requests_a_second:
        return None
    return nanoseconds_a_second / requests_a_second / 1e6


def _nics(
    definition: DomainDef, stats: Mapping[str, object], last: Mark | None, seconds: float
) -> tuple[tuple[VmNic, ...], dict[str, Counters]]:
    slots = {
        stats.get(f"net.{index}.name"): f"net.{index}."
        for index in range(min(number(stats, "net.count") or 0, 4096))
    }
    rows: list[VmNic] = []
    marks: dict[str, Counters] = {}
    for position, nic in enumerate(definition.nics):
        prefix = slots.get(nic.target) if nic.target else None
        key = nic.target or nic.mac or str(position)
        rates: list[float | None] = [None] * 4
        errors = None
        if prefix is not None:
            new = marks[key] = tuple(number(stats, prefix + k) for k in _NIC_COUNTERS)
            errors = sum(number(stats, prefix + k) or 0 for k in _NIC_ERRORS)
            old = last.nics.get(key) if last is not None else None
            if old is not None:
                rates = [rate(n, o, seconds) for n, o in zip(new, old, strict=True)]
        rows.append(_nic_row(nic, rates, errors))
    return tuple(rows), marks


def _nic_row(nic: NicDef, rates: list[float | None], errors: int | None) -> VmNic:
    rx_bps, tx_bps, rx_pps, tx_pps = rates
    return VmNic(
        target=nic.target,
        mac=nic.mac,
        kind=nic.kind,
        source=nic.source,
        model=nic.model,
        rx_bps=rx_bps,
        tx_bps=tx_bps,
        rx_pps=rx_pps,
        tx_pps=tx_pps,
        errors=errors,
    )
