"""One VM as lines and rows: its standing, its figures with small charts, its disks and NICs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from textual.content import Content

from drivers.model.event import Event
from drivers.model.host import Host
from drivers.model.vm import Vm, VmDisk, VmNic
from screens.columns import Cell, Column, Pen, Row
from screens.format import (
    UNKNOWN,
    age,
    area,
    clean,
    count,
    duration,
    fit,
    milliseconds,
    percent,
    rate,
    size,
)
from screens.points import Point, spread, total
from screens.prose import BAD, BLANK, DIM, Para, block, para, say
from screens.render.states import (
    SPLIT,
    is_stale,
    vm_is_stale,
    vm_lags,
    vm_read_at,
    vm_state,
)

CELL_S = 5.0
"""Seconds in one cell of a chart: what history records, so both halves look alike."""

HOLD_S = 20.0
"""A reading counts this long: the slowest recording interval is 15 s."""


class Curve(NamedTuple):
    """One chart of the VM: its name, its recorded and live metrics, what fills it, its tone."""

    label: str
    metrics: tuple[str, ...]
    top: Callable[[Vm], float | None]
    tone: str


CURVES: tuple[Curve, ...] = (
    Curve("CPU", ("cpu",), lambda _vm: 100.0, "chart-1"),
    Curve("Memory", ("mem_used",), lambda vm: float(vm.memory) or None, "chart-2"),
    Curve("Disk", ("read_bps", "write_bps"), lambda _vm: None, "chart-3"),
    Curve("Net", ("rx_bps", "tx_bps"), lambda _vm: None, "chart-5"),
)


def readings(vm: Vm) -> dict[str, float | None]:
    """The VM's live values by the names that history records them under."""
    memory = vm.memory_used if vm.memory_used is not None else vm.rss
    return {
        "cpu": vm.cpu_pct, "mem_used": memory, "read_bps": vm.read_bps, "write_bps": vm.write_bps,
        "rx_bps": vm.rx_bps, "tx_bps": vm.tx_bps,
    }  # fmt: skip


def head_text(vm: Vm, host: Host | None, now: float) -> Content:
    """Name, state with reason, place and uptime in one line."""
    state = vm_state(vm, host, now)
    line = Content.styled(clean(vm.name), "bold") + Content("  ")
    line += Content.styled(clean(state.text), f"bold ${state.tone}" if state.tone else "bold")
    told = vm.job is None or vm.reason == SPLIT
    if vm.reason and told and vm.monitor_stuck_s is None:
        line += say(f" ({vm.reason})", DIM)
    if host is not None and (old := _stale_words(vm, host, now)):
        line += say(f"  STALE: {old}", "bold $stale")
    line += say(f"  on {vm.host}")
    if vm.started_at is not None and vm.state.active:
        line += say(f"  up {duration(now - vm.started_at)}")
    return line


def _stale_words(vm: Vm, host: Host, now: float) -> str:
    read, _ = vm_read_at(vm, host)
    if vm_is_stale(vm, host, now):
        return f"last read {age(read, now)} ago" if read else "never read"
    if vm.slow_at and vm_lags(vm, host, now):
        return f"libvirt last told {age(vm.slow_at, now)} ago"
    return ""


def warnings_text(vm: Vm) -> list[Para]:
    """What must not be overlooked: a monitor that does not answer, a VM that is transient."""
    lines = []
    if vm.monitor_stuck_s is not None:
        told = (f"MONITOR STUCK for {duration(vm.monitor_stuck_s)}: QEMU's monitor does not "
                "answer; what libvirt tells is old, and actions would wait. Is QEMU stopped, or "
                "its storage gone?")  # fmt: skip
        lines.append(para(told, BAD))
    return lines


def missing_line(vm: Vm) -> Para:
    """One line naming what cannot be read here."""
    names = ", ".join(item.name for item in vm.missing)
    return para(f"Not available: {names} (i tells why)", "$care")


