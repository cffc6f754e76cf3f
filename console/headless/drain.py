"""``novacron drain`` and ``novacron return``: the same plan and operation as the screens."""

from __future__ import annotations

import argparse
import sys

from console.config.profiles import named_profile
from console.headless.choices import choices_for_all, named_choices, plan_back, vm_on
from console.headless.context import Context
from console.headless.lists import report_down
from console.headless.operations import WAIT_S, run_plan
from console.headless.session import Session, Unknown, has_pools, known_hosts, open_session
from console.headless.status import Exit
from console.policy.drain.profile import with_profile
from drivers.errors import DriverError
from drivers.model.migration import MoveProfile
from drivers.model.operation import Choice, OperationKind, OperationPlan
from drivers.model.problem import Problem

_AWAY = (Choice.COPY, Choice.MOVE, Choice.SHUTDOWN, Choice.LEAVE)


def run_drain(args: argparse.Namespace, context: Context) -> int:
    """Plan, show, confirm, run and follow a drain."""
    profile = _profile(args, context)
    with open_session(context.source(), context.open_store) as session:
        session.wait(has_pools, args.deadline)
        try:
            plan = _told(_plan(args, session), profile, session)
        except Unknown:
            report_down(session.snapshot)
            raise
        return run_plan(args, session, plan)


def run_return(args: argparse.Namespace, context: Context) -> int:
    """Plan, show, confirm, run and follow the way home."""
    profile = _profile(args, context)
    with open_session(context.source(), context.open_store) as session:
        session.wait(has_pools, args.deadline)
        try:
            known_hosts(session.snapshot, (args.host,))
            plan, parent = plan_back(args, session, OperationKind.RETURN, args.host)
            plan = _told(plan, profile, session)
        except Unknown:
            report_down(session.snapshot)
            raise
        except DriverError as error:
            report_down(session.snapshot)
            print(error, file=sys.stderr)
            return Exit.REFUSED
        return run_plan(args, session, plan, parent)


def _profile(args: argparse.Namespace, context: Context) -> MoveProfile | None:
    """The profile that the command line names.

    Raises:
        Unknown: The fleet file has none of that name.
    """
    if not args.profile:
        return None
    found = named_profile(context.fleet, args.profile)
    if isinstance(found, Problem):
        raise Unknown(f"{found.what}: {found.proof}.", fix=found.fix)
    return MoveProfile(args.profile, found)


def _told(plan: OperationPlan, profile: MoveProfile | None, session: Session) -> OperationPlan:
    return plan if profile is None else with_profile(plan, profile, session.snapshot)


def _plan(args: argparse.Namespace, session: Session) -> OperationPlan:
    known_hosts(session.snapshot, (args.host,))
    pins = {}
    for words in args.to:
        name, equals, host = words.partition("=")
        if not equals:
            raise Unknown(f"--to takes VM=HOST, not {words}.", fix="such as --to web1=kvm2")
        pins[vm_on(session, name, (args.host,)).uuid] = host
    known_hosts(session.snapshot, tuple(pins.values()))
    choices = named_choices(args, session, _AWAY, (args.host,))
    maintenance = session.engine.maintenance
    plan = maintenance.plan_drain(args.host, choices, pins).result(WAIT_S)
    for choice in _AWAY:
        more = choices_for_all(args, plan, choice)
        if more:
            choices.update(more)
            plan = maintenance.plan_drain(args.host, choices, pins).result(WAIT_S)
    return plan
