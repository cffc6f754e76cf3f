"""The plan that takes a set of hosts through an upgrade without a VM going down."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from console.policy.drain.fits import Fits
from console.policy.drain.layout import Wishes
from console.policy.drain.plan import plan_drain
from console.policy.drain.rooms import given, totals
from console.policy.gathering import gathered
from console.policy.preflight.estimate import ASSUMED_BPS, measured_between
from console.policy.preflight.grounds import Bandwidth
from console.policy.protect import protection_problem
from console.policy.subject import host_problem
from console.policy.upgrade.here import console_checks, console_stuck
from console.policy.upgrade.lines import secret_checks
from console.policy.upgrade.words import effects_of
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.job import Action, Verdict
from drivers.model.operation import (
    Choice,
    Limits,
    Move,
    MoveVerb,
    OperationKind,
    OperationPlan,
    Outlook,
    Room,
    StageRun,
    Stuck,
    UpgradeHost,
    UpgradePlan,
)
from drivers.model.problem import Problem
from drivers.model.upgrade import Stage, StageVerb, Standing, UpgradeRules
from drivers.model.vm import VmState


@dataclass(frozen=True, slots=True)
class Facts:
    """What an upgrade is planned by.

    Attributes:
        fits: Makes the judge of a snapshot: whether a VM could run on a host, room apart.
        standings: What each host says of itself, or why it says nothing.
        cordoned: Hosts that take no VMs.
        choices: VM UUID to what was decided for it.
        link_bps: Bytes a second that moves get where nothing was measured, as configured; None
            takes the usual assumption.
        now: The console's clock, to judge how old readings are.
        bandwidth: (source, target) to what was measured between them.
        boot: Id of the boot that the console itself runs in; empty where it is not told.
    """

    snapshot: FleetSnapshot
    fits: Callable[[FleetSnapshot], Fits]
    limits: Limits
    standings: Mapping[str, Standing | Problem]
    now: float
    cordoned: Collection[str] = ()
    choices: Mapping[str, Choice] | None = None
    link_bps: float | None = None
    bandwidth: Mapping[tuple[str, str], Bandwidth] = field(default_factory=dict)
    boot: str = ""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Hosts that are out together: the drain of each, and the fleet when all are empty."""

    drains: tuple[OperationPlan, ...]
    after: FleetSnapshot

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(d.host for d in self.drains)

    @property
    def spare(self) -> Verdict | None:
        check = self.drains[-1].spare
        return check.verdict if check is not None else None

    @property
    def stuck(self) -> set[str]:
        return {s.uuid for d in self.drains for s in d.stuck}


def plan_upgrade(hosts: Sequence[str], rules: UpgradeRules, facts: Facts) -> OperationPlan:
    """Which host goes when, where its VMs are meanwhile, and what is run on it.

    The canary goes first, alone. Of the others at most ``max_out`` are out at a time, and fewer
    where their VMs have no place otherwise. Nothing is shut down or left but by choice.
    """
    plan = OperationPlan(OperationKind.UPGRADE, ", ".join(hosts), facts.now, facts.limits)
    refusal = _refusal(hosts, rules, facts)
    if refusal is not None:
        return replace(plan, refusal=refusal)
    order = [rules.canary or hosts[0]]
    order += [h for h in hosts if h not in order]
    batches = _batches(order, rules, facts)
    weak = next((b for b in batches if b.spare is not Verdict.OK), None)
    if rules.keep_spare and weak is not None:
        check = weak.drains[-1].spare
        what = f"no further host could be lost while {' and '.join(weak.names)} is out"
        proof = f"{check.text}: {check.proof}" if check is not None else ""
        return replace(plan, refusal=Problem(what, proof, "make room first", "spare"))
    alone = " alone" if len(order) == 1 else ""  # not the name of a host: its drain has that
    return _whole(replace(plan, host=", ".join(order) + alone), batches, rules, facts)


def stage_runs(upgrade: UpgradePlan) -> tuple[StageRun, ...]:
    """All stages, none begun."""
    return tuple(StageRun(stage) for host in upgrade.hosts for stage in host.stages)