def figures(vm: Vm, curve: Curve) -> str:
    """The numbers beside a chart; unknown ones are dashes."""
    if curve.label == "CPU":
        return (f"{percent(vm.cpu_pct):>5} of {vm.vcpus} vCPU  steal {percent(vm.steal_pct)}  "
                f"delay {percent(vm.delay_pct)}")  # fmt: skip
    if curve.label == "Memory":
        used = size(vm.memory_used)
        return f"{used:>5} of {size(vm.memory)}  rss {size(vm.rss)}  limit {size(vm.memory_limit)}"
    if curve.label == "Disk":
        read, write = iops(vm)
        told = f"r {rate(vm.read_bps)}  w {rate(vm.write_bps)}"
        return f"{told}  {count(read)}/{count(write)} IOPS"
    return f"rx {rate(vm.rx_bps)}  tx {rate(vm.tx_bps)}"


def iops(vm: Vm) -> tuple[float | None, float | None]:
    """Requests a second read and written over all disks."""
    return total(*(d.read_iops for d in vm.disks)), total(*(d.write_iops for d in vm.disks))


FIGURES_WIDTH = 40
"""Cells for the numbers beside a chart."""


def chart_lines(
    vm: Vm, curve: Curve, points: Sequence[Point], *, width: int, height: int, pen: Pen
) -> list[Content]:
    """One chart: label and figures at the left of its top line, the curve at the right."""
    room = max(8, width - FIGURES_WIDTH - 9)
    values = spread(points, pen.now, room, CELL_S, HOLD_S)
    drawn = area(values, room, height, plain=pen.ascii, top=curve.top(vm))
    lines = []
    for number, line in enumerate(drawn):
        label = fit(curve.label, 7) if number == 0 else " " * 7
        told = figures(vm, curve) if number == 0 else ""
        if number == 1:
            told = f"{_scale(curve.top(vm), values)}, last {duration(room * CELL_S)}"
        lead = Content.styled(label, DIM) + Content(f" {fit(told, FIGURES_WIDTH)} ")
        lines.append(lead + Content.styled(line, f"${curve.tone}"))
    return lines


def _scale(top: float | None, values: Sequence[float | None]) -> str:
    if top is None:
        return f"peak {rate(max((v for v in values if v is not None), default=None))}"
    return "up to 100%" if top == 100.0 else f"up to {size(top)}"


def summed(series: Sequence[Sequence[Point]]) -> list[Point]:
    """Points of several metrics added up at equal times."""
    sums: dict[float, float | None] = {}
    for points in series:
        for at, value in points:
            sums[at] = total(sums.get(at), value)
    return sorted(sums.items())


def facts_text(vm: Vm, host: Host | None, now: float) -> list[Para]:
    """What the VM is, how old the values are, and what cannot be read here and why."""
    tags = ", ".join(vm.tags) or UNKNOWN
    lines = [
        para(vm.title, label="Title    ", label_style=DIM) if vm.title else None,
        para(tags, label="Tags     ", label_style=DIM),
        para(vm.tenant or UNKNOWN, label="Tenant   ", label_style=DIM),
        para(vm.uuid, label="UUID     ", label_style=DIM),
        para(_nature(vm), label="Machine  ", label_style=DIM),
        para(_ages(vm, host, now), label="Read     ", label_style=DIM),
    ]
    told = [line for line in lines if line is not None]
    if vm.description:
        told += [BLANK, *block(vm.description)]
    if vm.missing:
        told += [BLANK, para("Not available here", "bold $care")]
    for item in vm.missing:
        told.append(para(item.reason, label=f"  {item.name}: ", label_style="$care"))
        if item.fix:
            told.append(para(item.fix, label="    fix: ", label_style=DIM))
    return told


def _nature(vm: Vm) -> str:
    words = [vm.machine or "machine not known", "persistent" if vm.persistent else "transient"]
    return ", ".join([*words, "autostart" if vm.autostart else "no autostart"])


def _ages(vm: Vm, host: Host | None, now: float) -> str:
    fast_s, slow_s = (host.spec.fast_s, host.spec.slow_s) if host else (1.0, 10.0)
    words = []
    for name, at, every in (("/proc", vm.fast_at, fast_s), ("libvirt", vm.slow_at, slow_s)):
        stale = " STALE" if at and is_stale(at, every, now) else ""
        words.append(f"{name} {age(at, now)}{' ago' if at else ''}{stale}")
    return ", ".join(words)


