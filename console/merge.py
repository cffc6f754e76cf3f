"""How readings of the two lanes and events become one picture of a host; pure functions.

Each lane keeps its own last answer, so neither can blank the other's fields, and an unchanged VM or
part of one stays the very same object: screens find what changed by identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from drivers.model.event import Event
from drivers.model.host import Host, HostSpec, LinkState
from drivers.model.problem import Missing
from drivers.model.storage import Pool
from drivers.model.vm import Vm, VmFast, VmNic, VmState
from drivers.protocol import FastReading, SlowReading

STATE_AFTER: Mapping[str, VmState] = {
    "started": VmState.RUNNING,
    "resumed": VmState.RUNNING,
    "suspended": VmState.PAUSED,
    "shutdown": VmState.STOPPING,
    "stopped": VmState.OFF,
    "crashed": VmState.CRASHED,
    "pmsuspended": VmState.SUSPENDED,
}
"""State of a domain right after a lifecycle event (``Event.change``)."""

T = TypeVar("T")

_INCOMING = ("migrat", "incoming", "starting up", "starting-up")
"""Words in the reason of a paused domain that is only the receiving half of a migration."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A host as shown, and the lanes' last answers it was made of.

    Attributes:
        base: UUID to VM as the slow lane (and events since) told it.
        fast: UUID to the fast lane's last figures.
        lanes: Missing groups by the lane that missed them.
        stuck: UUID to when its QEMU monitor ceased to answer.
    """

    host: Host
    base: Mapping[str, Vm] = field(default_factory=dict)
    fast: Mapping[str, VmFast] = field(default_factory=dict)
    lanes: Mapping[str, tuple[Missing, ...]] = field(default_factory=dict)
    stuck: Mapping[str, float] = field(default_factory=dict)


def with_slow(picture: Picture, reading: SlowReading) -> Picture:
    """The picture after a slow reading: VMs it does not name are gone, unless they are stuck."""
    old = picture.base
    base: dict[str, Vm] = {}
    for vm in reading.vms:
        stuck = reading.stuck.get(vm.uuid, vm.monitor_stuck_s)
        fresh = vm if stuck == vm.monitor_stuck_s else replace(vm, monitor_stuck_s=stuck)
        base[vm.uuid] = _reuse(_labelled(fresh, picture.host.spec), old.get(vm.uuid))
    for uuid, seconds in reading.stuck.items():
        if uuid not in base and uuid in old:
            base[uuid] = replace(old[uuid], monitor_stuck_s=seconds)
    fast = {uuid: f for uuid, f in picture.fast.items() if uuid in base and base[uuid].state.active}
    since = {uuid: reading.at - seconds for uuid, seconds in reading.stuck.items()}
    read = replace(picture, base=base, fast=fast, stuck=since)
    return _rebuilt(read, "slow", reading.missing, slow_at=reading.at)


def with_time(picture: Picture, at: float) -> Picture:
    """The picture with the time that monitors hang counted up to ``at``; itself where none does."""
    moved = {
        uuid: replace(vm, monitor_stuck_s=at - since)
        for uuid, since in picture.stuck.items()
        if (vm := picture.base.get(uuid)) is not None and vm.monitor_stuck_s is not None
    }
    if not moved:
        return picture
    host = picture.host
    vms = tuple(
        combine(moved[vm.uuid], picture.fast.get(vm.uuid)) if vm.uuid in moved else vm
        for vm in host.vms
    )
    return replace(picture, base={**picture.base, **moved}, host=replace(host, vms=vms))


def _labelled(vm: Vm, spec: HostSpec) -> Vm:
    """The VM with the tags and tenant that the configuration gives it besides its own metadata."""
    tags, tenant = spec.labels.get(vm.uuid) or spec.labels.get(vm.name) or ((), "")
    if not tags and not tenant:
        return vm
    return replace(vm, tags=tuple(dict.fromkeys(vm.tags + tags)), tenant=vm.tenant or tenant)


def with_fast(picture: Picture, reading: FastReading) -> Picture:
    """The picture after a fast reading; VMs it does not name keep their older figures."""
    fast = {**picture.fast, **{u: f for u, f in reading.vms.items() if u in picture.base}}
    host = picture.host
    rtt = reading.rtt_ms if reading.rtt_ms is not None else host.link.rtt_ms
    host = replace(host, load=reading.load, link=replace(host.link, rtt_ms=rtt))
    return _rebuilt(
        replace(picture, host=host, fast=fast), "fast", reading.missing, fast_at=reading.at
    )


def with_pools(picture: Picture, pools: tuple[Pool, ...], at: float) -> Picture:
    """The picture after a pools reading.

    A pool that did not answer keeps its last sizes and volumes with their old time, beside its
    problem.
    """
    old = {pool.name: pool for pool in picture.host.pools}
    merged = tuple(_pool(pool, old.get(pool.name)) for pool in pools)
    lanes = {name: gone for name, gone in picture.lanes.items() if name != "pools"}
    host = replace(picture.host, pools=merged, pools_at=at, missing=_all_missing(lanes))
    return replace(picture, host=host, lanes=lanes)


def with_missing(picture: Picture, lane: str, missing: tuple[Missing, ...]) -> Picture:
    """The picture once a whole lane turned out not to be there, or to fail, for a reason."""
    lanes = {**picture.lanes, lane: missing}
    return replace(picture, host=replace(picture.host, missing=_all_missing(lanes)), lanes=lanes)


def with_event(picture: Picture, event: Event) -> Picture:
    """The picture right after a driver's event, before any reading confirms it.

    A domain nobody has read yet appears by name alone (``slow_at`` 0.0: not read yet).
    """
    known = picture.base.get(event.vm)
    if event.change == "undefined":
        return _without(picture, known)
    state = STATE_AFTER.get(event.change)
    if state is None and event.change == "defined" and known is None:
        state = VmState.OFF
    if state is None or not event.vm:
        return picture
    if state is VmState.RUNNING and event.change == "started" and "migrat" in _reason(event):
        state = VmState.PAUSED  # the receiving half; it becomes the VM with its resumed event
    if known is not None and not known.persistent and not state.active:
        return _removed(picture, known)
    if known is None:
        known = Vm(uuid=event.vm, name=event.vm_name, host=picture.host.name)
    elif known.state is state and known.reason == _reason(event):
        return picture
    return _with_base(picture, _after(known, state, event))


def settle(hosts: tuple[Host, ...], twice: frozenset[str]) -> tuple[Host, ...]:
    """The hosts with each UUID of ``twice`` (seen on several hosts) told truthfully.

    While a migration runs, its destination holds a paused copy that is no VM yet: it is left out
    as long as a reachable host holds the real one. A last known copy on a host that is down becomes
    UNKNOWN once another host has a fresher active one. Two copies that both run stay: that is a
    split brain, and must be seen.
    """
    if not twice:
        return hosts
    copies: dict[str, list[tuple[Host, Vm]]] = {uuid: [] for uuid in twice}
    for host in hosts:
        for vm in host.vms:
            if vm.uuid in twice:
                copies[vm.uuid].append((host, vm))
    changed: dict[tuple[str, str], Vm | None] = {}
    for uuid, places in copies.items():
        for host, vm in places:
            others = [(h, v) for h, v in places if h is not host and v.state.active]
            verdict = _judge(host, vm, others)
            if verdict is not vm:
                changed[host.name, uuid] = verdict
    names = {name for name, _ in changed}
    return tuple(_judged(host, changed) if host.name in names else host for host in hosts)


def combine(base: Vm, fast: VmFast | None) -> Vm:
    """A VM as shown: the slow lane's definition and state with the fast lane's figures."""
    if fast is None or not base.state.active:
        return base
    # What goes over the network is not in /proc's account of QEMU: libvirt alone tells of it.
    counted = all(disk.counted for disk in base.disks)
    return replace(
        base,
        cpu_pct=_either(fast.cpu_pct, base.cpu_pct),
        steal_pct=_either(fast.steal_pct, base.steal_pct),
        delay_pct=_either(fast.delay_pct, base.delay_pct),
        rss=_either(fast.rss, base.rss),
        read_bps=_either(fast.read_bps if counted else None, base.read_bps),
        write_bps=_either(fast.write_bps if counted else None, base.write_bps),
        nics=_nics(base.nics, fast),
        started_at=_either(fast.started_at, base.started_at),
        fast_at=fast.at,
        missing=base.missing + fast.missing if fast.missing else base.missing,
    )


def _either(first: T | None, second: T | None) -> T | None:
    """The fast lane's figure where it has one, else what libvirt told."""
    return second if first is None else first


