"""``novacron trace``: what a job did, call by call, as a table or for a trace viewer."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version

from console.headless.context import Context
from console.headless.status import Exit
from console.policy.otlp import otlp
from drivers.model.job import Job
from screens.prose import wrap
from screens.render.waterfall import waterfall
from store.api import StoreError

_WIDTH = 100
_CELLS = 40


def run_trace(args: argparse.Namespace, context: Context) -> int:
    """Print the trace of one job of the journal; any beginning of its id that is unique will do."""
    if not context.database.exists():
        print(f"Nothing is recorded yet: there is no {context.database}.", file=sys.stderr)
        return Exit.FAILED
    try:
        store = context.open_store()
        try:
            jobs = [j for j in store.jobs(limit=10_000) if j.id.startswith(args.job)]
        finally:
            store.close()
    except StoreError as error:
        print(error, file=sys.stderr)
        return Exit.FAILED
    exact = [job for job in jobs if job.id == args.job] or jobs
    if len(exact) != 1:
        told = ", ".join(job.id for job in exact[:5]) or "see novacron jobs"
        print(f"{len(exact)} jobs have an id that begins {args.job}: {told}.", file=sys.stderr)
        return Exit.USAGE
    return _otlp(exact[0]) if args.otlp else _show(exact[0])


def _otlp(job: Job) -> int:
    print(json.dumps(otlp((job,), version("novacron")), indent=2))
    return Exit.OK


def _show(job: Job) -> int:
    plain = "utf" not in (sys.stdout.encoding or "").lower()
    ended = job.ended_at or job.started_at or job.created_at
    lines = wrap(waterfall(job, ended, cells=_CELLS, plain=plain), _WIDTH)
    if not lines:
        print(f"{job.id} left no trace.", file=sys.stderr)
        return Exit.FAILED
    for line in lines:
        print(line.plain.rstrip())
    return Exit.OK
