"""The whole fleet in five lines, with sparklines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from textual.content import Content

from drivers.model.host import Host, LinkState
from drivers.model.vm import VmState
from screens.base import View
from screens.format import UNKNOWN, age, percent, plural, rate, share, size, sparkline
from screens.render.states import host_is_stale, states_of

LABEL = 8

ROOMY = 100
"""Columns from which states stand two spaces apart."""


def totals(view: View, width: int) -> Content:
    """Hosts and VMs by state, then CPU, memory, network and disks with their last minutes."""
    hosts = view.snapshot.hosts
    spark = max(8, min(60, width - 44))
    lines = [
        _states(hosts, view.now, "  " if width >= ROOMY else " "),
        *(_trend(view, metric, label, spark) for metric, label in _METRICS),
    ]
    return Content("\n").join(lines)


_METRICS = (("cpu", "CPU"), ("memory", "MEMORY"), ("net", "NETWORK"), ("io", "DISKS"))


def _states(hosts: Iterable[Host], now: float, gap: str) -> Content:
    links: dict[LinkState, int] = {}
    states: Counter[VmState | None] = Counter()
    unread: list[float] = []
    for host in hosts:
        links[host.link.state] = links.get(host.link.state, 0) + 1
        found = states_of(host, now)
        states += found
        if None in found:
            unread.append(max(host.fast_at, host.slow_at))
    of_hosts = [Content.styled(f"{n} {s.value}", f"$host-{s.value}") for s, n in links.items()]
    of_vms = [
        Content.styled(f"{states[s]} {s.value}", f"$vm-{s.value}") for s in VmState if s in states
    ]
    if unread:
        since = f" for {age(min(unread), now)}" if min(unread) else ""
        # A narrow line has no room for more: the problems under it say since when.
        words = f"unknown{since}" if len(gap) > 1 else "old"
        of_vms.append(Content.styled(f"~{states[None]} {words}", "$stale"))
    between = Content(gap)
    vms = Content.styled(f"{gap} VMS {gap}", "bold $faint")
    return _label("HOSTS") + between.join(of_hosts) + vms + between.join(of_vms)


def _label(text: str) -> Content:
    return Content.styled(f" {text:<{LABEL}}", "bold $faint")


def _trend(view: View, metric: str, label: str, spark: int) -> Content:
    """One line of figures, of the hosts that were read lately."""
    values = view.trends.get(f"/{metric}", ())
    top = 100.0 if metric in ("cpu", "memory") else None
    line = sparkline(values, spark, plain=view.ascii, top=top)
    hosts = view.snapshot.hosts
    fresh = [host for host in hosts if host.load and not host_is_stale(host, view.now)]
    words = _WORDS[metric](fresh, len(hosts), values[-1] if values else None)
    return Content.assemble(_label(label), (line, "$load"), "  ", words)


def _cpu_words(hosts: Sequence[Host], count: int, value: float | None) -> str:
    cpus = sum(host.facts.cpus for host in hosts if host.facts)
    told = f"{percent(value):>4} of {plural(cpus, 'CPU')}" if cpus else f"{UNKNOWN:>4}"
    return told if len(hosts) == count else f"{told}, {len(hosts)}/{count} hosts"


def _memory_words(hosts: Sequence[Host], _count: int, value: float | None) -> str:
    total = sum(host.load.memory_total or 0 for host in hosts if host.load)
    if not total:
        return f"{UNKNOWN:>4}"
    given = sum(vm.memory for host in hosts for vm in host.vms if vm.state.active)
    allotted = share(given, total)
    words = "" if allotted is None else f", {percent(100 * allotted)} allotted"
    return f"{percent(value):>4} of {size(total)}{words}"


def _rate_words(_hosts: Sequence[Host], _count: int, value: float | None) -> str:
    return f"{rate(value):>8}"


_WORDS = {"cpu": _cpu_words, "memory": _memory_words, "net": _rate_words, "io": _rate_words}
