"""One record of the bulk statistics call to one Vm. Pure: numbers in, a frozen value out.

Counters become rates over the interval since the last reading. A counter that ran backwards (guest
restarted, device replaced, wrap) gives no rate for that interval: a gap, never a spike.

Most VMs change little between two sweeps, so a reading is built on the one before: its layout, and
the rows of devices that did nothing, are used again as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drivers.kvm.domxml import DiskDef, DomainDef, NicDef
from drivers.kvm.layout import MOST_DEVICES, Layout, Raw, Where, figures, layout_of
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
    """One reading, kept to make rates from the next and to build it on.

    Attributes:
        at: Monotonic seconds.
        facts: A new domain id is a new QEMU process: its counters began anew.
        raw: Every figure, as ``layout`` picks them.
        cpu: ``cpu.time``, nanoseconds, where it is wanted.
        calm: The figures were those of the reading before: nothing happened in between.
        vm: What was made of it.
    """

    at: float
    facts: Facts
    definition: DomainDef
    places: Places
    layout: Layout
    raw: Raw
    cpu: object
    calm: bool
    vm: Vm = field(repr=False)


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
    layout, raw = _taken(definition, stats, last, with_cpu=with_cpu)
    same = last is not None and last.layout is layout and last.raw == raw
    settled = last is not None and last.facts is facts and last.places is places
    if last is not None and same and settled and last.calm:
        # Nothing happened, twice in a row: what was made of it holds, at a new age. Moving the
        # mark on is true whichever sweep does it.
        last.vm, last.at = _again(last.vm, slow_at=at), now
        return last.vm, last
    seconds = now - last.at if last is not None else 0.0
    stays = last is not None and last.facts is facts and last.definition is definition
    disks = _disks(definition, places, layout, raw, last, seconds)
    vm = _again(
        last.vm if last is not None and stays else _fixed(facts, definition),
        disks=disks,
        read_bps=_total([disk.read_bps for disk in disks]),
        write_bps=_total([disk.write_bps for disk in disks]),
        nics=_nics(definition, layout, raw, last, seconds),
        job=facts.job,
        slow_at=at,
        **_whole_domain(definition, stats, last, seconds, with_cpu=with_cpu),
    )
    cpu = stats.get("cpu.time") if with_cpu else None
    calm = same and seconds > 0.0
    return vm, Mark(now, facts, definition, places, layout, raw, cpu, calm, vm)


def _total(rates: Sequence[float | None]) -> float | None:
    known = [told for told in rates if told is not None]
    return sum(known) if known else None


def _taken(
    definition: DomainDef, stats: Mapping[str, object], last: Mark | None, *, with_cpu: bool
) -> tuple[Layout, Raw]:
    """Every figure, by the last layout where it still fits."""
    if last is not None and last.definition is definition:
        layout = last.layout
        if layout.size == len(stats) and layout.with_cpu is with_cpu:
            try:
                raw = layout.pick(stats)
            except KeyError:  # a figure is gone, another has come
                pass
            else:
                if raw == last.raw or _same_devices(layout, raw, last.raw):
                    return layout, raw
    layout = layout_of(definition, stats, with_cpu=with_cpu)
    return layout, layout.pick(stats)


def _same_devices(layout: Layout, new: Raw, old: Raw) -> bool:
    """True when no device has taken another's place in the record."""
    firsts = [_first(where) for where in (*layout.disks, *layout.nics) if where is not None]
    return all(new[first] == old[first] for first in firsts)


def _first(where: slice | tuple[int, ...]) -> int:
    """Where a device's name is, which its figures begin with."""
    return int(where.start) if isinstance(where, slice) else where[0]


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
    seconds: float,
    *,
    with_cpu: bool,
) -> dict[str, object]:
    """Fields of the domain itself: state, memory, CPU, and what is missing."""
    state, reason = state_words(stats.get("state.state"), stats.get("state.reason"))
    active = state.active
    used, missing = _memory_used(definition, stats, active=active)
    if active and definition.disks and not _disks_told(stats):
        missing = (*missing, _NO_MONITOR if "block.count" in stats else _NO_BLOCK)
    if active and (kinds := {nic.kind for nic in definition.nics if not nic.target}):
        missing = (*missing, _uncounted(kinds))
    current = number(stats, "balloon.current")
    limit = number(stats, "balloon.maximum")
    vcpus = definition.vcpus or number(stats, "vcpu.current") or 0
    rss = number(stats, "balloon.rss") if with_cpu else None
    busy = rate(stats.get("cpu.time"), last.cpu, seconds) if with_cpu and last and active else None
    return {
        "state": state,
        "reason": reason,
        "vcpus": vcpus,
        "memory": definition.memory if current is None else current * _KIB,
        "memory_limit": (definition.memory_limit or None) if limit is None else limit * _KIB,
        "memory_used": used,
        "rss": None if rss is None else rss * _KIB,
        "cpu_pct": None if busy is None or vcpus < 1 else min(100.0, busy / 1e7 / vcpus),
        "missing": missing,
    }


def _uncounted(kinds: set[str]) -> Missing:
    words = ", ".join(sorted(kinds))
    return Missing("vm.net", f"interfaces of kind {words} have no device on the host that counts")


def _disks_told(stats: Mapping[str, object]) -> bool:
    count = min(number(stats, "block.count") or 0, MOST_DEVICES)
    return any(number(stats, f"block.{index}.rd.bytes") is not None for index in range(count))


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


def _named(raw: Raw, places: Sequence[Where]) -> dict[object, Raw]:
    """Figures of a reading's devices by name."""
    found = (figures(raw, where) for where in places)
    return {told[0]: told for told in found if told is not None}


def _disks(
    definition: DomainDef,
    places: Places,
    layout: Layout,
    raw: Raw,
    last: Mark | None,
    seconds: float,
) -> tuple[VmDisk, ...]:
    """A row for each disk; that of one which did nothing, twice in a row, is used again."""
    old = _named(last.raw, last.layout.disks) if last is not None else {}
    kept = last is not None and last.definition is definition and last.places is places
    rows: list[VmDisk] = []
    for index, (disk, where) in enumerate(zip(definition.disks, layout.disks, strict=True)):
        new, before = figures(raw, where), old.get(disk.target)
        if kept and last is not None and new == before and _idle(row := last.vm.disks[index]):
            rows.append(row)
        else:
            rows.append(_disk_row(disk, new, before, seconds, places))
    return tuple(rows)


def _idle(row: VmDisk) -> bool:
    return row.read_iops == row.write_iops == row.read_bps == row.write_bps == 0.0


def _nics(
    definition: DomainDef, layout: Layout, raw: Raw, last: Mark | None, seconds: float
) -> tuple[VmNic, ...]:
    old = _named(last.raw, last.layout.nics) if last is not None else {}
    return tuple(
        [
            _nic_row(nic, figures(raw, where), old.get(nic.target), seconds)
            for nic, where in zip(definition.nics, layout.nics, strict=True)
        ]
    )


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
    errors = [count for value in new[5:] if (count := _whole(value)) is not None]
    fixed = (nic.target, nic.mac, nic.kind, nic.source, nic.model)
    known = sum(errors) if errors else None
    return VmNic(*fixed, rates[0], rates[1], rates[2], rates[3], known)
