"""Merging readings and events: no lane blanks another, and nothing is counted twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.merge import (
    Picture,
    combine,
    settle,
    with_event,
    with_fast,
    with_missing,
    with_pools,
    with_slow,
)
from drivers.model.event import Event, EventKind
from drivers.model.host import Host, HostLoad, HostSpec, Link, LinkState
from drivers.model.problem import Missing, Problem
from drivers.model.storage import Pool, Volume
from drivers.model.vm import Vm, VmDisk, VmFast, VmNic, VmState
from drivers.protocol import FastReading, SlowReading

UUIDS = ("u0", "u1", "u2", "u3")


def empty(name: str = "a", state: LinkState = LinkState.UP) -> Picture:
    return Picture(Host(HostSpec(name, f"fake:///{name}"), Link(state)))


def vm(uuid: str, state: VmState = VmState.RUNNING, host: str = "a", at: float = 1.0) -> Vm:
    disks = (VmDisk("vda", f"/srv/{uuid}"),)
    return Vm(uuid, uuid, host, state=state, disks=disks, nics=(VmNic("vnet0"),), slow_at=at)


def fast(uuid: str, at: float = 2.0, cpu: float = 7.0) -> VmFast:
    return VmFast(uuid, at, cpu_pct=cpu, rss=5, nics=(("vnet0", 1.0, 2.0, 3.0, 4.0),))


def event(uuid: str, change: str, text: str = "", host: str = "a") -> Event:
    return Event(9.0, EventKind.LIFECYCLE, host, text or change, uuid, uuid, change=change)


def picture(*vms: Vm) -> Picture:
    read = with_slow(empty(), SlowReading(1.0, vms))
    figures = {v.uuid: fast(v.uuid) for v in vms if v.state.active}
    return with_fast(read, FastReading(2.0, HostLoad(cpu_pct=3.0), figures))


def test_each_lane_keeps_the_others_fields() -> None:
    """A slow reading leaves CPU and NIC rates as they were; a fast one leaves disks and state."""
    before = picture(vm("u0"))
    after = with_slow(before, SlowReading(11.0, (vm("u0", at=11.0),)))
    (shown,) = after.host.vms
    assert (shown.cpu_pct, shown.fast_at, shown.slow_at) == (7.0, 2.0, 11.0)
    assert shown.nics[0].rx_bps == 1.0
    assert shown.disks[0].source == "/srv/u0"
    assert after.host.load == HostLoad(cpu_pct=3.0)
    assert (after.host.fast_at, after.host.slow_at) == (2.0, 11.0)


@pytest.mark.parametrize(
    ("kind", "told", "shown"),
    [("file", 7.0, 7.0), ("file", None, 40.0), ("network", 0.0, 40.0), ("nvme", 0.0, 40.0)],
)
def test_bytes_that_the_host_does_not_count_are_libvirts(
    kind: str, told: float | None, shown: float
) -> None:
    """A disk on the network, or a login that may not read /proc/PID/io: never a false zero."""
    disk = VmDisk("vda", "/srv/u0", kind=kind, read_bps=40.0, write_bps=40.0)
    base = replace(vm("u0"), disks=(disk,), read_bps=40.0, write_bps=40.0)
    found = combine(base, replace(fast("u0"), read_bps=told, write_bps=told))
    assert (found.read_bps, found.write_bps) == (shown, shown)
    off = with_event(with_slow(empty(), SlowReading(1.0, (base,))), event("u0", "stopped"))
    assert (off.host.vms[0].read_bps, off.host.vms[0].write_bps) == (None, None)


def test_unchanged_parts_stay_the_same_objects() -> None:
    """Screens find what changed by identity: an off VM survives a fast reading untouched."""
    before = picture(vm("u0"), vm("u1", VmState.OFF))
    after = with_fast(before, FastReading(3.0, HostLoad(), {"u0": fast("u0", 3.0)}))
    assert after.host.vms[1] is before.host.vms[1]
    assert after.host.vms[0].disks is before.host.vms[0].disks
    assert after.host.vms[0].nics is before.host.vms[0].nics
    again = with_slow(after, SlowReading(4.0, (vm("u0", at=4.0), vm("u1", VmState.OFF, at=4.0))))
    assert again.host.vms[0].disks is before.host.vms[0].disks


def test_a_vanished_vm_disappears_and_a_stuck_one_stays() -> None:
    """What libvirt no longer names is gone; what it could not ask keeps its last values."""
    before = picture(vm("u0"), vm("u1"))
    after = with_slow(before, SlowReading(5.0, (), {"u1": 30.0}))
    assert [v.uuid for v in after.host.vms] == ["u1"]
    assert after.host.vms[0].monitor_stuck_s == 30.0
    assert after.host.vms[0].slow_at == 1.0


def test_missing_of_both_lanes_is_told() -> None:
    """What either lane cannot read is listed, and a lane that recovers takes its own back."""
    psi, rights = Missing("psi", "no PSI"), Missing("vm.io", "no right")
    both = with_fast(empty(), FastReading(1.0, HostLoad(), missing=(psi,)))
    both = with_slow(both, SlowReading(2.0, (vm("u0"),), missing=(rights,)))
    assert set(both.host.missing) == {psi, rights}
    assert with_fast(both, FastReading(3.0, HostLoad())).host.missing == (rights,)
    assert (
        Missing("pools", "x") in with_missing(both, "pools", (Missing("pools", "x"),)).host.missing
    )


def test_a_pool_that_does_not_answer_keeps_its_last_sizes() -> None:
    """A dead NFS server leaves the pool's last volumes with their old age and the reason."""
    volume = Volume("v", "/srv/v", "nfs", "a", capacity=10)
    good = Pool("nfs", "a", capacity=100, volumes=(volume,), at=1.0)
    read = with_pools(empty(), (good,), 1.0)
    dead = Pool("nfs", "a", problem=Problem("The pool does not answer."), at=9.0)
    (shown,) = with_pools(read, (dead,), 9.0).host.pools
    assert (shown.capacity, shown.volumes, shown.at) == (100, (volume,), 1.0)
    assert shown.problem is not None


