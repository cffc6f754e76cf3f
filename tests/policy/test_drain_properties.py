"""Every plan to empty a host, held against the rules at each step and against brute force."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from console.policy.drain.fits import Fit
from console.policy.drain.inverse import plan_inverse
from console.policy.drain.layout import Wishes
from console.policy.drain.order import over_cap
from console.policy.drain.plan import plan_drain
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, HostFacts, HostLoad, HostSpec, Link, LinkState, Protect
from drivers.model.job import Check, Verdict
from drivers.model.operation import (
    Choice,
    Limits,
    Move,
    MoveRun,
    MoveState,
    MoveVerb,
    OperationKind,
    OperationPlan,
    Outlook,
)
from drivers.model.storage import Pool
from drivers.model.vm import Vm, VmState

NOW = 1_000_000.0
HOME = "h0"
TAGS = ("apart:a", "apart:b", "together:x", "together:y")


@dataclass(frozen=True)
class Case:
    """A small fleet, who fits where, and what was laid down."""

    snapshot: FleetSnapshot
    fit: dict[tuple[str, str], Fit]
    limits: Limits
    wishes: Wishes

    def fits(self, vm: Vm, target: Host) -> Fit:
        return self.fit.get((vm.uuid, target.name), Fit(True))


def make_host(name: str, memory: int, cpus: int, space: int, vms: tuple[Vm, ...]) -> Host:
    return Host(
        HostSpec(name, f"test:///{name}", protect=Protect.RW),
        Link(LinkState.UP),
        HostFacts(name, cpus=cpus, memory=memory),
        HostLoad(memory_total=memory),
        vms,
        (Pool("p", name, available=space, at=NOW),),
        slow_at=NOW,
        pools_at=NOW,
    )


def vms_on(host: str, first: int, count: int) -> st.SearchStrategy[tuple[Vm, ...]]:
    def one(number: int) -> st.SearchStrategy[Vm]:
        return st.builds(
            lambda memory, vcpus, tags, off: Vm(
                f"u{number}", f"vm{number}", host, VmState.OFF if off else VmState.RUNNING,
                vcpus=vcpus, memory=memory, tags=tuple(sorted(tags)), slow_at=NOW,
            ),
            st.integers(1, 6), st.integers(1, 3),
            st.sets(st.sampled_from(TAGS), max_size=1),
            st.booleans() if number % 5 == 4 else st.just(False),
        )  # fmt: skip

    return st.tuples(*(one(first + n) for n in range(count)))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    hosts, number = [], 0
    for index in range(draw(st.integers(2, 4))):
        count = draw(st.integers(1, 5)) if index == 0 else draw(st.integers(0, 2))
        vms = draw(vms_on(f"h{index}", number, count))
        number += count
        room = sum(v.memory for v in vms)
        hosts.append(
            make_host(
                f"h{index}",
                room + draw(st.integers(0, 12)),
                sum(v.vcpus for v in vms) + draw(st.integers(0, 8)),
                draw(st.integers(0, 6)),
                vms,
            )
        )
    names = [h.name for h in hosts]
    fit = {
        (vm.uuid, target): draw(
            st.sampled_from(
                (Fit(True), Fit(True), Fit(True, copies=(("p", 3),)),
                 Fit(False, (Check("net", Verdict.BLOCKED, "no such network"),)))
            )
        )
        for vm in hosts[0].vms for target in names[1:]
    }  # fmt: skip
    choices = {
        vm.uuid: draw(st.sampled_from((Choice.NONE, Choice.NONE, Choice.COPY, Choice.LEAVE)))
        for vm in hosts[0].vms
    }
    per_link = draw(st.integers(1, 2))
    return Case(
        FleetSnapshot(NOW, 1, tuple(hosts)),
        fit,
        Limits(
            draw(st.integers(1, 3)),
            per_link,
            vcpu_overcommit=1.0,
            small=draw(st.integers(0, 4)),
            small_per_host=draw(st.integers(0, 5)),
            small_per_link=draw(st.integers(0, 4)),
        ),
        Wishes(
            cordoned=draw(st.sets(st.sampled_from(names), max_size=1)),
            choices={u: c for u, c in choices.items() if c is not Choice.NONE},
        ),
    )


class Sim:
    """Runs moves in any order the plan allows, and checks every rule at every step.

    A VM on its way takes room at both ends, as it does on real hosts.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.vms = {v.uuid: v for v in case.snapshot.vms()}
        self.at = {v.uuid: {v.host} for v in self.vms.values() if v.state.active}
        self.used_space: Counter[str] = Counter()

    def start(self, move: Move) -> None:
        assert move.source in self.at[move.uuid]
        if move.verb is MoveVerb.MIGRATE:
            self.at[move.uuid] = {move.source, move.target}
            self.used_space[move.target] += move.copy_bytes

    def finish(self, move: Move) -> None:
        self.at[move.uuid] = {move.target} if move.verb is MoveVerb.MIGRATE else set()

    def check(self, targets: set[str]) -> None:
        for host in self.case.snapshot.hosts:
            if host.name not in targets:
                continue
            here = [self.vms[u] for u, places in self.at.items() if host.name in places]
            assert host.facts is not None
            assert sum(v.memory for v in here) <= host.facts.memory
            assert sum(v.vcpus for v in here) <= host.facts.cpus
            assert self.used_space[host.name] <= host.pools[0].available
            arrived = [v for v in here if v.host != host.name]
            for vm in arrived:
                mates = [o for o in here if o.uuid != vm.uuid]
                apart = {t for t in vm.tags if t.startswith("apart:")}
                assert not any(apart & set(o.tags) for o in mates)