def _text(value: Callable[[VmDisk], str], tone: str = "") -> Callable[[VmDisk, Pen], Cell]:
    return lambda disk, _pen: Cell(value(disk), tone)


def disk_columns() -> tuple[Column, ...]:
    """Columns of a VM's disks."""
    return (
        Column("target", "DISK", 6, _text(lambda d: d.target)),
        Column("tier", "TIER", 6, lambda d, _p: Cell(d.tier or UNKNOWN,
               f"tier-{d.tier}" if d.tier in ("hot", "warm", "cold") else "faint"), priority=1),
        Column("size", "SIZE", 5, _text(lambda d: size(d.capacity)), lambda d: d.capacity,
               right=True),
        Column("used", "ALLOC", 5, _text(lambda d: size(d.allocation)), lambda d: d.allocation,
               right=True, priority=5),
        Column("read", "READ", 7, _text(lambda d: rate(d.read_bps)), lambda d: d.read_bps,
               right=True),
        Column("write", "WRITE", 7, _text(lambda d: rate(d.write_bps)), lambda d: d.write_bps,
               right=True),
        Column("iops", "IOPS R/W", 11,
               _text(lambda d: f"{count(d.read_iops)}/{count(d.write_iops)}"), right=True,
               priority=2),
        Column("latency", "LATENCY R/W", 13,
               _text(lambda d: f"{milliseconds(d.read_ms)}/{milliseconds(d.write_ms)}"),
               right=True, priority=3),
        Column("pool", "POOL", 10, _text(lambda d: d.pool or UNKNOWN, "faint"), priority=4),
        Column("format", "KIND", 9, _text(_disk_kind, "faint"), priority=7),
        Column("source", "SOURCE", 20, _text(lambda d: d.source or "no medium", "faint"),
               min_width=10, grow=1, priority=6),
    )  # fmt: skip


def _disk_kind(disk: VmDisk) -> str:
    words = [disk.format or disk.kind] if disk.device == "disk" else [disk.device]
    return " ".join([*words, *(["ro"] if disk.read_only and disk.device == "disk" else [])])


def _nic(value: Callable[[VmNic], str], tone: str = "") -> Callable[[VmNic, Pen], Cell]:
    return lambda nic, _pen: Cell(value(nic), tone)


def nic_columns() -> tuple[Column, ...]:
    """Columns of a VM's network interfaces."""
    return (
        Column("target", "NIC", 8, _nic(lambda n: n.target or UNKNOWN)),
        Column("source", "ON", 14, _nic(lambda n: n.source or n.kind or UNKNOWN), min_width=8,
               grow=1),
        Column("rx", "RX", 7, _nic(lambda n: rate(n.rx_bps)), right=True),
        Column("tx", "TX", 7, _nic(lambda n: rate(n.tx_bps)), right=True),
        Column("packets", "PACKETS R/T", 13,
               _nic(lambda n: f"{count(n.rx_pps)}/{count(n.tx_pps)}"), right=True, priority=2),
        Column("errors", "ERRORS", 6, lambda n, _p: Cell(
               UNKNOWN if n.errors is None else str(n.errors), "care" if n.errors else ""),
               right=True, priority=1),
        Column("model", "MODEL", 8, _nic(lambda n: n.model, "faint"), priority=4),
        Column("mac", "MAC", 17, _nic(lambda n: n.mac, "faint"), priority=3),
    )  # fmt: skip


def disk_rows(vm: Vm) -> list[Row]:
    """One row a disk."""
    return [Row(f"{number}:{disk.target}", disk) for number, disk in enumerate(vm.disks)]


def nic_rows(vm: Vm) -> list[Row]:
    """One row a network interface."""
    return [Row(f"{number}:{nic.mac}", nic) for number, nic in enumerate(vm.nics)]


def events_of(events: Sequence[Event], uuid: str) -> list[Event]:
    """The VM's events, newest first."""
    found = [event for event in events if event.vm == uuid]
    return sorted(found, key=lambda event: event.at, reverse=True)