def test_events_change_the_state_at_once() -> None:
    """Each lifecycle event shows its state with libvirt's reason; figures of a dead VM go."""
    shown = with_event(picture(vm("u0")), event("u0", "stopped", "stopped (destroyed)")).host.vms[0]
    assert (shown.state, shown.reason, shown.cpu_pct) == (VmState.OFF, "destroyed", None)
    shown = with_event(picture(vm("u0")), event("u0", "suspended", "suspended (user)")).host.vms[0]
    assert (shown.state, shown.cpu_pct) == (VmState.PAUSED, 7.0)


def test_new_and_removed_vms_appear_by_event() -> None:
    """A VM defined elsewhere is there at once, one undefined is gone, a running one stays."""
    grown = with_event(picture(), event("u9", "defined"))
    assert [(v.uuid, v.state, v.slow_at) for v in grown.host.vms] == [("u9", VmState.OFF, 0.0)]
    assert with_event(grown, event("u9", "undefined")).host.vms == ()
    transient = with_event(picture(vm("u0")), event("u0", "undefined"))
    assert transient.host.vms[0].persistent is False
    assert with_event(transient, event("u0", "stopped")).host.vms == ()


def test_a_removed_vm_leaves_no_figures_behind() -> None:
    """A VM removed and defined anew starts without the load of the one before it."""
    transient = with_event(picture(vm("u0"), vm("u1")), event("u0", "undefined"))
    gone = with_event(transient, event("u0", "stopped"))
    assert set(gone.fast) == {"u1"}
    (anew,) = (v for v in with_event(gone, event("u0", "started")).host.vms if v.uuid == "u0")
    assert anew.cpu_pct is None


