"""One record of the bulk statistics call to one Vm. Pure: numbers in, a frozen value out.

Counters become rates over the interval since the last reading. A counter that ran backwards (guest
restarted, device replaced, wrap) gives no rate for that interval: a gap, never a spike.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drivers.kvm.domxml import DiskDef, DomainDef
from drivers.kvm.places import Places
from drivers.kvm.text import clean
from drivers.kvm.words import state_words
from drivers.model.problem import Missing
from drivers.model.vm import JobProgress, Vm, VmDisk, VmNic

_DISK_COUNTERS = ("rd.bytes", "wr.bytes", "rd.reqs", "wr.reqs", "rd.times", "wr.times")
_DISK_SIZES = ("capacity", "allocation")
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
_NO_SIZE: Counters = (None, None)
_NO_RATES: tuple[float | None, ...] = (None,) * len(_DISK_COUNTERS)
_MOST_DEVICES = 4096  # of one kind; a record that claims more is nonsense


@dataclass(frozen=True, slots=True)
class Mark:
    """The counters of one reading, kept to make rates from the next.

    Attributes:
        at: Monotonic seconds.
        domain_id: A new id is a new QEMU process: its counters began anew.
        cpu: Nanoseconds of CPU time.
        disks: Target to bytes, requests and nanoseconds, read and written.
        nics: Target to bytes and packets.
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


@functools.lru_cache(maxsize=1024)
def _keys(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Keys such as ``block.0.rd.bytes``, made once: a sweep looks up ten for every disk."""
    return tuple(prefix + name for name in names)


def _numbers(stats: Mapping[str, object], prefix: str, names: tuple[str, ...]) -> Counters:
    found = map(stats.get, _keys(prefix, names))
    return tuple([v if type(v) is int and v >= 0 else None for v in found])


def _rates(new: Counters, old: Counters | None, seconds: float) -> Sequence[float | None]:
    """``rate`` of each counter; all None where there is no earlier reading."""
    if not old or seconds <= 0.0:
        return (None,) * len(new)
    return [
        None if n is None or o is None or n < o else (n - o) / seconds
        for n, o in zip(new, old, strict=True)
    ]


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
    active = state.active
    used, missing = _memory_used(definition, stats, active=active)
    if active and disk_rows and not any(marks[0] is not None for marks in disk_marks.values()):
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
        cpu_pct=_cpu(cpu, last, seconds, vcpus) if with_cpu and active else None,
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


def _slots(stats: Mapping[str, object], group: str) -> dict[object, str]:
    """Device name to the prefix of its keys, such as ``vda`` to ``block.0.``."""
    count = min(number(stats, f"{group}.count") or 0, _MOST_DEVICES)
    return {stats.get(f"{group}.{index}.name"): f"{group}.{index}." for index in range(count)}


def _disks(
    definition: DomainDef,
    stats: Mapping[str, object],
    last: Mark | None,
    seconds: float,
    places: Places,
) -> tuple[tuple[VmDisk, ...], dict[str, Counters]]:
    slots = _slots(stats, "block")
    rows: list[VmDisk] = []
    marks: dict[str, Counters] = {}
    for disk in definition.disks:
        prefix = slots.get(disk.target)
        if prefix is None:
            rows.append(_disk_row(disk, _NO_SIZE, _NO_RATES, places))
            continue
        new = marks[disk.target] = _numbers(stats, prefix, _DISK_COUNTERS)
        old = last.disks.get(disk.target) if last is not None else None
        size = _numbers(stats, prefix, _DISK_SIZES)
        rows.append(_disk_row(disk, size, _rates(new, old, seconds), places))
    return tuple(rows), marks


def _disk_row(
    disk: DiskDef, size: Counters, rates: Sequence[float | None], places: Places
) -> VmDisk:
    place = places.of(disk)
    read_bps, write_bps, read_iops, write_iops, read_ns, write_ns = rates
    capacity, allocation = size
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
        capacity=place.capacity if capacity is None else capacity,
        allocation=place.allocation if allocation is None else allocation,
        read_bps=read_bps,
        write_bps=write_bps,
        read_iops=read_iops,
        write_iops=write_iops,
        # Nanoseconds a second over requests a second; unknown where there was no request.
        read_ms=read_ns / read_iops / 1e6 if read_ns is not None and read_iops else None,
        write_ms=write_ns / write_iops / 1e6 if write_ns is not None and write_iops else None,
    )


def _nics(
    definition: DomainDef, stats: Mapping[str, object], last: Mark | None, seconds: float
) -> tuple[tuple[VmNic, ...], dict[str, Counters]]:
    slots = _slots(stats, "net")
    rows: list[VmNic] = []
    marks: dict[str, Counters] = {}
    for nic in definition.nics:
        prefix = slots.get(nic.target) if nic.target else None
        if prefix is None:
            rows.append(VmNic(nic.target, nic.mac, nic.kind, nic.source, nic.model))
            continue
        new = marks[nic.target] = _numbers(stats, prefix, _NIC_COUNTERS)
        old = last.nics.get(nic.target) if last is not None else None
        errors = sum(n for n in _numbers(stats, prefix, _NIC_ERRORS) if n is not None)
        rx_bps, tx_bps, rx_pps, tx_pps = _rates(new, old, seconds)
        rows.append(
            VmNic(
                nic.target,
                nic.mac,
                nic.kind,
                nic.source,
                nic.model,
                rx_bps,
                tx_bps,
                rx_pps,
                tx_pps,
                errors,
            )
        )
    return tuple(rows), marks
