"""Every upgrade held against its promises at each step, whatever the fleet and what ends first."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from console.policy.drain.fits import Fit
from console.policy.upgrade.order import hosts_out, is_home, next_stages
from console.policy.upgrade.plan import Facts, plan_upgrade, stage_runs
from console.policy.upgrade.words import upgrade_words
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.operation import Limits, Move, MoveState, Operation, StageRun, UpgradePlan
from drivers.model.upgrade import StageVerb, Standing, UpgradeRules
from drivers.model.vm import Vm
from tests.policy.test_drain_properties import NOW, make_host, vms_on

STANDING = Standing("boot", "6.1", "root", root=True)


@st.composite
def fleets(draw: st.DrawFn) -> FleetSnapshot:
    hosts, number = [], 0
    for index in range(draw(st.integers(3, 5))):
        vms = draw(vms_on(f"h{index}", number, draw(st.integers(0, 3))))
        vms = tuple(replace(v, tags=()) for v in vms)
        number += len(vms)
        room = sum(v.memory for v in vms) + draw(st.integers(0, 16))
        cpus = sum(v.vcpus for v in vms) + draw(st.integers(0, 12))
        hosts.append(make_host(f"h{index}", room, cpus, 0, vms))
    return FleetSnapshot(NOW, 1, tuple(hosts))


@st.composite
def asked(draw: st.DrawFn) -> tuple[FleetSnapshot, tuple[str, ...], UpgradeRules]:
    snapshot = draw(fleets())
    names = [h.name for h in snapshot.hosts]
    hosts = draw(st.permutations(names))[: draw(st.integers(1, len(names)))]
    rules = UpgradeRules(
        commands=("upgrade",),
        reboot=draw(st.booleans()),
        max_out=draw(st.integers(1, 3)),
        canary=draw(st.sampled_from(["", *hosts])),
        keep_spare=draw(st.booleans()),
    )
    return snapshot, tuple(hosts), rules


def facts(snapshot: FleetSnapshot) -> Facts:
    return Facts(
        snapshot,
        lambda _picture: lambda _vm, _host: Fit(True),
        Limits(vcpu_overcommit=1.0),
        {h.name: STANDING for h in snapshot.hosts},
        NOW,
    )


class Places:
    """Where VMs are; one on its way counts at both ends."""

    def __init__(self, snapshot: FleetSnapshot) -> None:
        self.hosts = {h.name: h for h in snapshot.hosts}
        self.vms = {v.uuid: v for v in snapshot.vms() if v.state.active}
        self.home = {v.uuid: v.host for v in self.vms.values()}
        self.at = dict(self.home)

    def move(self, uuid: str, target: str) -> None:
        on = [u for u, h in self.at.items() if h == target] + [uuid]
        self.fits(self.hosts[target], [self.vms[u] for u in on])
        self.at[uuid] = target

    def fits(self, host: Host, vms: Sequence[Vm]) -> None:
        assert host.facts is not None
        assert sum(v.memory for v in vms) <= host.facts.memory
        assert sum(v.vcpus for v in vms) <= host.facts.cpus

    def on(self, host: str) -> list[Vm]:
        return [self.vms[u] for u, h in self.at.items() if h == host]

    def bears_a_loss(self, out: set[str]) -> bool:
        """By trying every placement: whether each remaining host could be lost."""
        rest = [n for n in self.hosts if n not in out]
        return all(self._place(self.on(lost), [n for n in rest if n != lost]) for lost in rest)

    def _place(self, vms: list[Vm], hosts: list[str]) -> bool:
        for ends in itertools.product(hosts, repeat=len(vms)):
            memory, cpus = Counter[str](), Counter[str]()
            for vm, end in zip(vms, ends, strict=True):
                memory[end] += vm.memory
                cpus[end] += vm.vcpus
            if all(self._has(n, memory[n], cpus[n]) for n in hosts):
                return True
        return not vms

    def _has(self, name: str, memory: int, cpus: int) -> bool:
        host, here = self.hosts[name], self.on(name)
        assert host.facts is not None
        return (
            sum(v.memory for v in here) + memory <= host.facts.memory
            and sum(v.vcpus for v in here) + cpus <= host.facts.cpus
        )


@settings(max_examples=60)
@given(asked())
def test_capacity_and_n_plus_1_hold_at_every_step(
    case: tuple[FleetSnapshot, tuple[str, ...], UpgradeRules],
):
    """No more out than allowed, the canary alone first, every VM with room, all home at the end."""
    snapshot, hosts, rules = case
    plan = plan_upgrade(hosts, rules, facts(snapshot))
    if plan.refusal is not None:
        assert rules.keep_spare
        assert plan.refusal.code == "spare"
        return
    upgrade = plan.upgrade
    assert upgrade is not None
    assert sorted(upgrade.names) == sorted(hosts)
    assert upgrade.names[0] == (rules.canary or hosts[0])
    batches = [list(g) for _, g in itertools.groupby(upgrade.hosts, key=lambda h: h.batch)]
    assert len(batches[0]) == 1
    assert all(len(b) <= rules.max_out for b in batches)
    places = Places(snapshot)
    stuck = {s.uuid for s in plan.stuck}
    for batch in batches:
        out = {h.host for h in batch}
        moves: list[Move] = [m for h in batch for m in h.moves]
        for move in moves:
            assert move.target not in out
            places.move(move.uuid, move.target)
        assert all(v.uuid in stuck for name in out for v in places.on(name))
        if rules.keep_spare and not stuck:
            assert places.bears_a_loss(out)
        for move in moves:
            places.move(move.uuid, move.source)
    assert places.at == places.home


@settings(max_examples=60)
@given(asked(), st.data())
def test_stages_run_in_an_order_that_never_has_too_many_out(
    case: tuple[FleetSnapshot, tuple[str, ...], UpgradeRules], data: st.DataObject
):
    """One host moves VMs at a time, and the canary is home before others go."""
    snapshot, hosts, rules = case
    plan = plan_upgrade(hosts, replace(rules, keep_spare=False), facts(snapshot))
    upgrade = plan.upgrade
    assert upgrade is not None
    runs = {r.stage.id: r for r in stage_runs(upgrade)}
    steps = 0
    while any(r.state is not MoveState.DONE for r in runs.values()):
        ready = next_stages(upgrade, tuple(runs.values()))
        running = [r for r in runs.values() if r.state is MoveState.RUNNING]
        assert ready or running, "the upgrade cannot go on"
        ended = running and (not ready or data.draw(st.booleans()))
        for run in [data.draw(st.sampled_from(running))] if ended else ready:
            state = MoveState.DONE if ended else MoveState.RUNNING
            runs[run.stage.id] = replace(run, state=state)
        steps += 1
        _check(upgrade, tuple(runs.values()))
    assert steps >= len(runs)


def _check(upgrade: UpgradePlan, runs: tuple[StageRun, ...]) -> None:
    out = hosts_out(upgrade, runs)
    assert len(out) <= upgrade.rules.max_out
    canary = upgrade.names[0]
    if not is_home(runs, canary):
        assert set(out) <= {canary}
    moving = [
        r for r in runs
        if r.state is MoveState.RUNNING and r.stage.verb in (StageVerb.DRAIN, StageVerb.RETURN)
    ]  # fmt: skip
    assert len(moving) <= 1
    for host in upgrade.hosts:
        mine = [r for r in runs if r.stage.host == host.host]
        assert sum(r.state is MoveState.RUNNING for r in mine) <= 1
        done = [r.state is MoveState.DONE for r in mine]
        assert done == sorted(done, reverse=True)


def test_a_failure_lets_nothing_more_begin():
    """Whatever else could go on waits for a person."""
    snapshot = FleetSnapshot(NOW, 1, tuple(make_host(f"h{n}", 9, 9, 0, ()) for n in range(3)))
    plan = plan_upgrade(("h0", "h1"), UpgradeRules(commands=("x",)), facts(snapshot))
    assert plan.upgrade is not None
    runs = stage_runs(plan.upgrade)
    assert [r.stage.id for r in next_stages(plan.upgrade, runs)] == ["s1"]
    failed = (replace(runs[0], state=MoveState.FAILED), *runs[1:])
    assert next_stages(plan.upgrade, failed) == ()


def test_a_host_whose_drain_is_tried_again_counts_as_out_and_one_never_begun_does_not():
    """The first is half empty already; the other can be left as it is."""
    snapshot = FleetSnapshot(NOW, 1, tuple(make_host(f"h{n}", 9, 9, 0, ()) for n in range(3)))
    plan = plan_upgrade(("h0", "h1"), UpgradeRules(commands=("x",)), facts(snapshot))
    assert plan.upgrade is not None
    first, *rest = stage_runs(plan.upgrade)
    again = (replace(first, boot="b", tries=1), *rest)
    assert hosts_out(plan.upgrade, again) == ("h0",)
    assert [r.stage.id for r in next_stages(plan.upgrade, again)] == ["s1"]
    blocked = (replace(first, state=MoveState.BLOCKED, note="no answer"), *rest)
    assert hosts_out(plan.upgrade, blocked) == ()
    assert [r.stage.id for r in next_stages(plan.upgrade, blocked)] == ["s1"]
    told = upgrade_words(Operation("u", plan, stages=blocked))
    assert told == ("h0 (canary) blocked at drain: no answer; 0 of 2 hosts done; safe to stop: yes")
