"""The columns of the host table, and the rows behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, HostLoad, LinkState
from drivers.model.operation import Cordon
from screens.columns import Cell, Column, Pen, Row, natural
from screens.filtering import Filter
from screens.format import duration, milliseconds, rate, share, size, sparkline
from screens.render.states import (
    host_age,
    host_is_stale,
    host_lags,
    host_read_at,
    host_state,
    why,
    why_and_when,
)

SPARK = 8
"""Cells of a sparkline in a row."""

HOT_PCT = 90.0

Trends = Mapping[str, tuple[float | None, ...]]
Value = Callable[[Host], float | None]


class HostItem(NamedTuple):
    """A host with its recent CPU shares, oldest first, and who closed it to new VMs."""

    host: Host
    cpu: tuple[float | None, ...] = ()
    cordoned: str = ""


def memory_pct(load: HostLoad | None) -> float | None:
    """Memory in use, percent of all: what /proc/meminfo does not call available."""
    if load is None or load.memory_available is None:
        return None
    free = share(load.memory_available, load.memory_total)
    return None if free is None else 100.0 * (1.0 - free)


def net_rate(load: HostLoad | None) -> float | None:
    """Bytes a second in and out over all NICs but the loopback."""
    if load is None or not load.nics:
        return None
    return sum(nic.rx_bps + nic.tx_bps for nic in load.nics if nic.name != "lo")


def disk_rate(load: HostLoad | None) -> float | None:
    """Bytes a second read and written over all disks."""
    if load is None or not load.disks:
        return None
    return sum(disk.read_bps + disk.write_bps for disk in load.disks)


def running_vms(host: Host) -> int:
    """VMs that have a QEMU process."""
    return sum(vm.state.active for vm in host.vms)


def _load(field: str) -> Value:
    return lambda host: getattr(host.load, field, None)


def _psi(host: Host) -> float | None:
    load = host.load
    if load is None:
        return None
    known = [p.some for p in (load.psi_cpu, load.psi_memory, load.psi_io) if p is not None]
    return max(known, default=None)


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _figure(
    ident: str, title: str, width: int, value: Value, words: Callable[[float | None], str],
    priority: int, letter: str, hot: float | None = None,
) -> Column:  # fmt: skip
    def render(item: HostItem, pen: Pen) -> Cell:
        number = value(item.host)
        if number is None:
            return Cell(words(None), "faint")
        if host_is_stale(item.host, pen.now):
            return Cell(words(number), "stale")
        return Cell(words(number), "care" if hot is not None and number >= hot else "")

    return Column(
        ident, title, width, render, lambda item: value(item.host),
        priority=priority, right=True, letter=letter, descending=True,
    )  # fmt: skip


def _vms(item: HostItem, pen: Pen) -> Cell:
    if not item.host.slow_at and not item.host.vms:
        return Cell("-", "faint")
    told = f"{running_vms(item.host)}/{len(item.host.vms)}"
    return Cell(f"~{told}", "stale") if host_lags(item.host, pen.now) else Cell(told)


def _trend(item: HostItem, pen: Pen) -> Cell:
    tone = "stale" if host_is_stale(item.host, pen.now) else "load"
    return Cell(sparkline(item.cpu, SPARK, plain=pen.ascii, top=100.0), tone)


def _reason(item: HostItem, pen: Pen) -> Cell:
    host = item.host
    if item.cordoned and host.link.state is LinkState.UP:
        return Cell(f"cordoned by {item.cordoned}", "care")
    told = why_and_when(host, pen.now).removeprefix(f"{host.name} ")
    return Cell(told, "" if host.link.state is LinkState.UP else "care")


def _state(item: HostItem, _pen: Pen) -> Cell:
    """A host that is well but closed to new VMs says so in place of that it is up."""
    if item.cordoned and item.host.link.state is LinkState.UP:
        return Cell("cordoned", "care")
    return host_state(item.host)


def _protect(item: HostItem, _pen: Pen) -> Cell:
    return Cell(item.host.spec.protect.value, "faint")


def host_columns() -> tuple[Column, ...]:
    """Columns of the host table."""
    return (
        Column("name", "HOST", 18, lambda i, _p: Cell(i.host.name), lambda i: natural(i.host.name),
               min_width=10, grow=1, letter="N"),
        Column("state", "STATE", 11, _state,
               lambda i: i.host.link.state.value, min_width=10, letter="S"),
        Column("vms", "VMS", 9, _vms, lambda i: len(i.host.vms), min_width=5, right=True,
               letter="V", descending=True),
        _figure("cpu", "CPU%", 5, _load("cpu_pct"), _whole, 0, "C", HOT_PCT),
        Column("trend", "1 MIN", SPARK, _trend, lambda i: i.host.load and i.host.load.cpu_pct,
               priority=4, descending=True),
        _figure("memory", "MEM%", 5, lambda h: memory_pct(h.load), _whole, 1, "M", HOT_PCT),
        _figure("total", "TOTAL", 6, _load("memory_total"), size, 8, "T"),
        _figure("load", "LOAD", 6, _load("load1"), _short, 5, "L"),
        _figure("psi", "PSI%", 5, _psi, _whole, 6, "P", 20.0),
        _figure("net", "NET", 8, lambda h: net_rate(h.load), rate, 6, "X"),
        _figure("disk", "DISK", 8, lambda h: disk_rate(h.load), rate, 7, "D"),
        _figure("rtt", "RTT", 7, lambda h: h.link.rtt_ms, milliseconds, 9, "R"),
        Column("uptime", "UP", 7, _uptime, lambda i: i.host.load and i.host.load.uptime_s,
               priority=10, right=True, letter="U", descending=True),
        Column("age", "AGE", 6, lambda i, p: host_age(i.host, p.now),
               lambda i: -host_read_at(i.host)[0], priority=2, right=True, letter="A",
               descending=True),
        Column("protect", "GUARD", 7, _protect, lambda i: i.host.spec.protect.value, priority=11),
        Column("site", "SITE", 10, lambda i, _p: Cell(i.host.spec.site),
               lambda i: natural(i.host.spec.site), min_width=6, priority=12, letter="I"),
        Column("reason", "REASON", 40, _reason, None, min_width=20, grow=4, priority=3),
    )  # fmt: skip


def _uptime(item: HostItem, pen: Pen) -> Cell:
    load = item.host.load
    if load is None or load.uptime_s is None:
        return Cell("-", "faint")
    tone = "stale" if host_is_stale(item.host, pen.now) else ""
    return Cell(duration(load.uptime_s // 60 * 60).removesuffix("00s"), tone)


_ORDER = (
    LinkState.DOWN,
    LinkState.DECISION,
    LinkState.DEGRADED,
    LinkState.CONNECTING,
    LinkState.UP,
)


def host_rows(snapshot: FleetSnapshot, trends: Trends, cordons: Sequence[Cordon] = ()) -> list[Row]:
    """One row a host, those that want attention first, else in the fleet's own order."""
    hosts = sorted(snapshot.hosts, key=lambda host: _ORDER.index(host.link.state))
    closed = {c.host: f"{c.by} {c.reason}".strip() for c in cordons}
    return [
        Row(h.name, HostItem(h, trends.get(f"{h.name}/cpu", ())[-SPARK:], closed.get(h.name, "")))
        for h in hosts
    ]


def host_troubled(host: Host, now: float) -> bool:
    """Whether the host is not simply up, or its values are stale."""
    return host.link.state is not LinkState.UP or host_is_stale(host, now)


def host_narrowed(rows: list[Row], wanted: Filter, *, problems_only: bool, now: float) -> list[Row]:
    """The rows that pass the filter, and only troubled ones if asked."""
    if problems_only:
        rows = [row for row in rows if host_troubled(row.item.host, now)]
    if wanted:
        rows = [
            row for row in rows if wanted.passes(host_text(row.item.host), row.item.host.spec.tags)
        ]
    return rows


def host_text(host: Host) -> str:
    """What a filter looks at."""
    spec = host.spec
    return f"{spec.name} {spec.uri} {spec.site} {spec.tenant} {host.link.state.value} {why(host)}"