def play(case: Case, plan: OperationPlan, draw: st.DataObject, home: str = HOME) -> Sim:
    """Carry a plan out in an order of hypothesis' choice."""
    sim = Sim(case)
    waiting, running, done = list(plan.moves), [], set()
    targets = {m.target for m in plan.moves if m.verb is MoveVerb.MIGRATE}
    while waiting or running:
        ready = [
            m for m in waiting
            if set(m.after) <= done and not over_cap(m, running, case.limits)
        ]  # fmt: skip
        options = [("start", m) for m in ready] + [("finish", m) for m in running]
        assert options, "the plan cannot go on"
        act, move = draw.draw(st.sampled_from(options))
        if act == "start":
            waiting.remove(move)
            running.append(move)
            sim.start(move)
        else:
            running.remove(move)
            done.add(move.id)
            sim.finish(move)
        sim.check(targets)
        check_caps(running, case.limits)
    return sim


def check_caps(running: list[Move], limits: Limits) -> None:
    """Large ones keep the caps among themselves, and all together those of small ones."""
    large = [m for m in running if m.copy_bytes or m.memory > limits.small]
    hosts = max(limits.per_host, limits.small_per_host)
    links = max(limits.per_link, limits.small_per_link)
    for moves, per_host, per_link in (
        (large, limits.per_host, limits.per_link),
        (running, hosts, links),
    ):
        ends = Counter(e for m in moves for e in {m.source, m.target})
        pairs = Counter((m.source, m.target) for m in moves)
        assert all(n <= per_host for n in ends.values())
        assert all(n <= per_link for n in pairs.values())


def groups_of(case: Case, vms: list[Vm]) -> list[list[Vm]]:
    """VMs that must go together, worked out afresh."""
    groups: list[list[Vm]] = []
    for vm in vms:
        tags = {t for t in vm.tags if t.startswith("together:")}
        group = next((g for g in groups if any(tags & set(o.tags) for o in g)), None)
        if group is None:
            groups.append([vm])
        else:
            group.append(vm)
    return groups


def allowed(case: Case, group: list[Vm], target: str | None, placed: dict[str, list[Vm]]) -> bool:
    """Whether brute force may put a group there; no rule is shared with the planner."""
    if target is None:
        return True
    host = case.snapshot.host(target)
    assert host is not None
    assert host.facts is not None
    here = [v for v in host.vms if v.state.active] + placed[target]
    space = host.pools[0].available - sum(
        size for v in placed[target] for _, size in case.fits(v, host).copies
    )
    for vm in group:
        fit = case.fits(vm, host)
        size = sum(n for _, n in fit.copies)
        if not fit.ok or (size and case.wishes.choices.get(vm.uuid) is not Choice.COPY):
            return False
        together = {t for t in vm.tags if t.startswith("together:")}
        for other in case.snapshot.hosts:
            mates = [v for v in other.vms if v.state.active and together & set(v.tags)]
            there = any(v.state.active and together & set(v.tags) for v in host.vms)
            if other.name not in (HOME, target) and mates and not there:
                return False
        apart = {t for t in vm.tags if t.startswith("apart:")}
        if any(apart & set(o.tags) for o in here) or size > space:
            return False
        here, space = [*here, vm], space - size
    return (
        sum(v.memory for v in here) <= host.facts.memory
        and sum(v.vcpus for v in here) <= host.facts.cpus
    )


def most(case: Case, groups: list[list[Vm]], targets: list[str]) -> int:
    """Groups that the best of all placements gives a place, by trying every one."""
    best = 0
    for places in itertools.product([*targets, None], repeat=len(groups)):
        count = sum(p is not None for p in places)
        if count <= best:
            continue
        placed: dict[str, list[Vm]] = {t: [] for t in targets}
        for group, place in zip(groups, places, strict=True):
            if not allowed(case, group, place, placed):
                break
            if place is not None:
                placed[place] += group
        else:
            best = count
    return best


def movable(case: Case) -> list[Vm]:
    return [
        v for v in case.snapshot.hosts[0].vms
        if v.state.active and case.wishes.choices.get(v.uuid) is not Choice.LEAVE
    ]  # fmt: skip


