"""``novacron trace``: what a job or operation did, call by call; also for a trace viewer."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version

from console.headless.context import Context
from console.headless.recorded import with_store
from console.headless.status import Exit
from console.policy.otlp import otlp, otlp_operation
from drivers.model.job import Job
from drivers.model.operation import Operation
from drivers.model.operation_trace import whole_trace
from screens.prose import Para, wrap
from screens.render.waterfall import span_lines, waterfall
from store.api import Store

_WIDTH = 100
_CELLS = 40


def run_trace(args: argparse.Namespace, context: Context) -> int:
    """Print the trace of one job or operation; a beginning of its id that is unique will do."""
    return with_store(context, lambda store: _of(args, store))


def _of(args: argparse.Namespace, store: Store) -> int:
    jobs = store.jobs(limit=10_000)
    known: list[Job | Operation] = [*store.operations.recorded(limit=10_000), *jobs]
    found = [one for one in known if one.id.startswith(args.job)]
    exact = [one for one in found if one.id == args.job] or found
    if len(exact) != 1:
        told = ", ".join(one.id for one in exact[:5]) or "see novacron jobs"
        count = len(exact) or "No"
        what = f"{count} jobs or operations have an id that begins {args.job}"
        print(f"{what}: {told}.", file=sys.stderr)
        return Exit.USAGE
    (one,) = exact
    if args.otlp:
        ours = version("novacron")
        told_as = otlp((one,), ours) if isinstance(one, Job) else otlp_operation(one, jobs, ours)
        print(json.dumps(told_as, indent=2))
        return Exit.OK
    return _show(one.id, _lines(one, jobs))


def _lines(one: Job | Operation, jobs: list[Job]) -> list[Para]:
    plain = "utf" not in (sys.stdout.encoding or "").lower()
    if isinstance(one, Job):
        ended = one.ended_at or one.started_at or one.created_at
        return waterfall(one, ended, cells=_CELLS, plain=plain)
    spans = whole_trace(one, jobs)
    ends = [s.ended_at or s.started_at for s in spans]
    last = one.ended_at or max([one.created_at, *ends])
    return span_lines(spans, one.created_at, last, cells=_CELLS, plain=plain)


def _show(ident: str, paras: list[Para]) -> int:
    lines = wrap(paras, _WIDTH)
    if not lines:
        print(f"{ident} left no trace.", file=sys.stderr)
        return Exit.FAILED
    for line in lines:
        print(line.plain.rstrip())
    return Exit.OK