def _rebuilt(
    picture: Picture,
    lane: str,
    missing: tuple[Missing, ...],
    *,
    fast_at: float | None = None,
    slow_at: float | None = None,
) -> Picture:
    host = picture.host
    shown = {vm.uuid: vm for vm in host.vms}
    vms = tuple(
        _same(combine(base, picture.fast.get(uuid)), shown.get(uuid))
        for uuid, base in picture.base.items()
    )
    lanes = {**picture.lanes, lane: missing}
    host = replace(
        host,
        vms=vms,
        fast_at=host.fast_at if fast_at is None else fast_at,
        slow_at=host.slow_at if slow_at is None else slow_at,
        missing=_all_missing(lanes),
    )
    return replace(picture, host=host, lanes=lanes)


def _reuse(new: Vm, old: Vm | None) -> Vm:
    """``new`` with the parts it shares with ``old`` replaced by the older, equal objects."""
    if old is None:
        return new
    if new.disks == old.disks and new.nics == old.nics and new.missing == old.missing:
        return replace(new, disks=old.disks, nics=old.nics, missing=old.missing)
    return new


def _same(new: Vm, old: Vm | None) -> Vm:
    if old is None or new is old:
        return new
    if new == old:
        return old
    if new.nics is not old.nics and new.nics == old.nics:
        return replace(new, nics=old.nics)
    return new


