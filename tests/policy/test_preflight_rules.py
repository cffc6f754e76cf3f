"""Rules, groups, clocks and the estimate of the pre-flight, and what holds of every matrix."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.policy.migration import migration_targets
from console.policy.plans import make_plan
from console.policy.preflight.estimate import precopy
from console.policy.preflight.grounds import Bandwidth, Evidence, Grounds, Group, Rules
from console.policy.preflight.matrix import preflight
from drivers.model.caps import DirtyRate
from drivers.model.job import Action, Request, Verdict
from drivers.model.problem import Problem
from drivers.model.vm import VmState
from tests.policy.evidence import (
    MIB,
    cell,
    check,
    evidence,
    fit,
    grounds,
    skewed,
    whole,
)
from tests.policy.fleet import GIB, NOW, UUID, change, host, vm

OK, WARN, BLOCKED, UNTESTED = (
    Verdict.OK, Verdict.WARN, Verdict.BLOCKED, Verdict.NOT_TESTED,
)  # fmt: skip
OTHER = "9" * 8 + UUID[8:]


def test_a_cordoned_host_takes_nothing():
    """With whoever said so as proof."""
    found = check("maintenance", replace(grounds(), cordoned={"kvm2": "by ann since 10:04"}))
    assert (found.verdict, found.proof) == (BLOCKED, "by ann since 10:04")
    assert cell(replace(grounds(), cordoned={"kvm1": "x"})).verdict is OK


@pytest.mark.parametrize(
    ("rules", "name", "verdict"),
    [
        (Rules(), "vcpus in all", OK),
        (Rules(cpu_overcommit=0.1), "vcpus in all", BLOCKED),
        (Rules(memory_overcommit=0.01), "memory promised", BLOCKED),
        (Rules(memory_overcommit=1.5), "memory promised", OK),
        (Rules(memory_reserve=31 * GIB), "memory", BLOCKED),
        (Rules(clock_skew_s=0.0), "clocks", OK),
    ],
)
def test_configured_limits(rules, name, verdict):
    """A configured limit refuses; both numbers are in the proof."""
    found = check(name, replace(grounds(), rules=rules))
    assert found.verdict is verdict
    assert any(sign.isdigit() for sign in found.proof)


def test_limits_that_nobody_set_only_warn():
    """More than eight vCPUs a CPU, more memory promised than there is."""
    crowd = tuple(
        replace(vm(name=f"v{n}", uuid=f"{n:08d}{UUID[8:]}", host="kvm2"), vcpus=16, memory=16 * GIB)
        for n in range(5)
    )
    full = change(whole(), "kvm2", vms=crowd)
    assert check("vcpus in all", grounds(), full).verdict is WARN
    assert check("memory promised", grounds(), full).verdict is WARN


def test_clocks_that_are_apart_warn_and_unknown_ones_are_not_tested():
    """The difference between both hosts counts, not that to this console."""
    assert check("clocks", grounds(), skewed(whole(), "kvm2", -9.0)).verdict is WARN
    both = skewed(skewed(whole(), "kvm1", 9.0), "kvm2", 9.0)
    assert check("clocks", grounds(), both).verdict is OK
    assert check("clocks", grounds(), skewed(whole(), "kvm2", None)).verdict is UNTESTED


@pytest.mark.parametrize(
    ("group", "where", "verdict"),
    [
        (Group("db", "apart", vms=frozenset(("web1", "db2"))), "kvm2", BLOCKED),
        (Group("db", "apart", vms=frozenset(("web1", "db2")), strict=False), "kvm2", WARN),
        (Group("db", "apart", tags=frozenset(("pair",))), "kvm2", BLOCKED),
        (Group("db", "apart", vms=frozenset(("web1", "db2"))), "kvm1", OK),
        (Group("db", "together", vms=frozenset(("web1", "db2"))), "kvm1", BLOCKED),
        (Group("db", "together", vms=frozenset(("web1", "db2"))), "kvm2", OK),
    ],
)
def test_groups(group, where, verdict):
    """By name or by tag; what is not strict warns."""
    one = replace(vm(), tags=("pair",))
    other = replace(vm(name="db2", uuid=OTHER, host=where), tags=("pair",))
    snapshot = whole(first=one)
    home = snapshot.host(where)
    assert home is not None
    snapshot = change(snapshot, where, vms=(*home.vms, other))
    found = check("group db", replace(grounds(), rules=Rules(groups=(group,))), snapshot)
    assert found.verdict is verdict


def test_a_tag_alone_makes_a_group():
    """``apart:db`` on both VMs needs no configuration."""
    one = replace(vm(), tags=("apart:db",))
    other = replace(vm(name="db2", uuid=OTHER, host="kvm2"), tags=("apart:db",))
    snapshot = change(whole(first=one), "kvm2", vms=(other,))
    assert check("group db", grounds(), snapshot).verdict is BLOCKED


def test_the_estimate_names_where_each_figure_comes_from():
    """Measured, configured, the link's own speed, or a plain assumption: always said."""
    assert "assumed: br0 of kvm1 is a link of 10000 Mbit/s" in check("duration", grounds()).proof
    silent = grounds(data={})
    assert "assumed: 1 Gbit/s" in check("duration", silent).proof
    configured = replace(grounds(), rules=Rules(link_bps=50.0 * MIB))
    assert "50 MiB/s (as configured)" in check("duration", configured).proof
    past = grounds(bandwidth={("kvm1", "kvm2"): Bandwidth(80.0 * MIB, "3 migrations")})
    assert "80 MiB/s (3 migrations)" in check("duration", past).proof
    unknown = check("duration", grounds(dirty={UUID: Problem("x", "QEMU is too old")}))
    assert "at least" in unknown.text
    assert "QEMU is too old" in unknown.proof