@settings(max_examples=200)
@given(cases(), st.data())
def test_every_plan_keeps_every_rule_at_every_step(case: Case, data: st.DataObject):
    """Room, groups, cordons and caps hold in any order the plan allows, and nobody is lost."""
    plan = plan_drain(case.snapshot, HOME, case.fits, case.limits, case.wishes, now=NOW)
    closed = {*case.wishes.cordoned, HOME}
    assert not any(m.target in closed for m in plan.moves)
    assert {m.verb for m in plan.moves} <= {MoveVerb.MIGRATE}
    sim = play(case, plan, data)
    moved = {m.uuid for m in plan.moves}
    named = {s.uuid for s in plan.stuck}
    assert not moved & named
    assert moved | named == {v.uuid for v in case.snapshot.hosts[0].vms if v.state.active}
    for group in groups_of(case, movable(case)):
        assert len({frozenset(sim.at[v.uuid]) for v in group}) == 1


@settings(max_examples=200)
@given(cases())
def test_impossible_means_impossible(case: Case):
    """An exhaustive search finds a place for exactly as many, never for more."""
    plan = plan_drain(case.snapshot, HOME, case.fits, case.limits, case.wishes, now=NOW)
    targets = [
        h.name for h in case.snapshot.hosts[1:] if h.name not in case.wishes.cordoned
    ]  # fmt: skip
    groups = groups_of(case, movable(case))
    best = most(case, groups, targets)
    going = {m.uuid for m in plan.moves}
    assert sum(g[0].uuid in going for g in groups) == best
    assert plan.outlook is (Outlook.POSSIBLE if best == len(groups) else Outlook.IMPOSSIBLE)


@st.composite
def tight_cases(draw: st.DrawFn) -> Case:
    """VMs that were cut out of the room there is: hardly any guess finds the one placement."""
    part = st.lists(st.integers(1, 9), min_size=1, max_size=3)
    sizes = draw(st.lists(part, min_size=2, max_size=3))
    flat = [size for some in sizes for size in some]
    vms = tuple(
        Vm(f"u{n}", f"vm{n}", HOME, VmState.RUNNING, vcpus=1, memory=size, slow_at=NOW)
        for n, size in enumerate(draw(st.permutations(flat)))
    )
    less = draw(st.integers(0, 1))
    hosts = [make_host(HOME, 100, 100, 0, vms)]
    hosts += [
        make_host(f"h{n}", sum(some) - (less if n == 1 else 0), 100, 0, ())
        for n, some in enumerate(sizes, 1)
    ]
    return Case(FleetSnapshot(NOW, 1, tuple(hosts)), {}, Limits(vcpu_overcommit=1.0), Wishes())


@settings(max_examples=200)
@given(tight_cases())
def test_the_one_placement_is_found(case: Case):
    """Where guessing fails the search decides, and agrees with trying everything."""
    plan = plan_drain(case.snapshot, HOME, case.fits, case.limits, case.wishes, now=NOW)
    targets = [h.name for h in case.snapshot.hosts[1:]]
    groups = groups_of(case, movable(case))
    best = most(case, groups, targets)
    assert len(plan.moves) == best
    assert plan.outlook is (Outlook.POSSIBLE if best == len(groups) else Outlook.IMPOSSIBLE)


@settings(max_examples=100)
@given(cases(), st.data())
def test_the_way_back_always_fits(case: Case, data: st.DataObject):
    """After a drain every VM has its old room again: return-home leaves nobody out."""
    plan = plan_drain(case.snapshot, HOME, case.fits, case.limits, case.wishes, now=NOW)
    sim = play(case, plan, data)
    homes = {uuid: next(iter(places)) for uuid, places in sim.at.items()}
    after = replace(
        case.snapshot,
        hosts=tuple(
            replace(
                h,
                vms=tuple(
                    replace(v, host=h.name) for v in case.snapshot.vms()
                    if homes.get(v.uuid, v.host) == h.name
                ),
            )
            for h in case.snapshot.hosts
        ),
    )  # fmt: skip
    gone = replace(case, snapshot=after, fit={}, wishes=replace(case.wishes, choices={}))
    runs = [MoveRun(m, MoveState.DONE) for m in plan.moves]
    back = plan_inverse(
        after, OperationKind.RETURN, HOME, runs, gone.fits, case.limits, gone.wishes, now=NOW
    )
    apart = [v for v in case.snapshot.hosts[0].vms if any(t.startswith("apart:") for t in v.tags)]
    if not apart:  # two that must be kept apart may have shared the host before: not again
        assert not back.stuck
        assert {m.uuid for m in back.moves} == {m.uuid for m in plan.moves}
    assert all(m.target == HOME for m in back.moves)
    play(gone, back, data)
