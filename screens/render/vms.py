"""The columns of VM tables, and the rows behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import nlargest
from typing import NamedTuple

from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, LinkState
from drivers.model.vm import Vm, VmState
from screens.columns import Cell, Column, Pen, Row, natural
from screens.filtering import Filter
from screens.format import count, duration, milliseconds, percent, rate, size
from screens.render.states import SPLIT, vm_age, vm_is_stale, vm_lags, vm_read_at, vm_state

HOT_PCT = 90.0
"""Share from which a load is drawn as one that wants attention."""


class VmItem(NamedTuple):
    """A VM with the host it was seen on."""

    vm: Vm
    host: Host


Value = Callable[[Vm], float | None]


Old = Callable[[Vm, Host, float], bool]


def _number(
    value: Value, words: Callable[[float | None], str], hot: float | None, old: Old
) -> Render:
    def render(item: VmItem, pen: Pen) -> Cell:
        number = value(item.vm)
        if number is None:
            return Cell(words(None), "faint")
        if old(item.vm, item.host, pen.now):
            return Cell(words(number), "stale")
        return Cell(words(number), "care" if hot is not None and number >= hot else "")

    return render


Render = Callable[[VmItem, Pen], Cell]


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _memory(vm: Vm) -> float | None:
    return vm.memory_used if vm.memory_used is not None else vm.rss


def _memory_pct(vm: Vm) -> float | None:
    """Percent of the allotted memory that is used, None where nothing tells.

    Without word from the guest the resident bytes stand in, unless QEMU's own memory and its
    buffers during a migration exceed what the guest could use at all.
    """
    used = _memory(vm)
    if used is None or not vm.memory or (vm.memory_used is None and used > vm.memory):
        return None
    return 100.0 * used / vm.memory


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _iops(vm: Vm) -> float | None:
    return _sum(v for disk in vm.disks for v in (disk.read_iops, disk.write_iops))


def _latency(vm: Vm) -> float | None:
    known = [v for d in vm.disks for v in (d.read_ms, d.write_ms) if v is not None]
    return max(known, default=None)


def _memory_old(vm: Vm, host: Host, now: float) -> bool:
    """Whether the figure of memory is stale: libvirt tells what the guest uses, /proc the rest."""
    return (vm_lags if vm.memory_used is not None else vm_is_stale)(vm, host, now)


def _bytes_old(vm: Vm, host: Host, now: float) -> bool:
    """Whether the bytes read and written are stale: libvirt tells what /proc does not count."""
    counted = all(disk.counted for disk in vm.disks) and vm.fast_at
    untold = not counted or any(lack.name == "vm.io" for lack in vm.missing)
    return vm_is_stale(vm, host, now) or (untold and vm_lags(vm, host, now))


def _started(item: VmItem) -> float | None:
    return -item.vm.started_at if item.vm.started_at and item.vm.state.active else None


def _uptime(item: VmItem, pen: Pen) -> Cell:
    started = item.vm.started_at
    if not started or not item.vm.state.active:
        return Cell("-", "faint")
    # Whole minutes: seconds that tick would repaint every line every second.
    elapsed = pen.now - started
    told = duration(elapsed if elapsed < 60 else elapsed // 60 * 60).removesuffix("00s")
    return Cell(told, "stale" if vm_is_stale(item.vm, item.host, pen.now) else "")


def _name(item: VmItem, pen: Pen) -> Cell:
    return Cell(item.vm.name, "stale" if vm_is_stale(item.vm, item.host, pen.now) else "")


def _state(item: VmItem, pen: Pen) -> Cell:
    return vm_state(item.vm, item.host, pen.now)


def _host(item: VmItem, _pen: Pen) -> Cell:
    down = item.host.link.state is LinkState.DOWN
    return Cell(item.host.name, "host-down" if down else "")


def _age(item: VmItem, pen: Pen) -> Cell:
    return vm_age(item.vm, item.host, pen.now)


def vm_columns(*, with_host: bool = True) -> tuple[Column, ...]:
    """Columns of a VM table, most important first to stay; ``with_host`` names the host."""
    host = Column(
        "host", "HOST", 14, _host, lambda i: natural(i.host.name),
        min_width=8, grow=1, priority=3, letter="H",
    )  # fmt: skip
    return (
        Column(
            "name", "NAME", 22, _name, lambda i: natural(i.vm.name),
            min_width=13, grow=3, letter="N",
        ),
        *((host,) if with_host else ()),
        Column(
            "state", "STATE", 13, _state, lambda i: i.vm.state.value,
            min_width=10, letter="S",
        ),
        _figure("cpu", "CPU%", 5, lambda vm: vm.cpu_pct, _whole, 0, "C", HOT_PCT),
        _figure("memory", "MEM", 6, _memory, size, 1, "M", old=_memory_old),
        _figure("memory_pct", "MEM%", 5, _memory_pct, _whole, 8, "P", HOT_PCT, old=_memory_old),
        _figure("read", "READ", 8, lambda vm: vm.read_bps, rate, 4, "R", old=_bytes_old),
        _figure("write", "WRITE", 8, lambda vm: vm.write_bps, rate, 4, "W", old=_bytes_old),
        _figure("iops", "IOPS", 6, _iops, count, 9, "I", old=vm_lags),
        _figure("latency", "LAT", 7, _latency, milliseconds, 10, "L", old=vm_lags),
        _figure("rx", "NET IN", 8, lambda vm: vm.rx_bps, rate, 5, "X"),
        _figure("tx", "NET OUT", 8, lambda vm: vm.tx_bps, rate, 6, "T"),
        _figure("steal", "STEAL", 6, lambda vm: vm.steal_pct, percent, 12, "E", 10.0),
        _figure("delay", "DELAY", 6, lambda vm: vm.delay_pct, percent, 11, "D", 10.0),
        _figure("vcpus", "VCPU", 5, lambda vm: vm.vcpus or None, _whole, 10, "V"),
        Column(
            "uptime", "UP", 7, _uptime, _started, priority=7, right=True, letter="U",
        ),
        Column(
            "age", "AGE", 6, _age, lambda i: -vm_read_at(i.vm, i.host)[0],
            priority=2, right=True, letter="A", descending=True,
        ),
        Column(
            "tenant", "TENANT", 12, lambda i, _p: Cell(i.vm.tenant or i.host.spec.tenant),
            min_width=8, priority=13,
        ),
        Column("tags", "TAGS", 16, lambda i, _p: Cell(",".join(i.vm.tags)), min_width=8,
               grow=1, priority=14),
    )  # fmt: skip


def _figure(
    ident: str, title: str, width: int, value: Value, words: Callable[[float | None], str],
    priority: int, letter: str, hot: float | None = None, old: Old = vm_is_stale,
) -> Column:  # fmt: skip
    return Column(
        ident, title, width, _number(value, words, hot, old), lambda item: value(item.vm),
        priority=priority, right=True, letter=letter, descending=True,
    )  # fmt: skip


def busiest_rows(snapshot: FleetSnapshot, count: int, now: float) -> list[Row]:
    """The VMs that use most CPU in percent of all they are given, busiest first.

    What was busy when its host was last heard of is not among them.
    """
    known = (
        (vm.cpu_pct, n, vm, host)
        for n, (vm, host) in enumerate(_pairs(snapshot))
        if vm.cpu_pct is not None and vm.state.active and not vm_is_stale(vm, host, now)
    )
    return [
        Row(f"{host.name}/{vm.uuid}", VmItem(vm, host)) for _, _, vm, host in nlargest(count, known)
    ]


def _pairs(snapshot: FleetSnapshot) -> Iterator[tuple[Vm, Host]]:
    return ((vm, host) for host in snapshot.hosts for vm in host.vms)


class VmRows:
    """Rows of a whole fleet, kept for each host that did not change since."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Host, list[Row]]] = {}
        self._doubled = False
        self.changed: list[Row] | None = None
        """Rows made anew by the last ``take``; None when other VMs are there than before."""

    def of(self, snapshot: FleetSnapshot) -> list[Row]:
        """One row a VM, keyed by UUID; a second copy on another host has the host in its key."""
        self.take(snapshot)
        rows = [row for _, kept in self._kept.values() for row in kept]
        return _told_apart(rows) if self._doubled else rows

    def take(self, snapshot: FleetSnapshot) -> None:
        """Make rows of the hosts that changed, and only of those; ``changed`` has them."""
        changed: list[Row] = []
        same = [*self._kept] == [host.name for host in snapshot.hosts]
        kept: dict[str, tuple[Host, list[Row]]] = {}
        for host in snapshot.hosts:
            before = self._kept.get(host.name)
            if before is not None and before[0] is host:
                kept[host.name] = before
                continue
            rows = [Row(vm.uuid, VmItem(vm, host)) for vm in host.vms]
            same = same and before is not None and _keys(before[1]) == _keys(rows)
            changed += rows
            kept[host.name] = (host, rows)
        self._kept = kept
        if not same:
            keys = [row.key for _, rows in kept.values() for row in rows]
            self._doubled = len(set(keys)) < len(keys)
        self.changed = changed if same and not self._doubled else None


