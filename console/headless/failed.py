"""``novacron jobs failed``, and what an ended job offers: to retry, finish, recover, dismiss it."""

from __future__ import annotations

import argparse
import json

from console.headless.acts import run_plans
from console.headless.progress import say
from console.headless.recorded import iso_time
from console.headless.session import PLAN_DEADLINE_S, Session
from console.headless.status import Exit
from console.headless.tables import print_rows
from console.policy.recovery import DISMISS, FINISH, RECOVER, RETRY
from drivers.model.deadletter import dead_jobs, dead_operations, tried_before
from drivers.model.job import Job, Verdict
from drivers.model.operation import Operation
from store.api import Store

OFFERS = (RETRY, FINISH, RECOVER, DISMISS)
"""What of an ended job can be chosen here; the job says which of them it offers."""

_COLUMNS = ("id", "what", "host", "failed", "why", "evidence", "tried", "now")
_MOST = 10_000


def list_failed(args: argparse.Namespace, store: Store) -> int:
    """Everything that failed for good and was neither tried again nor dismissed, newest first."""
    operations = store.operations.recorded(limit=_MOST)
    jobs = store.jobs(limit=_MOST)
    known = {job.id: job for job in jobs}
    known.update((job.id, job) for job in store.jobs(failed=True, limit=_MOST))
    found = [(o.created_at, _operation(o)) for o in dead_operations(operations)]
    found += [(j.created_at, _job(j, known)) for j in dead_jobs(known.values(), operations)]
    told = [letter for _, letter in sorted(found, key=lambda pair: pair[0], reverse=True)]
    if args.json:
        print(json.dumps(told, indent=2))
        return Exit.OK
    rows = [tuple(_cell(letter[name]) for name in _COLUMNS) for letter in told[: args.limit]]
    print_rows(_COLUMNS, rows)
    return Exit.OK


def decide_job(args: argparse.Namespace, session: Session) -> int:
    """Preview and run what an ended job offers; or dismiss it.

    Raises:
        DriverError: There is no such job, or it offers nothing of the kind.
    """
    followup = session.engine.followup
    if args.verb == "dismiss":
        followup(args.id, DISMISS).result(PLAN_DEADLINE_S)
        say(f"{args.id} is off the list, and stays on record.")
        return Exit.OK
    return run_plans(args, session, followup(args.id, args.verb).result(PLAN_DEADLINE_S))


def finish_operation(args: argparse.Namespace, session: Session) -> int:
    """Preview and run what all jobs of an operation left to finish; what cannot be is told.

    Raises:
        DriverError: No job of it keeps anything, or the operation goes on.
    """
    plans = session.engine.followup(args.id, FINISH).result(PLAN_DEADLINE_S)
    able = tuple(plan for plan in plans if plan.refusal is None)
    for plan in plans if able else ():
        if plan.refusal is not None:
            say(f"{plan.vm_name} is left alone: {plan.refusal}")
    status = run_plans(args, session, able or plans)
    return Exit.FAILED if status == Exit.OK and len(able) < len(plans) else status


def _job(job: Job, known: dict[str, Job]) -> dict[str, object]:
    plan, problem = job.plan, job.problem
    doubts = [c for c in plan.checks if c.verdict is not Verdict.OK]
    return {
        "id": job.id,
        "what": plan.title,
        "host": plan.host,
        "failed": iso_time(job.ended_at),
        "why": problem.what if problem else job.outcome,
        "evidence": [*([problem.proof] if problem and problem.proof else []),
                     *(f"{c.verdict}: {c.text}" for c in doubts)],
        "fix": problem.fix if problem else "",
        "tried": [*(f"{run.state}: {run.step.text}" for run in job.steps),
                  *(f"before, as {j.id}: {j.plan.title}" for j in tried_before(job, known))],
        "now": job.outcome,
        "offers": list(job.followup),
    }  # fmt: skip


def _operation(operation: Operation) -> dict[str, object]:
    plan, problem = operation.plan, operation.problem
    return {
        "id": operation.id,
        "what": f"{plan.kind.value.capitalize()} of {plan.host}",
        "host": plan.host,
        "failed": iso_time(operation.ended_at or operation.created_at),
        "why": problem.what if problem else operation.outcome,
        "evidence": [problem.proof] if problem and problem.proof else [],
        "fix": problem.fix if problem else "",
        "tried": [f"{run.state}: {run.move.verb} {run.move.vm_name}, {run.tries} times; {run.note}"
                  for run in operation.runs if run.tries or run.note],
        "now": operation.outcome,
        "offers": ["retry", "dismiss"],
    }  # fmt: skip


def _cell(value: object) -> object:
    """A list in one cell: its first line, and how many more there are."""
    if not isinstance(value, list):
        return value
    more = f" (+{len(value) - 1})" if len(value) > 1 else ""
    return f"{value[0]}{more}" if value else ""
