"""The last minutes of a few figures, for sparklines; history proper is the store's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from screens.render.hosts import disk_rate, memory_pct, net_rate

LENGTH = 60
"""Samples kept of each figure."""

STEP_S = 1.0
"""Seconds between two samples; snapshots that come sooner add none."""


class Trends:
    """Rings of samples by ``HOST/METRIC``; the empty host is the whole fleet."""

    def __init__(self) -> None:
        self._rings: dict[str, deque[float | None]] = {}
        self._next = 0.0
        self._values: Mapping[str, tuple[float | None, ...]] = {}

    @property
    def values(self) -> Mapping[str, tuple[float | None, ...]]:
        """The rings as tuples, oldest first."""
        return self._values

    def take(self, snapshot: FleetSnapshot, now: float) -> None:
        """Add a sample of each host if one is due; a stale host leaves a gap."""
        if now < self._next:
            return
        self._next = now + STEP_S
        for host in snapshot.hosts:
            fresh = host.fast_at > now - 3 * host.spec.fast_s - 2
            self._add(host.name, _figures(host) if fresh else _GAP)
        self._add("", _fleet(snapshot.hosts, now))
        names = {host.name for host in snapshot.hosts} | {""}
        for gone in [key for key in self._rings if key.rpartition("/")[0] not in names]:
            del self._rings[gone]
        self._values = {key: tuple(ring) for key, ring in self._rings.items()}

    def _add(self, name: str, figures: Mapping[str, float | None]) -> None:
        for metric, value in figures.items():
            ring = self._rings.setdefault(f"{name}/{metric}", deque(maxlen=LENGTH))
            ring.append(value)


_GAP: Mapping[str, float | None] = {"cpu": None, "memory": None, "net": None, "io": None}


def _figures(host: Host) -> dict[str, float | None]:
    load = host.load
    return {
        "cpu": load.cpu_pct if load else None,
        "memory": memory_pct(load),
        "net": net_rate(load),
        "io": disk_rate(load),
    }


def _fleet(hosts: tuple[Host, ...], now: float) -> dict[str, float | None]:
    """CPU weighed by each host's CPUs, memory by its memory, rates summed; fresh hosts only."""
    fresh = [h for h in hosts if h.load and h.fast_at > now - 3 * h.spec.fast_s - 2]
    if not fresh:
        return dict(_GAP)
    cpus = [(h.facts.cpus if h.facts else 1, h.load.cpu_pct) for h in fresh if h.load]
    memory = [(h.load.memory_total or 0, memory_pct(h.load)) for h in fresh if h.load]
    return {
        "cpu": _weighed(cpus),
        "memory": _weighed(memory),
        "net": _summed(net_rate(h.load) for h in fresh),
        "io": _summed(disk_rate(h.load) for h in fresh),
    }


def _summed(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _weighed(pairs: list[tuple[int, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in pairs if value is not None]
    total = sum(weight for weight, _ in known)
    return sum(w * v for w, v in known) / total if total else None
