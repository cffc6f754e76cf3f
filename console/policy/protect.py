"""What a host's protection allows, and how sure a person must be."""

from __future__ import annotations

from drivers.model.host import HostSpec, Protect
from drivers.model.job import Action, Confirm
from drivers.model.problem import Problem

HARMLESS = frozenset({Action.START, Action.RESUME, Action.AUTOSTART_ON, Action.AUTOSTART_OFF})
"""Nothing a guest could notice as a loss."""

IRREVERSIBLE = frozenset({Action.DELETE})
"""Cannot be taken back by another action."""


def confirm_for(action: Action, protect: Protect) -> Confirm:
    """How a plan of this action is confirmed on a host of this protection.

    A plan that deletes nothing can be answered with yes; ``confirm`` asks even for the harmless.
    """
    if action in IRREVERSIBLE:
        return Confirm.TYPED
    if action in HARMLESS and protect is Protect.RW:
        return Confirm.NONE
    return Confirm.YES


def protection_problem(spec: HostSpec, action: Action) -> Problem | None:
    """Why the host's protection forbids the action; None when it does not."""
    if spec.protect is not Protect.RO:
        return None
    return Problem(
        f"{spec.name} is protected: {action.value} is not allowed there",
        proof=f'protect = "ro" in the configuration of {spec.name}',
        fix=f'set protect = "confirm" for {spec.name} if this is really wanted',
        code="protected",
    )
