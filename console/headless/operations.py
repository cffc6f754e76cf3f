"""``novacron jobs`` and ``cordon``: what is under way, and what takes no VMs."""

from __future__ import annotations

import argparse
import json
import sys

from console.headless.acts import answered_yes
from console.headless.choices import plan_back, targets_of
from console.headless.context import Context
from console.headless.failed import OFFERS, decide_job, finish_operation, list_failed
from console.headless.progress import OperationWatch, print_plan, say
from console.headless.recorded import iso_time, with_store
from console.headless.session import Session, Unknown, has_pools, known_hosts, open_session
from console.headless.status import Exit
from console.headless.tables import print_rows
from console.headless.upgrade_words import stage_line
from console.jobs.runner import NoSuchJob
from console.policy.recovery import DISMISS, FINISH, RECOVER, RETRY, UNDO
from drivers.errors import Busy, DriverError, Refused
from drivers.model.job import Job
from drivers.model.operation import Operation, OperationKind, OperationPlan, OperationState
from screens.format import clean
from screens.render.operations import keeping
from store.api import Store
from store.plain import to_plain

_COLUMNS = (
    "id", "action", "vm", "host", "state", "created", "ended", "owner", "outcome", "next",
)  # fmt: skip
_PLANNED = (UNDO, RETRY, FINISH, RECOVER)
"""Verbs of jobs that show a plan first."""

WAIT_S = 30.0
"""How long an answer of the engine may take."""


def run_jobs(args: argparse.Namespace, context: Context) -> int:
    """List jobs and operations, show one, or steer an operation."""
    if args.verb == "list":
        return _list(args, context)
    if args.verb == "failed":
        return with_store(context, lambda store: list_failed(args, store))
    if not args.id:
        print(f"Say which: novacron jobs {args.verb} ID", file=sys.stderr)
        return Exit.USAGE
    if args.dry_run and args.verb not in _PLANNED:
        print(
            f"novacron jobs {args.verb} makes no plan, so there is no --dry-run.", file=sys.stderr
        )
        return Exit.USAGE
    if args.verb == "show":
        return _show(args, context)
    with open_session(context.source(), context.open_store) as session:
        session.wait(has_pools, args.deadline)
        return _steer(args, session)


def _list(args: argparse.Namespace, context: Context) -> int:
    def ask(store: Store) -> int:
        operations, jobs = store.operations.recorded(), store.jobs(limit=args.limit)
        keeps = keeping(jobs, operations)
        rows = [(o.created_at, _operation_row(o, keeps=o.id in keeps)) for o in operations]
        rows += [(j.created_at, _job_row(j)) for j in jobs]
        newest = sorted(rows, key=lambda row: row[0], reverse=True)[: args.limit]
        print_rows(_COLUMNS, [row for _, row in newest], form="json" if args.json else "table")
        return Exit.OK

    return with_store(context, ask)


def _job_row(job: Job) -> tuple[object, ...]:
    return (
        job.id, str(job.plan.request.action), job.plan.vm_name, job.plan.host, str(job.state),
        iso_time(job.created_at), iso_time(job.ended_at), job.owner,
        job.outcome or str(job.problem or ""), ", ".join(job.followup),
    )  # fmt: skip


def _operation_row(operation: Operation, *, keeps: bool) -> tuple[object, ...]:
    plan = operation.plan
    return (
        operation.id, str(plan.kind), "", plan.host, str(operation.state),
        iso_time(operation.created_at), iso_time(operation.ended_at), operation.owner,
        f"{operation.outcome} {operation.problem or ''}".strip(), FINISH if keeps else "",
    )  # fmt: skip


def _show(args: argparse.Namespace, context: Context) -> int:
    def ask(store: Store) -> int:
        operation = next((o for o in store.operations.recorded() if o.id == args.id), None)
        if operation is not None:
            if args.json:
                print(json.dumps(to_plain(operation), indent=2))
            else:
                _print_operation(operation)
            return Exit.OK
        job = next((j for j in store.jobs(limit=1000) if j.id == args.id), None)
        if job is None:
            return _no_such(args)
        if args.json:
            print(json.dumps(to_plain(job), indent=2))
        else:
            print(clean(f"{job.plan.title}: {job.state}. {job.outcome}"))
            if job.problem is not None:
                print(clean(f"  {job.problem}"))
            for run in job.steps:
                print(clean(f"  {run.state:<11} {run.step.text} {run.note}"))
            if job.followup:
                print(f"  next: {', '.join(job.followup)}")
        return Exit.OK

    return with_store(context, ask)


def _print_operation(operation: Operation) -> None:
    print(clean(f"{operation.plan.kind} of {operation.plan.host}: {operation.state}, "
                f"asked for by {operation.actor}"))  # fmt: skip
    print(clean(f"  {operation.outcome}"))
    if operation.problem is not None:
        print(clean(f"  {operation.problem}"))
    for stage in operation.stages:
        print(f"  {stage_line(stage)}")
    for run in operation.runs:
        move = run.move
        where = f"{move.source} > {move.target}" if move.source != move.target else move.source
        print(clean(f"  {run.state:<8} {move.verb} {move.vm_name}  {where}  {run.note}"))


