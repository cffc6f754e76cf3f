"""The help's rows, made from bindings: what is not bound is not in the help."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from screens.columns import Cell, Column, Row

SECTIONS = ("This screen", "Lists", "Everywhere", "Commands", "Filter")


class KeyHelp(NamedTuple):
    """One action: where it applies, its keys, what it does, and the id that remaps it."""

    section: str
    keys: str
    text: str
    ident: str = ""


FILTER_HELP: tuple[KeyHelp, ...] = (
    KeyHelp("Filter", "/web.*1", "rows whose text matches the regular expression"),
    KeyHelp("Filter", "/!web", "rows that do not match"),
    KeyHelp("Filter", "/-l prod,eu", "rows with all of these tags"),
    KeyHelp("Filter", "/-f wb1", "rows with these letters in this order"),
)


def help_columns() -> tuple[Column, ...]:
    """Columns of the help."""
    return (
        Column("section", "WHERE", 12, lambda h, _p: Cell(h.section, "faint")),
        Column("keys", "KEYS", 24, lambda h, _p: Cell(h.keys, "calm", True), min_width=14),
        Column("text", "WHAT", 60, lambda h, _p: Cell(h.text), min_width=44, grow=1),
        Column("ident", "ID FOR REMAPPING", 18, lambda h, _p: Cell(h.ident, "faint"), priority=1),
    )


def help_rows(found: Iterable[KeyHelp]) -> list[Row]:
    """Rows in the order of sections."""
    ordered = sorted(found, key=lambda entry: SECTIONS.index(entry.section))
    return [Row(f"{n}", entry) for n, entry in enumerate(ordered)]