def _refusal(hosts: Sequence[str], rules: UpgradeRules, facts: Facts) -> Problem | None:
    """Why nothing can be planned."""
    if not hosts:
        return Problem("no host was named", fix="name at least one", code="no-host")
    if not rules.commands and not rules.reboot:
        fix = "give it commands in the fleet file, or let it reboot"
        return Problem("there is nothing to do: no commands and no reboot", fix=fix, code="config")
    twice = next((h for h in hosts if hosts.count(h) > 1), None)
    if twice is not None:
        return Problem(f"{twice} was named twice", code="twice")
    if rules.canary and rules.canary not in hosts:
        what = f"the canary {rules.canary} is not among the hosts"
        return Problem(what, ", ".join(hosts), "name it too, or choose another canary", "canary")
    for name in hosts:
        host = facts.snapshot.host(name)
        if host is None:
            known = ", ".join(h.name for h in facts.snapshot.hosts)
            what = f"there is no host {name} in this fleet"
            return Problem(what, f"it has: {known}", code="unknown-host")
        problem = host_problem(host, facts.now) or protection_problem(host.spec, Action.MIGRATE)
        problem = problem or _rights(name, rules, facts.standings.get(name))
        if problem is not None:
            return problem
    return None


def _rights(name: str, rules: UpgradeRules, standing: Standing | Problem | None) -> Problem | None:
    """Why commands cannot be run on a host as they must be."""
    if isinstance(standing, Problem):
        return standing
    if standing is None:
        return Problem(f"{name} was not asked what may be run there", code="rights")
    if rules.root and not standing.root:
        return Problem(
            f"commands need root on {name}, and the login {standing.user} is not",
            f"sudo -n sh -c : was refused there: {standing.denied or 'no reason was told'}",
            f"let {standing.user} use sudo without a password (NOPASSWD in sudoers), log in as "
            "root, or set root = false",
            "rights",
        )
    return None


def _batches(order: Sequence[str], rules: UpgradeRules, facts: Facts) -> list[_Batch]:
    batches = [_drained(order[:1], facts)]
    for name in order[1:]:
        alone = _drained([name], facts)
        last = batches[-1]
        if len(batches) > 1 and len(last.names) < rules.max_out:
            both = _drained([*last.names, name], facts)
            calm = last.spare is alone.spare is Verdict.OK
            same = both.stuck <= last.stuck | alone.stuck
            if same and (both.spare is Verdict.OK or not calm):
                batches[-1] = both
                continue
        batches.append(alone)
    return batches


def _drained(names: Sequence[str], facts: Facts) -> _Batch:
    """Empty these hosts one after another, none of them taking VMs of the others."""
    snapshot, drains = facts.snapshot, []
    for name in names:
        closed = {*facts.cordoned, *names}
        wishes = Wishes(cordoned=closed, choices=facts.choices or {})
        fits = facts.fits(snapshot)
        drains.append(plan_drain(snapshot, name, fits, facts.limits, wishes, now=facts.now))
        snapshot = _moved(snapshot, drains[-1])
    return _Batch(tuple(drains), snapshot)


def _moved(snapshot: FleetSnapshot, plan: OperationPlan) -> FleetSnapshot:
    """The fleet after a drain; memory that arrivals take is not available any more."""
    vms = {vm.uuid: vm for vm in snapshot.vms()}
    going = {m.uuid: m for m in plan.moves}

    def after(host: Host) -> Host:
        come = [
            replace(vms[m.uuid], host=host.name)
            for m in plan.moves
            if m.target == host.name and m.verb is MoveVerb.MIGRATE
        ]
        stay = [
            replace(vm, state=VmState.OFF) if vm.uuid in going else vm
            for vm in host.vms
            if vm.uuid not in going or going[vm.uuid].verb is MoveVerb.SHUTDOWN
        ]
        load = host.load
        if load is not None and load.memory_available is not None:
            left = load.memory_available - sum(vm.memory for vm in come)
            load = replace(load, memory_available=left)
        copied = sum(m.copy_bytes for m in plan.moves if m.target == host.name)
        pools = tuple(replace(p, available=p.available - copied) for p in host.pools)
        return replace(host, vms=(*stay, *come), load=load, pools=pools)

    return replace(snapshot, hosts=tuple(after(h) for h in snapshot.hosts))