def test_events_about_nothing_known_change_nothing() -> None:
    """A job event, or an undefined VM nobody knew, leaves the very same picture."""
    before = picture(vm("u0"))
    for told in (event("", "job-completed"), event("zz", "undefined"), event("u0", "reboot")):
        assert with_event(before, told) is before


def test_a_migration_is_one_vm_throughout() -> None:
    """Before, during and after a migration exactly one running copy is shown, on the right host."""
    source, target = picture(vm("u0")), empty("b")
    both = frozenset({"u0"})

    def running(*pictures: Picture) -> list[str]:
        hosts = settle(tuple(p.host for p in pictures), both)
        return [v.host for h in hosts for v in h.vms]

    target = with_event(target, event("u0", "started", "started (migrated)", "b"))
    assert target.host.vms[0].state is VmState.PAUSED
    assert running(source, target) == ["a"]
    assert running(target, source) == ["a"]
    source = with_event(source, event("u0", "suspended", "suspended (migrated)"))
    target = with_event(target, event("u0", "resumed", "resumed (migrated)", "b"))
    assert running(source, target) == ["b"]
    source = with_event(source, event("u0", "stopped", "stopped (migrated)"))
    source = with_event(source, event("u0", "undefined"))
    assert running(source, target) == ["b"]


def test_a_split_brain_is_not_hidden() -> None:
    """Two running copies of one VM are both shown: somebody must act."""
    hosts = (picture(vm("u0")).host, picture(vm("u0", host="b")).host)
    assert settle(hosts, frozenset({"u0"})) == hosts


def test_a_stale_copy_becomes_unknown() -> None:
    """A VM last seen on a host that is down now, and running elsewhere, is not counted twice."""
    down = replace(picture(vm("u0")).host, link=Link(LinkState.DOWN))
    other = replace(
        picture(vm("u0", host="b")).host, spec=HostSpec("b", "fake:///b"), link=Link(LinkState.UP)
    )
    first, second = settle((down, other), frozenset({"u0"}))
    assert first.vms[0].state is VmState.UNKNOWN
    assert "b" in first.vms[0].reason
    assert second is other


STATES = st.sampled_from([s for s in VmState if s is not VmState.UNKNOWN])
READINGS = st.one_of(
    st.dictionaries(st.sampled_from(UUIDS), STATES).map(
        lambda d: ("slow", tuple(sorted(d.items())))
    ),
    st.sets(st.sampled_from(UUIDS)).map(lambda s: ("fast", tuple(sorted(s)))),
    st.tuples(
        st.sampled_from(UUIDS),
        st.sampled_from(["started", "stopped", "suspended", "resumed", "undefined", "defined"]),
    ).map(lambda e: ("event", e)),
)


@settings(max_examples=200)
@given(st.lists(READINGS, max_size=12))
def test_any_order_of_readings_and_events_keeps_the_picture_sound(
    story: list[tuple[str, tuple[object, ...]]],
) -> None:
    """Whatever comes when: VMs are unique, off VMs show no load, base and shown agree."""
    current = empty()
    for index, (kind, what) in enumerate(story):
        at = float(index + 1)
        if kind == "slow":
            vms = tuple(vm(u, s, at=at) for u, s in what)  # type: ignore[misc]
            current = with_slow(current, SlowReading(at, vms))
            assert [v.uuid for v in current.host.vms] == [v.uuid for v in vms]
        elif kind == "fast":
            figures = {str(u): fast(str(u), at) for u in what}
            current = with_fast(current, FastReading(at, HostLoad(), figures))
        else:
            current = with_event(current, event(str(what[0]), str(what[1])))
        shown = current.host.vms
        assert len({v.uuid for v in shown}) == len(shown)
        assert {v.uuid for v in shown} == set(current.base)
        assert all(v.cpu_pct is None for v in shown if not v.state.active)
        assert all(v.state is current.base[v.uuid].state for v in shown)
        assert set(current.fast) <= set(current.base)
