"""``novacron preflight VM... --to HOST...``: may these VMs move there, and why not."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from console.evidence import WHOLE_S
from console.headless.context import Context
from console.headless.lists import report_down
from console.headless.session import Unknown, has_pools, known_hosts, open_session
from console.headless.status import Exit
from drivers.model.job import Check, Verdict
from drivers.model.matrix import WORST_FIRST, Cell, Matrix
from screens.format import clean, fit, width_of

_ANSWER_S = WHOLE_S + 10.0
"""Seconds until the engine must have answered: its own limit, and some for a busy machine."""


def run_preflight(args: argparse.Namespace, context: Context) -> int:
    """Print the matrix; 0 where every cell is ok or a warning, 4 where one is blocked."""
    with open_session(context.source(), context.open_store) as session:
        snapshot = session.wait(has_pools, args.deadline)
        try:
            uuids = tuple(session.find(name).uuid for name in args.vm)
            targets = known_hosts(snapshot, args.to or [host.name for host in snapshot.hosts])
        except Unknown:
            report_down(snapshot)
            raise
        matrix = session.engine.preflight(uuids, targets).result(_ANSWER_S)
    if args.json:
        print(json.dumps(matrix_json(matrix), indent=2, ensure_ascii=False))
    else:
        _print(matrix)
    return _status(matrix)


def _status(matrix: Matrix) -> int:
    if blocked := matrix.count(Verdict.BLOCKED):
        print(f"{blocked} blocked.", file=sys.stderr)
        return Exit.REFUSED
    if untested := matrix.count(Verdict.NOT_TESTED):
        print(f"{untested} could not be tested in full.", file=sys.stderr)
        return Exit.FAILED
    return Exit.OK


def matrix_json(matrix: Matrix) -> dict[str, object]:
    """The matrix as plain values; a VM's own host is left out of its row."""
    return {
        "at": matrix.at,
        "targets": list(matrix.targets),
        "rows": [
            {
                "vm": row.vm,
                "uuid": row.uuid,
                "host": row.host,
                "cells": [_cell_json(cell) for cell in row.cells if not cell.here],
            }
            for row in matrix.rows
        ],
    }


def _cell_json(cell: Cell) -> dict[str, object]:
    reasons = cell.fit.reasons if cell.fit else ()
    return {
        "target": cell.target,
        "verdict": str(cell.verdict),
        "mode": cell.fit.mode if cell.fit else "",
        "checks": [{**asdict(check), "verdict": str(check.verdict)} for check in reasons],
    }


def _print(matrix: Matrix) -> None:
    """The table, then each cell that is not plainly ok with what speaks against it."""
    table = [["VM", "FROM", *matrix.targets]]
    table += [
        [row.vm, row.host, *("here" if c.here else str(c.verdict) for c in row.cells)]
        for row in matrix.rows
    ]
    lines = [[clean(word) for word in line] for line in table]
    widths = [max(width_of(line[n]) for line in lines) for n in range(len(lines[0]))]
    for line in lines:
        words = (fit(word, width) for word, width in zip(line, widths, strict=True))
        print("  ".join(words).rstrip())
    for row in matrix.rows:
        for cell in row.cells:
            if cell.fit is not None:
                _print_cell(f"{row.vm} -> {cell.target}: {cell.verdict}", cell.fit.reasons)


def _print_cell(title: str, checks: tuple[Check, ...]) -> None:
    print(f"\n{clean(title)}")
    ranked = sorted(checks, key=lambda check: WORST_FIRST.index(check.verdict))
    for check in ranked:
        if check.verdict is Verdict.OK and check.name != "duration":
            continue
        proof = f"  ({clean(check.proof)})" if check.proof else ""
        print(f"  {check.verdict:<10}  {check.name}: {clean(check.text)}{proof}")
        if check.fix and check.verdict is not Verdict.OK:
            print(f"  {'':<10}  fix: {clean(check.fix)}")
