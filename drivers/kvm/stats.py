"""One record of the bulk statistics call to one Vm. Pure: numbers in, a frozen value out.

Counters become rates over the interval since the last reading. A counter that ran backwards (guest
restarted, device replaced, wrap) gives no rate for that interval: a gap, never a spike.

Most VMs change little between two sweeps, so a reading is built on the one before: its layout, and
the rows of devices that did nothing, are used again as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import eq

from drivers.kvm.domxml import DiskDef, DomainDef, NicDef
from drivers.kvm.layout import Layout, Raw, head_of, layout_of
from drivers.kvm.places import Places
from drivers.kvm.remake import Remaker
from drivers.kvm.text import clean
from drivers.kvm.words import state_words
from drivers.model.problem import Missing
from drivers.model.vm import JobProgress, Vm, VmDisk, VmNic

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

_again = Remaker(Vm)


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


@dataclass(slots=True)
class Mark:
    """One reading, kept to make rates from the next and to build it on. Never changed once made.

    Attributes:
        at: Monotonic seconds.
        facts: A new domain id is a new QEMU process: its counters began anew.
        head: Values of the whole domain, as ``layout.HEAD_KEYS`` names them.
        cpu: ``cpu.time`` (nanoseconds) and ``balloon.rss`` (KiB), where they are wanted.
        disks: Raw figures of each disk of the definition; None where the record had none.
        nics: Likewise.
        calm: For each disk, each NIC, and last the domain itself: its figures were those of the
            reading before, so what was made of them holds for as long as they stay.
        vm: What was made of it.
    """

    at: float
    facts: Facts
    definition: DomainDef
    places: Places
    layout: Layout
    head: Raw
    cpu: Raw
    disks: Sequence[Raw | None]
    nics: Sequence[Raw | None]
    calm: Sequence[bool]
    vm: Vm = field(repr=False)

    @property
    def disk_rows(self) -> Sequence[VmDisk]:
        """The disks as shown."""
        return self.vm.disks

    @property
    def nic_rows(self) -> Sequence[VmNic]:
        """The NICs as shown."""
        return self.vm.nics


def number(stats: Mapping[str, object], key: str) -> int | None:
    """A non-negative integer of the record, None where it is absent or something else."""
    return _whole(stats.get(key))


def _whole(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def rate(new: object, old: object, seconds: float) -> float | None:
    """Change a second; None across a reset, a gap, nonsense or no time at all."""
    if type(new) is int and type(old) is int and 0 <= old <= new and seconds > 0.0:
        return (new - old) / seconds
    return None


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
    """One VM and the reading to compare the next one with.

    Args:
        facts: Identity, and what neither XML nor statistics say.
        definition: The parsed XML.
        stats: One record of virConnectGetAllDomainStats.
        last: The reading before, None for the first.
        places: Which pool and tier a path lies in.
        at: The console's clock, for ``slow_at``.
        now: Monotonic seconds of this reading.
        with_cpu: Fill CPU and RSS here too, where no fast lane does.
    """
    if last is not None and last.facts.domain_id != facts.domain_id:
        last = None
    cpu = (stats.get("cpu.time"), stats.get("balloon.rss")) if with_cpu else ()
    head = head_of(stats)
    layout, disks, nics = _figures(definition, stats, last)
    before = _before(last, definition, places)
    still = [*map(eq, disks, before.disks), *map(eq, nics, before.nics)]
    still.append(last is not None and cpu == last.cpu and head == last.head)
    vm = None if last is None else last.vm
    if vm is not None and all(still) and all(before.calm) and facts is before.facts:
        vm = _again(vm, slow_at=at)
    else:
        seconds = now - last.at if last is not None else 0.0
        rows = _rows(definition, places, before, disks, nics, still, seconds)
        base = vm if vm is not None and before.facts is facts else _fixed(facts, definition)
        changes = _whole_domain(definition, stats, last, disks, seconds, cpu)
        vm = _again(base, disks=rows[0], nics=rows[1], job=facts.job, slow_at=at, **changes)
    mark = Mark(now, facts, definition, places, layout, head, cpu, disks, nics, still, vm)
    return vm, mark


@dataclass(slots=True)
class _Before:
    """The reading before, device by device as the definition names them now."""

    disks: Sequence[Raw | None]
    nics: Sequence[Raw | None]
    calm: Sequence[bool]
    facts: Facts | None = None
    disk_rows: Sequence[VmDisk] = ()
    nic_rows: Sequence[VmNic] = ()


def _before(last: Mark | None, definition: DomainDef, places: Places) -> Mark | _Before:
    if last is not None and last.definition is definition and last.places is places:
        return last
    old_disks = {} if last is None else _named(last.disks)
    old_nics = {} if last is None else _named(last.nics)
    return _Before(
        [old_disks.get(disk.target) for disk in definition.disks],
        [old_nics.get(nic.target) for nic in definition.nics],
        (False,) * (len(definition.disks) + len(definition.nics) + 1),
    )


def _named(figures: Sequence[Raw | None]) -> dict[object, Raw]:
    """Raw figures by device name, which each begins with."""
    return {raw[0]: raw for raw in figures if raw is not None}


def _figures(
    definition: DomainDef, stats: Mapping[str, object], last: Mark | None
) -> tuple[Layout, list[Raw | None], list[Raw | None]]:
    """The devices' figures, by the last layout where it still fits."""
    if last is not None and last.definition is definition and last.layout.size == len(stats):
        try:
            disks, nics = _picked(last.layout, stats)
        except KeyError:  # a device lost a figure
            pass
        else:
            if all(map(_same_device, (*disks, *nics), (*last.disks, *last.nics))):
                return last.layout, disks, nics
    layout = layout_of(definition, stats)
    return layout, *_picked(layout, stats)


