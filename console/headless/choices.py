"""Choices on the command line: what becomes of VMs that cannot simply move."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from console.headless.session import Session, Unknown
from console.policy.upgrade.here import THIS_CONSOLE
from drivers.model.operation import Choice, Operation, OperationKind, OperationPlan
from drivers.model.vm import Vm

PLAN_S = 30.0
"""How long a plan may take."""

_EVERY = "all"
_HOMEWARD = (Choice.MOVE, Choice.LEAVE)


def plan_back(
    args: argparse.Namespace, session: Session, kind: OperationKind, name: str
) -> tuple[OperationPlan, str]:
    """The way back with the choices of the command line, and the operation it takes back.

    Raises:
        Unknown: A choice names a VM that is not there.
    """

    def ask(choices: Mapping[str, Choice]) -> tuple[OperationPlan, str]:
        return session.engine.maintenance.plan_back(kind, name, choices).result(PLAN_S)

    choices = named_choices(args, session, _HOMEWARD)
    plan, parent = ask(choices)
    for choice in _HOMEWARD:
        more = choices_for_all(args, plan, choice)
        if more:
            choices.update(more)
            plan, parent = ask(choices)
    return plan, parent


def named_choices(
    args: argparse.Namespace,
    session: Session,
    choices: tuple[Choice, ...],
    hosts: Sequence[str] = (),
) -> dict[str, Choice]:
    """VM UUID, or the word for this console, to the choice that names it.

    Args:
        hosts: Where these VMs must be; anywhere when empty.

    Raises:
        Unknown: A choice names a VM that is not there, and would do nothing.
    """
    return {
        name if name == THIS_CONSOLE else vm_on(session, name, hosts).uuid: choice
        for choice in choices
        for name in getattr(args, choice.value)
        if name != _EVERY
    }


def vm_on(session: Session, name: str, hosts: Sequence[str]) -> Vm:
    """The VM of that name; Unknown when it is on none of these hosts, if any are given."""
    vm = session.find(name)
    if hosts and vm.host not in hosts:
        what = f"{vm.name} is not on {' or '.join(hosts)}."
        raise Unknown(what, f"it is on {vm.host}", "leave it out, or see `novacron vms`")
    return vm


def choices_for_all(
    args: argparse.Namespace, plan: OperationPlan, choice: Choice
) -> dict[str, Choice]:
    """The VMs that still need a choice and may have this one, where it is meant for all.

    This console is no VM: whoever lets it go down says so by its name.
    """
    if _EVERY not in getattr(args, choice.value):
        return {}
    undecided = (s for s in plan.undecided if s.uuid != THIS_CONSOLE)
    return {s.uuid: choice for s in undecided if choice in s.choices}


def targets_of(args: argparse.Namespace, operation: Operation) -> dict[str, str]:
    """VM UUID to the host that ``--to VM=HOST`` names for it, for VMs of an operation.

    Raises:
        Unknown: It names no VM of the operation, or no host.
    """
    known = {n: r.move.uuid for r in operation.runs for n in (r.move.vm_name, r.move.uuid)}
    found = {}
    for words in args.to:
        name, _, host = words.partition("=")
        if not host or name not in known:
            names = ", ".join(r.move.vm_name for r in operation.runs)
            raise Unknown(f"--to takes VM=HOST, not {words}.", fix=f"VMs of it: {names}")
        found[known[name]] = host
    return found
