"""``novacron upgrade``: the same plan and operation as the screens."""

from __future__ import annotations

import argparse
import sys

from console.headless.choices import choices_for_all, named_choices
from console.headless.context import Context
from console.headless.lists import report_down
from console.headless.operations import run_plan
from console.headless.session import Session, Unknown, has_pools, known_hosts, open_session
from console.headless.status import Exit
from drivers.errors import DriverError
from drivers.model.operation import Choice, OperationPlan

_AWAY = (Choice.COPY, Choice.MOVE, Choice.SHUTDOWN, Choice.LEAVE)
_PLAN_S = 120.0
"""How long a plan may take: each host is asked what may be run there."""


def run_upgrade(args: argparse.Namespace, context: Context) -> int:
    """Plan, show, confirm, run and follow an upgrade."""
    with open_session(context.source(), context.open_store) as session:
        session.wait(has_pools, args.deadline)
        try:
            plan = _plan(args, session)
        except Unknown:
            report_down(session.snapshot)
            raise
        except DriverError as error:
            report_down(session.snapshot)
            print(error, file=sys.stderr)
            return Exit.REFUSED
        return run_plan(args, session, plan)


def _plan(args: argparse.Namespace, session: Session) -> OperationPlan:
    hosts = tuple(name for word in args.hosts for name in word.split(",") if name)
    known_hosts(session.snapshot, hosts)
    choices = named_choices(args, session, _AWAY, hosts)

    def ask() -> OperationPlan:
        asked = session.engine.maintenance.plan_upgrade(
            hosts, args.name, choices, max_out=args.max_out, canary=args.canary
        )
        return asked.result(_PLAN_S)

    plan = ask()
    for choice in _AWAY:
        more = choices_for_all(args, plan, choice)
        if more:
            choices.update(more)
            plan = ask()
    return plan