def _picked(
    layout: Layout, stats: Mapping[str, object]
) -> tuple[list[Raw | None], list[Raw | None]]:
    return (
        [None if pick is None else pick(stats) for pick in layout.disks],
        [None if pick is None else pick(stats) for pick in layout.nics],
    )


def _same_device(new: Raw | None, old: Raw | None) -> bool:
    return new is old or (new is not None and old is not None and new[0] == old[0])


def _rows(
    definition: DomainDef,
    places: Places,
    before: Mark | _Before,
    disks: Sequence[Raw | None],
    nics: Sequence[Raw | None],
    still: Sequence[bool],
    seconds: float,
) -> tuple[tuple[VmDisk, ...], tuple[VmNic, ...]]:
    """Rows of all devices; one that did nothing, twice in a row, is the one it was."""
    idle = [now and then for now, then in zip(still, before.calm, strict=True)]
    count = len(disks)
    return (
        tuple(
            before.disk_rows[i] if idle[i] else _disk_row(disk, new, old, seconds, places)
            for i, (disk, new, old) in enumerate(
                zip(definition.disks, disks, before.disks, strict=True)
            )
        ),
        tuple(
            before.nic_rows[i] if idle[count + i] else _nic_row(nic, new, old, seconds)
            for i, (nic, new, old) in enumerate(
                zip(definition.nics, nics, before.nics, strict=True)
            )
        ),
    )


def _fixed(facts: Facts, definition: DomainDef) -> Vm:
    """What does not change from sweep to sweep."""
    return Vm(
        uuid=facts.uuid,
        name=clean(facts.name),
        host=facts.host,
        domain_id=facts.domain_id,
        title=definition.title,
        description=definition.description,
        persistent=facts.persistent,
        autostart=facts.autostart,
        machine=definition.machine,
        tags=definition.tags,
        tenant=definition.tenant,
    )


def _whole_domain(
    definition: DomainDef,
    stats: Mapping[str, object],
    last: Mark | None,
    disks: Sequence[Raw | None],
    seconds: float,
    cpu: Raw,
) -> dict[str, object]:
    """Fields of the domain itself: state, memory, CPU, and what is missing."""
    state, reason = state_words(stats.get("state.state"), stats.get("state.reason"))
    active = state.active
    used, missing = _memory_used(definition, stats, active=active)
    if active and disks and not any(raw is not None and raw[1] is not None for raw in disks):
        missing = (*missing, _NO_MONITOR if "block.count" in stats else _NO_BLOCK)
    current = number(stats, "balloon.current")
    limit = number(stats, "balloon.maximum")
    vcpus = definition.vcpus or number(stats, "vcpu.current") or 0
    rss = _whole(cpu[1]) if cpu else None
    return {
        "state": state,
        "reason": reason,
        "vcpus": vcpus,
        "memory": definition.memory if current is None else current * _KIB,
        "memory_limit": (definition.memory_limit or None) if limit is None else limit * _KIB,
        "memory_used": used,
        "rss": None if rss is None else rss * _KIB,
        "cpu_pct": _cpu(cpu, last, seconds, vcpus) if active else None,
        "missing": missing,
    }


def _cpu(cpu: Raw, last: Mark | None, seconds: float, vcpus: int) -> float | None:
    if not cpu or last is None or not last.cpu or vcpus < 1:
        return None
    used = rate(cpu[0], last.cpu[0], seconds)
    return None if used is None else min(100.0, used / 1e7 / vcpus)


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


def _disk_row(
    disk: DiskDef, new: Raw | None, old: Raw | None, seconds: float, places: Places
) -> VmDisk:
    place = places.of(disk)
    capacity = allocation = None
    rates: list[float | None] = [None] * 6
    if new is not None:
        capacity, allocation = _whole(new[7]), _whole(new[8])
        if old is not None:
            rates = [rate(n, o, seconds) for n, o in zip(new[1:7], old[1:7], strict=True)]
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


def _nic_row(nic: NicDef, new: Raw | None, old: Raw | None, seconds: float) -> VmNic:
    if new is None:
        return VmNic(nic.target, nic.mac, nic.kind, nic.source, nic.model)
    rates: list[float | None] = [None] * 4
    if old is not None:
        rates = [rate(n, o, seconds) for n, o in zip(new[1:5], old[1:5], strict=True)]
    errors = sum(count for value in new[5:] if (count := _whole(value)) is not None)
    fixed = (nic.target, nic.mac, nic.kind, nic.source, nic.model)
    return VmNic(*fixed, rates[0], rates[1], rates[2], rates[3], errors)
