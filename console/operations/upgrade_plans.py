"""Plans of upgrades, from what the snapshot shows and what the hosts themselves answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from console.operations.tools import PLAN_AGE_S, Desk
from console.policy.drain.layout import Wishes
from console.policy.drain.plan import plan_drain
from console.policy.drain.profile import with_profile
from console.policy.drain.rules import limits_of
from console.policy.upgrade.lines import ambiguous, told_rules
from console.policy.upgrade.order import hosts_out
from console.policy.upgrade.plan import Facts, plan_upgrade
from drivers.errors import Busy, DriverError, Gone, Refused
from drivers.lane import Lane
from drivers.model.operation import Choice, Operation, OperationPlan
from drivers.model.problem import Problem
from drivers.model.upgrade import Standing, UpgradeRules

_PLAN_S = 100.0
"""Seconds that a plan of very many hosts may take."""


async def upgrade_plan(
    desk: Desk,
    hosts: Sequence[str],
    name: str,
    choices: Mapping[str, Choice],
    *,
    max_out: int = 0,
    canary: str = "",
) -> OperationPlan:
    """How these hosts would be upgraded.

    Args:
        name: Of ``[upgrades.NAME]``; empty for ``[upgrade]``.
        choices: VM UUID to what was decided for it.
        max_out: Hosts out at a time; 0 for what is configured.
        canary: Goes first; empty for what is configured.

    Raises:
        Gone: No upgrade of that name is configured.
        Refused: Its lines could not be told apart without their secrets.
    """
    await desk.book.refresh()
    rules = _told(_configured(desk, name))
    rules = replace(rules, max_out=max_out or rules.max_out, canary=canary or rules.canary)
    if rules.canary not in hosts and not canary:
        rules = replace(rules, canary="")  # the configured one is not among these hosts
    told = await asyncio.gather(*(_standing(desk, host) for host in hosts))
    snapshot = desk.snapshot()
    leaving = [v.uuid for h in snapshot.hosts if h.name in hosts for v in h.vms if v.state.active]
    names = [h.name for h in snapshot.hosts] if leaving else []
    grounds = await desk.grounds(leaving, names, age_s=PLAN_AGE_S)
    facts = Facts(
        desk.snapshot(),
        lambda picture: desk.fits(picture, grounds),
        limits_of(desk.rules),
        dict(zip(hosts, told, strict=True)),
        desk.clock(),
        tuple(desk.book.cordoned),
        choices,
        desk.rules.link_bps,
        grounds.evidence.bandwidth if grounds.evidence is not None else {},
        desk.hands.boot,
    )
    lane = Lane("upgrade plan", _PLAN_S)  # of many hosts it takes long: polling goes on meanwhile
    try:
        plan = await lane.run(lambda: plan_upgrade(hosts, rules, facts))
        return with_profile(plan, desk.rules.profile, facts.snapshot)
    finally:
        lane.close()


def _configured(desk: Desk, name: str) -> UpgradeRules:
    rules = desk.hands.rules.get(name)
    if rules is None:
        table = f"[upgrades.{name}]" if name else "[upgrade]"
        known = ", ".join(n or "[upgrade]" for n in sorted(desk.hands.rules)) or "none"
        what = f"how to upgrade hosts is not configured: there is no {table}"
        raise Gone(what, f"the fleet file has: {known}", "novacron init --stdout shows an example")
    return rules


def _told(rules: UpgradeRules) -> UpgradeRules:
    if (unclear := ambiguous(rules)) is not None:
        raise Refused(unclear.what, unclear.proof, unclear.fix)
    return told_rules(rules)


async def _standing(desk: Desk, host: str) -> Standing | Problem:
    try:
        return await desk.hands.tasks(host).standing()
    except DriverError as error:
        return error.problem


async def drain_of_batch(
    desk: Desk, host: str, mates: Sequence[str], choices: Mapping[str, Choice]
) -> OperationPlan:
    """How a host is emptied now, its VMs going to none of the hosts of its batch."""
    own = desk.snapshot().host(host)
    leaving = [vm.uuid for vm in own.vms if vm.state.active] if own is not None else []
    names = [h.name for h in desk.snapshot().hosts if h.name not in mates] if leaving else []
    grounds = await desk.grounds(leaving, names, age_s=PLAN_AGE_S)
    snapshot = desk.snapshot()
    wishes = Wishes(cordoned={*desk.book.cordoned, *mates}, choices=choices)
    fits, limits = desk.fits(snapshot, grounds), limits_of(desk.rules)
    plan = plan_drain(snapshot, host, fits, limits, wishes, now=desk.clock())
    return with_profile(plan, desk.rules.profile, snapshot)


def refuse_overlap(known: Sequence[Operation], operation: Operation) -> None:
    """One operation a host at a time; the drains of an upgrade are its own.

    Raises:
        Busy: Another one works on a host of this.
    """
    own = operation.plan.upgrade
    for other in known:
        if other.state.ended or other.id == operation.id:
            continue
        theirs = other.plan.upgrade
        if theirs is not None and not operation.id.startswith(f"{other.id}."):
            mine = own.names if own is not None else (operation.plan.host,)
            both = [name for name in mine if name in theirs.names]
        elif own is not None:
            both = [name for name in own.names if name == other.plan.host]
        else:
            both = []
        if both:
            what = f"another operation works on {', '.join(both)}"
            raise Busy(what, other.id, f"wait for it, or: novacron jobs cancel {other.id}")


def hosts_out_of(operation: Operation) -> tuple[str, ...]:
    """Hosts that an upgrade under way has out; none for anything else."""
    upgrade = operation.plan.upgrade
    if upgrade is None or operation.state.ended:
        return ()
    return hosts_out(upgrade, operation.stages)