def _whole(
    plan: OperationPlan, batches: Sequence[_Batch], rules: UpgradeRules, facts: Facts
) -> OperationPlan:
    hosts, number = [], 1
    for index, batch in enumerate(batches, 1):
        for drain in batch.drains:
            host = _host(drain, batch, index, number, rules, facts)
            hosts.append(host)
            number += len(host.stages)
    drains = [d for b in batches for d in b.drains]
    names = [d.host for d in drains]
    low = min((_low(b, facts) for b in batches), key=_left)
    upgrade = UpgradePlan(
        rules,
        tuple(hosts),
        tuple((facts.choices or {}).items()),
        low,
        sum(_there_and_back_s(m, facts) for d in drains for m in d.moves),
        sum(s.limit_s for h in hosts for s in h.stages),
        (
            *console_checks(facts.boot, facts.standings, names, reboot=rules.reboot),
            *secret_checks(rules),
        ),
    )
    stuck: dict[str, Stuck] = {s.uuid: s for d in drains for s in d.stuck}
    if rules.reboot:
        here = console_stuck(facts.boot, facts.standings, names, facts.choices or {})
        stuck.update((s.uuid, s) for s in here)
    outlooks = {d.outlook for d in drains}
    worst = next(
        (o for o in (Outlook.IMPOSSIBLE, Outlook.NOT_PROVEN) if o in outlooks), Outlook.POSSIBLE
    )
    weak = min(batches, key=lambda b: b.spare is Verdict.OK)
    return replace(
        plan,
        stuck=tuple(sorted(stuck.values(), key=lambda s: (s.choice is not Choice.NONE, s.vm_name))),
        staying=tuple(dict.fromkeys(line for d in drains for line in d.staying)),
        rooms=low,
        outlook=worst,
        outlook_text=_outlook_text(drains, worst),
        spare=weak.drains[-1].spare,
        effects=effects_of(upgrade, facts.snapshot, tuple(facts.cordoned)),
        warned=gathered([(d.host, check) for d in drains for check in d.warned], "host"),
        upgrade=upgrade,
    )


def _there_and_back_s(move: Move, facts: Facts) -> float:
    """Seconds that a VM is on its way, both ways, by what was measured."""
    if move.verb is not MoveVerb.MIGRATE:
        return 0.0
    ends = move.source, move.target
    measured = [measured_between(facts.bandwidth, *way) for way in (ends, ends[::-1])]
    usual = facts.link_bps or ASSUMED_BPS
    return sum((move.memory + move.copy_bytes) / (m.bps if m else usual) for m in measured)


def _outlook_text(drains: Sequence[OperationPlan], worst: Outlook) -> str:
    without = [d for d in drains if d.outlook is not Outlook.POSSIBLE or d.undecided]
    if not without:
        total = sum(m.verb is MoveVerb.MIGRATE for d in drains for m in d.moves)
        return f"all {total} VMs that move have a place while their host is out"
    names = ", ".join(d.host for d in without)
    if worst is Outlook.POSSIBLE:
        return f"choices decide whether {names} can be emptied"
    return f"not every VM of {names} has a place: {without[0].outlook_text}"


def _host(
    drain: OperationPlan,
    batch: _Batch,
    index: int,
    number: int,
    rules: UpgradeRules,
    facts: Facts,
) -> UpgradeHost:
    found, standing = facts.snapshot.host(drain.host), facts.standings[drain.host]
    pools = tuple(p.name for p in found.pools if p.active and not p.problem) if found else ()
    nets = found.facts.networks if found is not None and found.facts is not None else ()
    return UpgradeHost(
        drain.host,
        index,
        _stages(drain.host, number, rules),
        drain.moves,
        batch.drains[-1].spare,
        standing.kernel if isinstance(standing, Standing) else "",
        pools,
        tuple(n.name for n in nets if n.active),
    )


def _stages(host: str, first: int, rules: UpgradeRules) -> tuple[Stage, ...]:
    told = [(StageVerb.DRAIN, f"empty {host}", "", 0.0)]
    told += [
        (StageVerb.COMMAND, f"run on {host}", line, rules.command_s) for line in rules.commands
    ]
    if rules.reboot:
        told.append((StageVerb.REBOOT, f"reboot {host}", rules.reboot_command, rules.back_s))
    told.append((StageVerb.WAIT, f"{host} is well", "", rules.back_s))
    told.append((StageVerb.RETURN, f"bring the VMs of {host} home", "", 0.0))
    return tuple(
        Stage(f"s{number}", host, verb, text, command, limit)
        for number, (verb, text, command, limit) in enumerate(told, first)
    )


def _low(batch: _Batch, facts: Facts) -> tuple[Room, ...]:
    """The hosts that carry on while a batch is out."""
    rooms = []
    for before, after in zip(facts.snapshot.hosts, batch.after.hosts, strict=True):
        if before.name in batch.names or host_problem(before, facts.now) is not None:
            continue
        memory_total, vcpus_total = totals(before, facts.limits)
        memory, vcpus = given(v for v in before.vms if v.state.active)
        memory_after, vcpus_after = given(v for v in after.vms if v.state.active)
        come = sum(m.target == before.name for d in batch.drains for m in d.moves)
        rooms.append(
            Room(
                before.name, come, memory_total, memory, memory_after,
                vcpus_total, vcpus, vcpus_after,
            )
        )  # fmt: skip
    return tuple(rooms)


def _left(rooms: Sequence[Room]) -> int:
    return sum(r.memory_total - r.memory_after for r in rooms)