def _keys(rows: list[Row]) -> list[str]:
    return [row.key for row in rows]


def _told_apart(rows: list[Row]) -> list[Row]:
    active = {row.key for row in rows if row.item.vm.state.active}
    seen: set[str] = set()
    apart: list[Row] = []
    for row in rows:
        shadow = row.key in seen or (row.key in active and not row.item.vm.state.active)
        seen.add(row.key if not shadow else "")
        apart.append(Row(f"{row.key}@{row.item.host.name}", row.item) if shadow else row)
    return apart


def vm_troubled(item: VmItem, now: float) -> bool:
    """Whether the VM wants attention: crashed, unknown, stuck, split, paused by an error, stale."""
    vm = item.vm
    if vm.monitor_stuck_s is not None or vm.state in (VmState.CRASHED, VmState.UNKNOWN):
        return True
    if vm.reason == SPLIT:
        return True
    if vm.state is VmState.PAUSED and "error" in vm.reason:
        return True
    return vm_is_stale(vm, item.host, now)


def vm_text(item: VmItem) -> str:
    """What a filter looks at."""
    vm = item.vm
    return f"{vm.name} {item.host.name} {vm.state.value} {vm.title} {vm.tenant} {vm.uuid}"


def vm_tags(item: VmItem) -> tuple[str, ...]:
    """Tags of the VM and of its host."""
    return item.vm.tags + item.host.spec.tags


def narrowed(rows: list[Row], wanted: Filter, *, problems_only: bool, now: float) -> list[Row]:
    """The rows that pass the filter, and only troubled ones if asked."""
    if problems_only:
        rows = [row for row in rows if vm_troubled(row.item, now)]
    if wanted:
        rows = [row for row in rows if wanted.passes(vm_text(row.item), vm_tags(row.item))]
    return rows