def test_a_guest_that_writes_faster_than_the_link_warns():
    """It would never end by itself, and what helps is said."""
    asked = grounds(
        dirty={UUID: DirtyRate(UUID, 200.0 * MIB, 1, NOW)},
        bandwidth={("kvm1", "kvm2"): Bandwidth(100.0 * MIB, "past")},
    )
    found = check("duration", asked)
    assert found.verdict is WARN
    assert "auto-converge" in found.fix


@given(
    memory=st.floats(1, 1e12), disks=st.floats(0, 1e13), bps=st.floats(1e3, 1e11),
    dirty=st.floats(0, 1e11), more=st.floats(1.01, 10),
)  # fmt: skip
def test_an_estimate_grows_with_the_work_and_never_stands_still_beyond_the_limit(
    memory, disks, bps, dirty, more
):
    """Faster links never take longer, busier guests never less; the standstill is bounded."""
    found = precopy(memory, disks, bps, dirty)
    if found.seconds is None or found.downtime_s is None:
        assert dirty >= bps
        return
    assert found.seconds >= (memory + disks) / bps * 0.999
    assert 0 <= found.downtime_s <= 0.3001
    quicker = precopy(memory, disks, bps * more, dirty)
    assert quicker.seconds is not None
    assert quicker.seconds <= found.seconds * 1.001
    busier = precopy(memory, disks, bps, dirty * more)
    assert busier.seconds is None or busier.seconds >= found.seconds * 0.999


_VERDICTS = st.sampled_from(["ok", "problem", "absent"])


@given(st.fixed_dictionaries(dict.fromkeys(
    ("needs", "caps", "fits", "data", "dirty"), _VERDICTS)))  # fmt: skip
def test_a_missing_reading_is_never_shown_as_ok(kinds):
    """Whatever could not be read, the cell says not tested and nothing raises."""
    full = evidence()
    changed = {
        name: getattr(full, name) if kind == "ok" else {
            key: Problem("lost", "timed out") for key in getattr(full, name)
        } if kind == "problem" else {}
        for name, kind in kinds.items()
    }  # fmt: skip
    found = cell(Grounds(evidence=replace(full, **changed)))
    lost = any(kinds[name] != "ok" for name in ("needs", "fits", "data"))
    assert found.verdict is (UNTESTED if lost else OK)
    assert found.fit is not None
    assert all(c.proof for c in found.fit.reasons if c.verdict is UNTESTED)


@given(
    state=st.sampled_from(list(VmState)),
    cordoned=st.booleans(),
    machine=st.booleans(),
    given_evidence=st.booleans(),
)
def test_target_list_plan_and_matrix_agree(state, cordoned, machine, given_evidence):
    """One function answers all three: the same checks, the same verdict."""
    found: Evidence | None = None
    if given_evidence:
        found = evidence(fits={(UUID, "kvm2"): fit(machine=machine)})
    asked = Grounds(cordoned={"kvm2": "me"} if cordoned else {}, evidence=found)
    snapshot = whole(first=vm(state))
    in_matrix = cell(asked, snapshot).fit
    (in_list,) = migration_targets(snapshot, UUID, now=NOW, grounds=asked)
    request = Request(Action.MIGRATE, UUID, "kvm2")
    plan = make_plan(snapshot, request, now=NOW, plan_id="p", grounds=asked)
    assert in_matrix == in_list
    assert plan.checks == in_list.reasons
    assert (plan.refusal is None) is in_list.fits


def test_a_matrix_of_many_names_its_own_host_and_unknown_names():
    """VMs down, hosts across; the VM's own host is no target, an unknown one is blocked."""
    snapshot = replace(whole(), hosts=(*whole().hosts, host("kvm3")))
    found = preflight(snapshot, (UUID, "gone"), ("kvm1", "kvm2", "kvm9"), now=NOW)
    row, gone = found.rows
    assert [c.here for c in row.cells] == [True, False, False]
    assert row.cells[2].verdict is BLOCKED
    assert all(c.verdict is BLOCKED for c in gone.cells)
    assert found.count(BLOCKED) == 4
    assert found.cell(UUID, "kvm1") == row.cells[0]
    assert found.cell(UUID, "nowhere") is None


def test_a_paused_guest_needs_no_dirty_rate():
    """It writes nothing, so the estimate is whole."""
    found = check("duration", grounds(dirty={}), whole(first=vm(VmState.PAUSED)))
    assert "paused" in found.proof
    assert "about" in found.text