def _nics(nics: tuple[VmNic, ...], fast: VmFast) -> tuple[VmNic, ...]:
    if not fast.nics or not nics:
        return nics
    rates = {rate[0]: rate for rate in fast.nics}
    return tuple(
        nic
        if (rate := rates.get(nic.target)) is None
        else replace(nic, rx_bps=rate[1], tx_bps=rate[2], rx_pps=rate[3], tx_pps=rate[4])
        for nic in nics
    )


def _pool(new: Pool, old: Pool | None) -> Pool:
    if old is None:
        return new
    if new.problem is not None and not new.capacity:
        return replace(old, problem=new.problem, active=new.active)
    return replace(new, volumes=old.volumes) if new.volumes == old.volumes else new


def _all_missing(lanes: Mapping[str, tuple[Missing, ...]]) -> tuple[Missing, ...]:
    return tuple(gone for lane in sorted(lanes) for gone in lanes[lane])


def _reason(event: Event) -> str:
    inner = event.text.partition("(")[2].rpartition(")")[0]
    return inner or event.detail


def _after(vm: Vm, state: VmState, event: Event) -> Vm:
    vm = replace(vm, state=state, reason=_reason(event))
    if not state.active:
        vm = replace(vm, started_at=None, read_bps=None, write_bps=None)
        return replace(vm, domain_id=-1, job=None, monitor_stuck_s=None)
    return vm


def _with_base(picture: Picture, vm: Vm) -> Picture:
    base = {**picture.base, vm.uuid: vm}
    fast = picture.fast
    if not vm.state.active and vm.uuid in fast:
        fast = {uuid: figures for uuid, figures in fast.items() if uuid != vm.uuid}
    shown = combine(vm, fast.get(vm.uuid))
    host = picture.host
    if any(old.uuid == vm.uuid for old in host.vms):
        vms = tuple(shown if old.uuid == vm.uuid else old for old in host.vms)
    else:
        vms = (*host.vms, shown)
    return replace(picture, base=base, fast=fast, host=replace(host, vms=vms))


def _without(picture: Picture, vm: Vm | None) -> Picture:
    if vm is None:
        return picture
    if vm.state.active:  # it runs on as a transient domain
        return _with_base(picture, replace(vm, persistent=False))
    return _removed(picture, vm)


def _removed(picture: Picture, vm: Vm) -> Picture:
    base = {uuid: other for uuid, other in picture.base.items() if uuid != vm.uuid}
    fast = {uuid: load for uuid, load in picture.fast.items() if uuid != vm.uuid}
    host = picture.host
    vms = tuple(other for other in host.vms if other.uuid != vm.uuid)
    return replace(picture, base=base, fast=fast, host=replace(host, vms=vms))


def _judge(host: Host, vm: Vm, others: list[tuple[Host, Vm]]) -> Vm | None:
    """What to show of one copy, given the active copies elsewhere; None leaves it out."""
    down = (LinkState.DOWN, LinkState.DECISION)
    fresh = [(h, v) for h, v in others if h.link.state not in down]
    if not fresh or not vm.state.active:
        return vm
    if host.link.state in down:
        where = fresh[0][0].name
        return replace(vm, state=VmState.UNKNOWN, reason=f"last seen here, now active on {where}")
    incoming = vm.state is VmState.PAUSED and any(w in vm.reason.lower() for w in _INCOMING)
    rivals = [v for _, v in fresh if v.state is not VmState.PAUSED or v.job is not None]
    return None if incoming and vm.job is None and rivals else vm


def _judged(host: Host, changed: Mapping[tuple[str, str], Vm | None]) -> Host:
    judged = (changed.get((host.name, vm.uuid), vm) for vm in host.vms)
    return replace(host, vms=tuple(vm for vm in judged if vm is not None))
