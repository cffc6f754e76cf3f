"""Sentences about upgrades: what they change, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence

from console.policy.sizes import count_words
from console.policy.upgrade.order import hosts_out, is_home, of_host
from drivers.model.fleet import FleetSnapshot
from drivers.model.operation import (
    Choice,
    MoveState,
    MoveVerb,
    Operation,
    StageRun,
    UpgradeHost,
    UpgradePlan,
)
from drivers.model.upgrade import StageVerb, UpgradeRules

CUT_OFF = "GOES DOWN"
"""In the line of each guest that is left on a host that reboots."""

_DOING = {
    StageVerb.DRAIN: "being drained",
    StageVerb.COMMAND: "running",
    StageVerb.REBOOT: "rebooting",
    StageVerb.WAIT: "not well yet",
    StageVerb.RETURN: "taking its VMs back",
}


def label(upgrade: UpgradePlan, host: str) -> str:
    """The host's name, with its part in the upgrade."""
    return f"{host} (canary)" if host == upgrade.names[0] and len(upgrade.names) > 1 else host


def order_words(hosts: Sequence[UpgradeHost]) -> str:
    """Who goes when: ``kvm2 first as the canary, then kvm1, then kvm3 and kvm4 together``."""
    batches: dict[int, list[str]] = {}
    for host in hosts:
        batches.setdefault(host.batch, []).append(host.host)
    parts = [" and ".join(b) + (" together" if len(b) > 1 else "") for b in batches.values()]
    if len(parts) > 1:
        parts[0] += " first as the canary"
    return ", then ".join(parts)


def run_lines(rules: UpgradeRules) -> tuple[str, ...]:
    """What is run on each host, word for word."""
    way = "as root" if rules.root else "as the login user"
    lines = [f"runs {way}: {line}" for line in rules.commands]
    if rules.reboot:
        lines.append(f"reboots {way}: {rules.reboot_command}")
    lines += [f"checks {way}: {line}" for line in rules.health]
    if rules.expect_kernel:
        lines.append(f"expects kernel {rules.expect_kernel}")
    return tuple(lines)


def effects_of(
    upgrade: UpgradePlan, snapshot: FleetSnapshot, cordoned: Sequence[str]
) -> tuple[str, ...]:
    """Order, what is run, who moves, who is left and what becomes of them."""
    rules, choices = upgrade.rules, dict(upgrade.choices)
    moves = [m for h in upgrade.hosts for m in h.moves if m.verb is MoveVerb.MIGRATE]
    several = len(upgrade.hosts) > 1
    who = "each host" if several else upgrade.hosts[0].host
    lines = [order_words(upgrade.hosts)] if several else []
    lines += [f"{who} {line}" for line in run_lines(rules)]
    if moves:
        go = "moves away and comes" if len(moves) == 1 else "move away and come"
        lines.append(f"{count_words(len(moves), 'VM')} {go} home again; each pauses at its ends")
    for name in upgrade.names:
        host = snapshot.host(name)
        for vm in host.vms if host is not None else ():
            chosen = choices.get(vm.uuid, Choice.NONE)
            starts = "starts again with its host" if vm.autostart else "does not start by itself"
            if not vm.state.active:
                if vm.autostart and rules.reboot:
                    lines.append(f"{vm.name} is off and starts with {name}: autostart is on")
            elif chosen is Choice.LEAVE and rules.reboot:
                lines.append(f"{vm.name}, left on {name} by choice, {CUT_OFF}, and {starts}")
            elif chosen is Choice.LEAVE:
                lines.append(f"{vm.name} stays on {name} while commands run there, as chosen")
            elif chosen is Choice.SHUTDOWN:
                lines.append(f"{vm.name} is SHUT DOWN while {name} is out, and started again")
            elif chosen is Choice.MOVE:
                lines.append(f"{vm.name} is paused: it moves away and does not come home by itself")
    lines += [f"{h} is cordoned now, and open afterwards" for h in cordoned if h in upgrade.names]
    return tuple(lines)


def time_words(upgrade: UpgradePlan) -> str:
    """How long it takes, as far as that is known."""
    moves = "not known" if upgrade.move_s is None else f"about {_minutes(upgrade.move_s)}"
    return f"moves take {moves}; commands and reboots at most {_minutes(upgrade.limit_s)}"


def upgrade_words(operation: Operation) -> str:
    """How far an upgrade is."""
    upgrade = operation.plan.upgrade
    if upgrade is None:
        return ""
    runs = operation.stages
    out = hosts_out(upgrade, runs)
    stuck = {r.stage.host for r in runs if r.state in (MoveState.FAILED, MoveState.BLOCKED)}
    shown = [name for name in upgrade.names if name in out or name in stuck]
    parts = [f"{label(upgrade, name)} {_doing(of_host(runs, name))}" for name in shown]
    last = max(
        (r for r in runs if r.stage.verb is StageVerb.WAIT and r.state is MoveState.DONE),
        key=lambda r: r.ended_at or 0.0,
        default=None,
    )
    if last is not None and last.stage.host not in out:
        parts.append(f"{label(upgrade, last.stage.host)} {last.note}")
    done = sum(is_home(runs, name) for name in upgrade.names)
    parts.append(f"{done} of {len(upgrade.names)} hosts done")
    parts.append("safe to stop: no" if out else "safe to stop: yes")
    return "; ".join(parts)


def _doing(runs: Sequence[StageRun]) -> str:
    """The first stage of a host that is not done."""
    run = next(r for r in runs if r.state is not MoveState.DONE)
    verb = run.stage.verb
    note = f": {run.note}" if run.note else ""
    if run.state in (MoveState.FAILED, MoveState.BLOCKED, MoveState.DROPPED):
        return f"{run.state.value} at {verb.value}{note}"
    if run.state is MoveState.PENDING:
        before = [r for r in runs if r.state is MoveState.DONE]
        if before and before[-1].stage.verb is StageVerb.WAIT:
            return before[-1].note
        return f"waits for its {verb.value}"
    return f"running {run.stage.command}" if verb is StageVerb.COMMAND else f"{_DOING[verb]}{note}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
