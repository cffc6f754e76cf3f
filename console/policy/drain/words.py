"""Sentences about operations: plans before they run, and how far they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from console.policy.drain.fits import Fit
from console.policy.sizes import count_words, size_words
from console.policy.upgrade.words import upgrade_words
from drivers.model.operation import (
    Choice,
    Move,
    MoveState,
    MoveVerb,
    Operation,
    OperationKind,
    OperationState,
    Outlook,
    Stuck,
)


def reason_words(fit: Fit, together: bool, missed: str = "") -> str:
    """Why this target; ``missed`` is the host that it should have gone to."""
    minded = ", ".join(c.name for c in fit.warned)
    parts = [f"fits, but mind {minded}" if minded else "it fits there"]
    if missed:
        parts.append(f"{missed} cannot take it")
    copied = sum(size for _, size in fit.copies)
    if copied:
        parts.append(f"{size_words(copied)} of storage is copied along")
    if together:
        parts.append("with the VMs it must stay together with")
    return ", ".join(parts)


def outlook_words(outlook: Outlook, stuck: Sequence[Stuck], moves: Sequence[Move]) -> str:
    """Whether every VM has a place, claiming no more than was searched."""
    going = sum(m.verb is MoveVerb.MIGRATE for m in moves)
    having = f"{count_words(going, 'VM')} {'has' if going < 2 else 'have'} a place"
    if outlook is Outlook.POSSIBLE and not stuck:
        every = having if going == 1 else f"all {having}"
        return every if going else "there is nothing to move"
    if outlook is Outlook.POSSIBLE:
        return f"{having}; for {len(stuck)} a choice decides"
    if outlook is Outlook.IMPOSSIBLE:
        return f"{having}; {len(stuck)} cannot simply move, and no other placement changes that"
    return f"{having}; whether another placement holds more is not proven"


def effects_of(
    kind: OperationKind, host: str, moves: Sequence[Move], stuck: Sequence[Stuck]
) -> tuple[str, ...]:
    """The blast radius: who moves where, what travels, what stops, what stays."""
    going = [m for m in moves if m.verb is MoveVerb.MIGRATE]
    lines = []
    if going:
        away = kind is OperationKind.DRAIN
        ends = Counter(m.target if away else m.source for m in going)
        places = ", ".join(f"{name} ({n})" for name, n in sorted(ends.items()))
        way = f"from {host} to" if away else "back from"
        verb = "moves" if len(going) == 1 else "move"
        lines.append(f"{count_words(len(going), 'VM')} {verb} {way} {places}")
        copied = sum(m.copy_bytes for m in going)
        memory = size_words(sum(m.memory for m in going))
        extra = f" and {size_words(copied)} of storage" if copied else ""
        lines.append(f"{memory} of memory{extra} travel; each guest pauses briefly at its end")
    for move in moves:
        if move.verb is MoveVerb.SHUTDOWN:
            lines.append(f"{move.vm_name} is SHUT DOWN on {move.source}, as chosen")
        elif move.verb is MoveVerb.START:
            lines.append(f"{move.vm_name} is started on {move.source}")
    left = [s.vm_name for s in stuck if s.choice is Choice.LEAVE]
    if left:
        stay = "stays" if len(left) == 1 else "stay"
        lines.append(f"{', '.join(left)} {stay} on {host}, as chosen: it is not safe to reboot")
    if kind is OperationKind.DRAIN:
        lines.append(f"{host} is cordoned: it takes no VMs until it is uncordoned")
    else:
        lines.append(f"{host} takes VMs again: its cordon, if it has one, is lifted")
    return tuple(lines)


def progress_words(operation: Operation, running: int | None = None) -> str:
    """How far it is: ``7 of 12 moved, 1 blocked because ..., safe to reboot: no``.

    Args:
        operation: As recorded.
        running: Active VMs that the host was last seen with; None when it was not read.
    """
    if operation.plan.upgrade is not None:
        return upgrade_words(operation)
    runs = operation.runs
    done = sum(r.state is MoveState.DONE for r in runs)
    parts = [f"{done} of {len(runs)} moved"]
    moving = [r for r in runs if r.state is MoveState.RUNNING]
    if moving and not operation.state.ended:
        note = next((r.note for r in moving if r.note), "")
        parts.append(f"{len(moving)} moving" + (f" ({note})" if note else ""))
    for state, word in (
        (MoveState.BLOCKED, "blocked"),
        (MoveState.FAILED, "failed"),
        (MoveState.DROPPED, "dropped"),
    ):
        found = [r for r in runs if r.state is state]
        if found:
            parts.append(f"{len(found)} {word} because {found[0].note or 'of no known reason'}")
    left = [s.vm_name for s in operation.plan.stuck if s.choice is Choice.LEAVE]
    if left:
        parts.append(f"{', '.join(left)} left on {operation.plan.host} by choice")
    if operation.plan.kind is OperationKind.DRAIN:
        parts.append(f"safe to reboot: {reboot_word(operation, running)}")
    return ", ".join(parts)


def reboot_word(operation: Operation, running: int | None) -> str:
    """``yes`` only when the drain is done and the host was seen without any active VM."""
    if operation.state is not OperationState.DONE:
        return "no"
    if running is None:
        return "not known"
    return "no" if running else "yes"
