"""Rows on a terminal, or the same rows as JSON or CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from screens.format import clean, rate, size

_SHOWN: dict[str, Callable[[float], str]] = {
    "_bps": rate,
    "_pct": lambda value: f"{value:.1f}%",
    "memory": size,
    "memory_used": size,
    "memory_total": size,
    "memory_available": size,
    "rss": size,
    "capacity": size,
    "allocation": size,
}
"""How a table shows a number, by the end of its column's name; JSON and CSV keep it as it is."""


def print_rows(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    form: str = "table",
    out: TextIO | None = None,
) -> None:
    """Print rows.

    Args:
        columns: Names, used as JSON keys too.
        rows: Cells; None is an empty cell, or null in JSON.
        form: ``table``, ``json`` (a list of objects) or ``csv``.
        out: Where to; standard output unless given.
    """
    stream = out or sys.stdout
    if form == "json":
        objects = [dict(zip(columns, row, strict=True)) for row in rows]
        json.dump(objects, stream, indent=2, default=str, ensure_ascii=False)
        stream.write("\n")
    elif form == "csv":
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    else:
        _table(columns, rows, stream)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]], stream: TextIO) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        title = name.removesuffix("_bps").removesuffix("_pct").replace("_", " ").upper()
        table.add_column(Text(title), justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        cells = (_cell(name, cell) for name, cell in zip(columns, row, strict=True))
        table.add_row(*(Text(cell) for cell in cells))
    width = None if stream.isatty() else 4096
    Console(file=stream, width=width, highlight=False, markup=False).print(table)


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int | float) and not isinstance(value, bool):
        for ending, shown in _SHOWN.items():
            if name.endswith(ending):
                return shown(value)
        return f"{value:.1f}" if isinstance(value, float) else str(value)
    if isinstance(value, tuple | list):
        return ",".join(_cell("", v) for v in value)
    return clean(str(value))
