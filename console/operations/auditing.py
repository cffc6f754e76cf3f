"""What the audit ledger says of operations: who asked for which plan, and how it ended."""

from __future__ import annotations

import shlex

from console.policy.virsh import domain_word, virsh
from drivers.model.audit import Actor, Deed, Entry
from drivers.model.fleet import FleetSnapshot
from drivers.model.operation import Choice, Move, MoveVerb, Operation, OperationPlan


def title_of(operation: Operation) -> str:
    """``Drain of kvm1``."""
    return f"{operation.plan.kind.value.capitalize()} of {operation.plan.host}"


def begun(operation: Operation, snapshot: FleetSnapshot) -> Entry:
    """The entry that must be durable before an operation begins."""
    return Entry(
        Deed.BEGUN,
        operation.created_at,
        Actor(),
        title_of(operation),
        operation.id,
        hosts=operation.hosts,
        commands=(
            *(command(move, snapshot) for move in operation.plan.moves),
            *upgrade_commands(operation.plan),
        ),
        plan=plan_words(operation.plan),
    )


def ended(operation: Operation) -> Entry:
    """The entry that tells what became of an operation."""
    return Entry(
        Deed.ENDED,
        operation.ended_at or operation.created_at,
        Actor(),
        title_of(operation),
        operation.id,
        hosts=operation.hosts,
        state=operation.state.value,
        outcome=operation.outcome,
    )


def plan_words(plan: OperationPlan) -> tuple[str, ...]:
    """A plan line by line: moves in order with their reasons, choices, and the blast radius."""
    moves = [
        f"wave {m.wave}: {m.verb.value} {m.vm_name}, {_ends(m)}{m.reason and f' ({m.reason})'}"
        for m in plan.moves
    ]
    chosen = [
        f"{s.vm_name}: {s.choice.value}, as chosen"
        for s in plan.stuck
        if s.choice is not Choice.NONE
    ]
    return (*moves, *chosen, *plan.effects)


def upgrade_commands(plan: OperationPlan) -> tuple[str, ...]:
    """What an upgrade runs on each host, in order, as it would be typed."""
    if plan.upgrade is None:
        return ()
    rules = plan.upgrade.rules
    lines = (*rules.commands, *((rules.reboot_command,) if rules.reboot else ()))
    return tuple(shlex.join(["ssh", h, line]) for h in plan.upgrade.names for line in lines)


def command(move: Move, snapshot: FleetSnapshot) -> str:
    """The ``virsh`` line that does the same as a move; its job tells its own lines in full."""
    source, target = snapshot.host(move.source), snapshot.host(move.target)
    uri = source.spec.uri if source is not None else move.source
    name = domain_word(move.vm_name, move.uuid)
    if move.verb is not MoveVerb.MIGRATE:
        return virsh(uri, move.verb.value, name)
    there = target.spec.peer_uri or target.spec.uri if target is not None else move.target
    copied = ("--copy-storage-all",) if move.copy_bytes else ()
    return virsh(uri, "migrate", "--live", "--persistent", "--undefinesource", *copied, name, there)


def _ends(move: Move) -> str:
    if move.verb is MoveVerb.MIGRATE:
        return f"{move.source} to {move.target}"
    return f"on {move.source}"