def _steer(args: argparse.Namespace, session: Session) -> int:
    maintenance = session.engine.maintenance
    known = {o.id: o for o in maintenance.recorded().result(WAIT_S)}
    if args.verb in OFFERS:
        return _decide(args, session, known.get(args.id))
    if args.id not in known:
        print(f"There is no operation {args.id}; see novacron jobs.", file=sys.stderr)
        return Exit.USAGE
    if args.verb == "undo":
        plan, parent = plan_back(args, session, OperationKind.UNDO, args.id)
        return run_plan(args, session, plan, parent)
    try:
        _ask(args, session, known[args.id])
    except Unknown:
        raise
    except DriverError as error:
        say(f"Refused: {error}")
        return Exit.REFUSED
    if args.verb == "pause":
        say(f"{args.id} begins nothing more; novacron jobs resume {args.id} goes on.")
        return Exit.OK
    return follow(args, session, args.id)


def _ask(args: argparse.Namespace, session: Session, operation: Operation) -> None:
    """Pause, resume, skip or cancel it; DriverError when it cannot be."""
    maintenance = session.engine.maintenance
    if args.verb == "resume":
        targets = targets_of(args, operation)
        known_hosts(session.snapshot, tuple(targets.values()))
        for uuid, host in targets.items():
            maintenance.retarget(args.id, uuid, host).result(WAIT_S)
        maintenance.resume(args.id).result(WAIT_S)
    elif args.verb == "pause":
        maintenance.pause(args.id).result(WAIT_S)
    elif args.verb == "skip":
        maintenance.skip(args.id).result(WAIT_S)
    else:
        maintenance.cancel(args.id).result(WAIT_S)


def _decide(args: argparse.Namespace, session: Session, operation: Operation | None) -> int:
    """Do what an ended job offers; try an operation that failed again, or let it rest."""
    try:
        if operation is None:
            return decide_job(args, session)
        if args.verb == FINISH:
            return finish_operation(args, session)
        if args.verb not in (RETRY, DISMISS):
            say(f"{args.id} is an operation: novacron jobs resume {args.id} goes on.")
            return Exit.REFUSED
        if args.verb == DISMISS:
            session.engine.maintenance.dismiss(args.id).result(WAIT_S)
            say(f"{args.id} is off the list, and stays on record.")
            return Exit.OK
        if operation.state.ended:
            say(f"{args.id} has ended; plan it anew: novacron {operation.plan.kind} ...")
            return Exit.REFUSED
        session.engine.maintenance.resume(args.id).result(WAIT_S)
    except NoSuchJob:
        return _no_such(args)
    except DriverError as error:
        say(f"Refused: {error}")
        return Exit.REFUSED
    return follow(args, session, args.id)


def _no_such(args: argparse.Namespace) -> int:
    print(f"There is no job or operation {args.id}; see novacron jobs.", file=sys.stderr)
    return Exit.USAGE


def run_plan(
    args: argparse.Namespace, session: Session, plan: OperationPlan, parent: str = ""
) -> int:
    """Show a plan, ask, run and follow it."""
    dry = getattr(args, "dry_run", False)
    print_plan(plan, as_json=args.json and (dry or plan.refusal is not None))
    if plan.refusal is not None or plan.undecided:
        return Exit.REFUSED
    if dry:
        _tell_held(session, plan)
        return Exit.OK
    if not args.yes and not answered_yes():
        say("Nothing was done.")
        return Exit.REFUSED
    try:
        operation_id = session.engine.maintenance.start(plan, parent).result(WAIT_S)
    except (Busy, Refused) as error:
        say(f"Refused: {error}")
        return Exit.REFUSED
    return follow(args, session, operation_id)


def _tell_held(session: Session, plan: OperationPlan) -> None:
    """Say which hosts of a plan another console works on: it could not begin now."""
    try:
        holders = session.engine.maintenance.leases().result(WAIT_S)
    except (DriverError, TimeoutError) as error:
        say(f"Who works on these hosts could not be asked: {error}")
        return
    for host in sorted(set(plan.hosts) & set(holders)):
        say(f"{host} is being worked on by another console, this could not begin now: "
            f"{clean(holders[host])}")  # fmt: skip


def follow(args: argparse.Namespace, session: Session, operation_id: str) -> int:
    """Follow an operation to its end, and say how it ended."""
    watch = OperationWatch(as_json=args.json)
    operation, interrupted = session.follow_operation(operation_id, watch)
    if operation.state is OperationState.PAUSED:
        why = f" {operation.problem}" if operation.problem else ""
        say(f"Paused.{why} Go on with: novacron jobs resume {operation_id}")
        return Exit.INTERRUPTED if interrupted else Exit.FAILED
    return Exit.OK if operation.state is OperationState.DONE else Exit.FAILED


def run_cordon(args: argparse.Namespace, context: Context) -> int:
    """Close a host to new VMs, open it again, or list what is closed."""
    if not args.host:
        return with_store(context, lambda store: _cordons(args, store))
    with open_session(context.source(), context.open_store) as session:
        snapshot = session.wait(lambda _host: True, args.deadline)
        known_hosts(snapshot, (args.host,))
        maintenance = session.engine.maintenance
        if args.command == "cordon":
            maintenance.cordon(args.host, args.reason).result(WAIT_S)
            say(f"{args.host} takes no VMs until it is uncordoned.")
        elif maintenance.uncordon(args.host).result(WAIT_S):
            say(f"{args.host} takes VMs again.")
        else:
            say(f"{args.host} is not cordoned: nothing was changed.")
    return Exit.OK


def _cordons(args: argparse.Namespace, store: Store) -> int:
    rows = [(c.host, iso_time(c.since), c.by, c.reason) for c in store.operations.cordons()]
    columns = ("host", "since", "by", "reason")
    print_rows(columns, rows, form="json" if args.json else "table")
    return Exit.OK
