"""``novacron history`` and ``novacron sql``: what is on record."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from console.config.load import specs_of
from console.config.schema import duration
from console.headless.context import Context
from console.headless.status import Exit
from console.headless.tables import print_rows
from drivers.model.history import HOST_METRICS, VM_METRICS, HistoryQuery
from drivers.scratch import Scratch
from store.api import Store, StoreError


def moment(text: str, now: float) -> float:
    """Epoch seconds of ``1h`` (that long ago), or of an ISO date and time.

    Without a zone it is local time, as for ``date`` and ``journalctl``.

    Raises:
        ValueError: It is neither.
    """
    try:
        return now - float(str(duration(text)))
    except ValueError:
        stamp = datetime.fromisoformat(text)
    try:
        return stamp.timestamp()
    except OverflowError as error:
        raise ValueError(str(error)) from error


def metrics_of(words: Iterable[str], known: Sequence[str]) -> list[str]:
    """The metrics that words such as ``cpu,mem`` name, each once; a beginning is enough.

    Raises:
        ValueError: No metric is called so, or several begin so; the text is that word.
    """
    found: list[str] = []
    for word in (part for text in words for part in text.split(",") if part):
        meant = [word] if word in known else [name for name in known if name.startswith(word)]
        if len(meant) != 1:
            raise ValueError(word)
        found += meant
    return list(dict.fromkeys(found))


def run_history(args: argparse.Namespace, context: Context) -> int:
    """Print or export metrics of VMs or hosts; 2 for a name that none of them ever had."""
    now = time.time()
    kind = "vm" if args.vm else "host"
    known = VM_METRICS if args.vm else HOST_METRICS
    try:
        metrics = metrics_of(args.metric, known)
    except ValueError as error:
        print(f"No {kind} metric is called {error}. There are: {', '.join(known)}.",
              file=sys.stderr)  # fmt: skip
        return Exit.USAGE
    try:
        since, until = moment(args.since, now), moment(args.until, now)
    except ValueError:
        print('Expected a time such as "1h" or "2026-05-01T12:00".', file=sys.stderr)
        return Exit.USAGE
    idents = list(dict.fromkeys(args.vm or args.host))

    def ask(store: Store) -> int:
        recorded = {word for pair in store.names(kind) for word in pair}
        absent = [i for i in idents if i not in recorded and i.lower() not in recorded]
        strange = [ident for ident in absent if ident not in _configured(context, kind)]
        if strange:
            what = "VM" if kind == "vm" else "host"
            where = f"on record in {context.database}, or in the fleet file"
            print(f"No {what} called {', '.join(strange)} is {where}.", file=sys.stderr)
            print(f"See: novacron sql 'from {kind}s'", file=sys.stderr)
            return Exit.USAGE
        for ident in absent:
            print(f"Nothing was ever recorded of {ident}.", file=sys.stderr)
        queries = [
            HistoryQuery(kind, ident, metric, since, until, args.points)
            for ident in idents
            if ident not in absent
            for metric in metrics
        ]
        return _show(store, queries, args) if queries else Exit.OK

    return with_store(context, ask)


def _configured(context: Context, kind: str) -> frozenset[str]:
    """Names in the fleet file."""
    if kind == "vm":
        return frozenset(context.fleet.vms)
    return frozenset(spec.name for spec in specs_of(context.fleet))


def run_sql(args: argparse.Namespace, context: Context) -> int:
    """Run one read-only statement over the recorded views."""

    def ask(store: Store) -> int:
        table = store.sql(args.statement, limit=args.limit, timeout_s=args.deadline)
        form = "json" if args.json else "csv" if args.csv else "table"
        print_rows(table.columns, table.rows, form=form)
        if table.truncated:
            print(f"Cut at {args.limit} rows: say --limit for more.", file=sys.stderr)
        return Exit.OK

    return with_store(context, ask)


def with_store(context: Context, ask: Callable[[Store], int]) -> int:
    """Ask what is on record, if anything is; the exit status."""
    if not context.database.exists():
        print(f"Nothing is recorded yet: there is no {context.database}.", file=sys.stderr)
        return Exit.FAILED
    try:
        store = context.open_store()
    except StoreError as error:
        print(error, file=sys.stderr)
        return Exit.FAILED
    try:
        return ask(store)
    except StoreError as error:
        print(error, file=sys.stderr)
        return Exit.FAILED
    finally:
        store.close()


def _show(store: Store, queries: Sequence[HistoryQuery], args: argparse.Namespace) -> int:
    if args.parquet or args.csv:
        form = "parquet" if args.parquet else "csv"
        return _export(store, queries, args.parquet or args.csv, form)
    rows: list[tuple[object, ...]] = []
    for query in queries:
        series = store.history(query)
        told = zip(series.times, series.means, series.maxima, strict=True)
        rows += [(series.label, query.metric, iso_time(t), mean, peak) for t, mean, peak in told]
        if not series.times:
            print(f"Nothing is recorded of {query.ident} {query.metric} in that range.",
                  file=sys.stderr)  # fmt: skip
    columns = (queries[0].kind, "metric", "time", "mean", "max")
    print_rows(columns, rows, form="json" if args.json else "table")
    return Exit.OK


def _export(store: Store, queries: Sequence[HistoryQuery], target: str, kind: str) -> int:
    """Write every sample to a file, or through a passing one to standard output."""
    if target != "-":
        written = store.export(queries, Path(target))
        print(f"{written} rows written to {target}.", file=sys.stderr)
        return Exit.OK
    if kind == "parquet" and sys.stdout.isatty():
        print("Parquet is not for a terminal: name a file, or redirect.", file=sys.stderr)
        return Exit.USAGE
    with Scratch(large=True).passing() as folder:
        path = folder / f"samples.{kind}"
        store.export(queries, path)
        sys.stdout.buffer.write(path.read_bytes())
        sys.stdout.flush()
    return Exit.OK


def iso_time(at: float | None) -> str | None:
    """Local time with its distance from UTC."""
    return None if at is None else datetime.fromtimestamp(at).astimezone().isoformat("T", "seconds")
