"""``novacron audit``: who did what, and whether the ledger is as it was written."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

from console.headless.context import Context
from console.headless.status import Exit
from console.headless.tables import print_rows
from drivers.model.audit import Deed, Entry
from screens.format import clean
from store.api import StoreError
from store.ledger import Finding, Ledger, ledger_path
from store.plain import to_plain

_COLUMNS = ("entry", "time", "who", "from", "deed", "what", "hosts", "state", "outcome", "job")


def run_audit(args: argparse.Namespace, context: Context) -> int:
    """List the ledger, or verify it; exit status 1 when a fault is found."""
    ledger = Ledger(ledger_path(context.database))
    try:
        return _verify(ledger, context, args) if args.verb == "verify" else _show(ledger, args)
    except StoreError as error:
        print(error, file=sys.stderr)
        return Exit.FAILED


def _show(ledger: Ledger, args: argparse.Namespace) -> int:
    found = list(ledger.entries())
    if args.limit:
        found = found[-args.limit :]
    if args.json:
        for entry in found:  # JSON lines, as the file has them
            print(json.dumps(to_plain(entry), sort_keys=True))
    else:
        print_rows(_COLUMNS, [_row(entry) for entry in found])
    return Exit.OK


def _row(entry: Entry) -> tuple[object, ...]:
    when = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds")
    actor = entry.actor
    who = actor.name if actor.name == actor.user else f"{actor.name} as {actor.user}"
    return (
        entry.seq, when, who, actor.origin or actor.terminal or actor.machine, str(entry.deed),
        entry.title, entry.hosts, entry.state, entry.outcome, entry.job,
    )  # fmt: skip


def _verify(ledger: Ledger, context: Context, args: argparse.Namespace) -> int:
    verified = ledger.verify()
    findings = [*verified.findings, *_unlisted(ledger, context)]
    if args.json:
        told = {
            "entries": verified.entries,
            "newest": verified.newest,
            "sound": not findings,
            "findings": [to_plain(f) for f in findings],
        }
        print(json.dumps(told, indent=2))
        return Exit.FAILED if findings else Exit.OK
    for finding in findings:
        place = f"line {finding.line}: " if finding.line else ""
        proof = f" ({clean(finding.proof)})" if finding.proof else ""
        print(f"{place}{finding.what}{proof}", file=sys.stderr)
    faults = f"{len(findings)} fault{'s' if len(findings) > 1 else ''} in"
    state = faults if findings else "No change, gap or reorder in"
    print(f"{state} {verified.entries} entries of {ledger.path}.")
    print(f"Newest hash: {verified.newest}")
    return Exit.FAILED if findings else Exit.OK


def _first_operation(ledger: Ledger) -> float | None:
    """Since when operations are on the ledger: their entries tell a plan and no single VM."""
    times = (e.at for e in ledger.entries() if e.deed is Deed.BEGUN and e.plan and not e.vm)
    return min(times, default=None)


def _unlisted(ledger: Ledger, context: Context) -> list[Finding]:
    """Jobs and operations on record that the ledger should tell of and does not."""
    if not context.database.exists():
        return []
    # What is only asked of a job or operation tells neither a VM nor a plan.
    entries = [e for e in ledger.entries() if e.deed is Deed.BEGUN and (e.vm or e.plan)]
    begun = {entry.job: entry.at for entry in entries}
    first = min(begun.values(), default=None)
    store = context.open_store()
    try:
        jobs = store.jobs(limit=10_000)
        operations = store.operations.recorded(limit=10_000)
    finally:
        store.close()
    since = _first_operation(ledger)
    told = [
        Finding(0, f"the history has operation {o.id}, the ledger does not", o.outcome)
        for o in operations
        if o.id not in begun and since is not None and o.created_at >= since
    ]
    return told + [
        Finding(0, f"the journal has job {job.id}, the ledger does not", job.plan.title)
        for job in jobs
        if job.id not in begun and job.steps and (first is None or job.created_at >= first)
    ]
