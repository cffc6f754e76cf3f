"""One host's fresh figures at one moment, packed small: what is queued, sent and committed."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

from drivers.model.fleet import stale_after
from drivers.model.history import VM_METRICS
from drivers.model.host import Host, HostLoad
from drivers.model.vm import Vm, VmDisk, VmNic

_NAN = math.nan
NO_FIGURES = (_NAN,) * len(VM_METRICS)


@dataclass(frozen=True, slots=True)
class HostBatch:
    """Figures of one host and its VMs, NaN where unknown.

    Attributes:
        at: Seconds since the epoch.
        host: Host name.
        load: One figure for each of HOST_METRICS, or empty when none is fresh.
        vms: (UUID, name, state) of every VM libvirt told of lately.
        figures: One figure for each of VM_METRICS, for each of ``vms`` in turn.
        complete: ``vms`` is all that the host has.
    """

    at: float
    host: str
    load: array[float]
    vms: tuple[tuple[str, str, str], ...]
    figures: array[float]
    complete: bool = True

    @property
    def samples(self) -> int:
        """How many samples this counts for in the memory buffer."""
        return len(self.vms) + 1


def plain(text: str) -> str:
    """Text that every database and terminal can hold: no NUL, no lone surrogate."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def pack(at: float, host: Host) -> HostBatch | None:
    """The fresh part of a host's state, or None when nothing is fresh.

    A value older than its lane's staleness limit is left out, so a gap stays a gap.
    """
    oldest_fast = at - stale_after(host.spec.fast_s)
    oldest_slow = at - stale_after(host.spec.slow_s)
    load = array("f")
    if host.load is not None and host.fast_at >= oldest_fast:
        load.extend(_load_figures(host.load, host.link.rtt_ms))
    vms: list[tuple[str, str, str]] = []
    figures = array("f")
    for vm in host.vms:
        fast, slow = vm.fast_at >= oldest_fast, vm.slow_at >= oldest_slow
        if not (fast or slow):
            continue
        vms.append((plain(vm.uuid), plain(vm.name), vm.state.value))
        figures.extend(_vm_figures(vm, fast, slow) if vm.state.active else NO_FIGURES)
    if not load and not vms:
        return None
    return HostBatch(at, plain(host.name), load, tuple(vms), figures, host.slow_at >= oldest_slow)


def _known(value: float | None) -> float:
    return _NAN if value is None else value


def _total(values: Iterable[float | None]) -> float:
    known = [v for v in values if v is not None]
    return sum(known) if known else _NAN


def _disk_figures(disks: tuple[VmDisk, ...]) -> tuple[float, float, float, float]:
    """Reads and writes a second over all disks, and their mean milliseconds."""
    if not disks:
        return _NAN, _NAN, _NAN, _NAN
    if len(disks) == 1:
        disk = disks[0]
        figures = (disk.read_iops, disk.write_iops, disk.read_ms, disk.write_ms)
        return tuple(_NAN if f is None else f for f in figures)  # type: ignore[return-value]
    return (
        _total(d.read_iops for d in disks),
        _total(d.write_iops for d in disks),
        _latency((d.read_ms, d.read_iops) for d in disks),
        _latency((d.write_ms, d.write_iops) for d in disks),
    )


def _nic_figures(nics: tuple[VmNic, ...]) -> tuple[float, float]:
    """Bytes a second received and sent over all NICs."""
    if len(nics) == 1:
        return _known(nics[0].rx_bps), _known(nics[0].tx_bps)
    return _total(n.rx_bps for n in nics), _total(n.tx_bps for n in nics)


def _latency(pairs: Iterable[tuple[float | None, float | None]]) -> float:
    """Mean milliseconds a request over several disks, weighted by their requests."""
    known = [(ms, iops or 0.0) for ms, iops in pairs if ms is not None]
    if len(known) == 1:
        return known[0][0]
    weight = sum(iops for _, iops in known)
    return sum(ms * iops for ms, iops in known) / weight if weight > 0 else _NAN


def _vm_figures(vm: Vm, fast: bool, slow: bool) -> tuple[float, ...]:
    disks: tuple[VmDisk, ...] = vm.disks if slow else ()
    read, write = _NAN, _NAN
    if fast:
        read, write = _known(vm.read_bps), _known(vm.write_bps)
    if disks and math.isnan(read):
        read = _total(d.read_bps for d in disks)
    if disks and math.isnan(write):
        write = _total(d.write_bps for d in disks)
    return (
        _known(vm.cpu_pct) if fast else _NAN,
        _known(vm.steal_pct) if fast else _NAN,
        _known(vm.delay_pct) if fast else _NAN,
        _known(vm.memory_used) if slow else _NAN,
        _known(vm.rss) if fast or slow else _NAN,
        read,
        write,
        *_disk_figures(disks),
        *_nic_figures(vm.nics),
    )


def _load_figures(load: HostLoad, rtt_ms: float | None) -> tuple[float, ...]:
    used = _NAN
    if load.memory_total is not None and load.memory_available is not None:
        used = load.memory_total - load.memory_available
    return (
        _known(load.cpu_pct),
        _known(load.iowait_pct),
        _known(load.steal_pct),
        _known(load.load1),
        load.psi_cpu.some if load.psi_cpu else _NAN,
        load.psi_memory.some if load.psi_memory else _NAN,
        load.psi_io.some if load.psi_io else _NAN,
        used,
        _known(load.swap_used),
        sum(d.read_bps for d in load.disks) if load.disks else _NAN,
        sum(d.write_bps for d in load.disks) if load.disks else _NAN,
        sum(n.rx_bps for n in load.nics) if load.nics else _NAN,
        sum(n.tx_bps for n in load.nics) if load.nics else _NAN,
        _known(rtt_ms),
    )
