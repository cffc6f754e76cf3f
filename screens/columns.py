"""What a table is made of, without the widget: rows, cells, columns, their layout and order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

GAP = 1
"""Blank cells between two columns."""


class Cell(NamedTuple):
    """Text of one cell and the theme variable that colours it (``vm-running``; empty for none)."""

    text: str
    tone: str = ""
    bold: bool = False


class Pen(NamedTuple):
    """What drawing depends on besides the row: the clock for ages, and ASCII only."""

    now: float = 0.0
    ascii: bool = False


class Row(NamedTuple):
    """One row: a key that outlives updates, and the value its columns are rendered from.

    A plain tuple of strings and cells may be the item; a column without ``render`` takes the
    entry at its own position.
    """

    key: str
    item: Any


@dataclass(frozen=True, slots=True)
class Column:
    """One column, rendered from a row's item only while it is visible.

    Attributes:
        width: Cells it likes to have.
        render: Item to cell; None takes the item's entry at this column's position.
        sort: Item to something comparable, None for "not known", which goes last either way.
            Without it the column sorts by its text.
        min_width: Cells it can live with; 0 means ``width``.
        grow: Share of spare cells it takes; 0 takes none.
        priority: Columns of the highest number vanish first when space is short; 0 never does.
        right: Align to the right.
        letter: Capital letter that sorts by this column.
        descending: Sort the largest first at the first press.
    """

    id: str
    title: str
    width: int
    render: Callable[[Any, Pen], Cell | str] | None = None
    sort: Callable[[Any], Any] | None = None
    min_width: int = 0
    grow: int = 0
    priority: int = 0
    right: bool = False
    letter: str = ""
    descending: bool = False

    @property
    def least(self) -> int:
        """Fewest cells it is shown with."""
        return self.min_width or self.width


class Order(NamedTuple):
    """The column a table is sorted by; an empty id keeps the order of the rows as given."""

    column: str = ""
    descending: bool = False


class Slot(NamedTuple):
    """A column's place in the line: its index among all columns, its start and its width."""

    column: Column
    position: int
    start: int
    width: int


def lay_out(columns: Sequence[Column], width: int, margin: int = 0) -> tuple[Slot, ...]:
    """Places for the columns that fit into ``width`` cells after ``margin``.

    Columns of low importance vanish first; then spare cells bring the rest to their preferred
    width, and what is left goes to those that grow.
    """
    room = max(0, width - margin)
    kept = list(enumerate(columns))
    while len(kept) > 1 and sum(c.least + GAP for _, c in kept) - GAP > room:
        worst = max(kept, key=lambda entry: (entry[1].priority, entry[0]))
        if worst[1].priority == 0:
            break
        kept.remove(worst)
    widths = [c.least for _, c in kept]
    spare = room - sum(widths) - GAP * (len(kept) - 1)
    for place, (_, column) in enumerate(kept):
        extra = max(0, min(spare, column.width - widths[place]))
        widths[place] += extra
        spare -= extra
    _share_out(spare, widths, [c.grow for _, c in kept])
    slots, start = [], margin
    for (position, column), cells in zip(kept, widths, strict=True):
        slots.append(Slot(column, position, start, max(0, min(cells, width - start))))
        start += cells + GAP
    return tuple(slot for slot in slots if slot.width > 0)


def _share_out(spare: int, widths: list[int], weights: list[int]) -> None:
    total = sum(weights)
    if spare <= 0 or total == 0:
        return
    given = [spare * weight // total for weight in weights]
    given[weights.index(max(weights))] += spare - sum(given)
    for place, extra in enumerate(given):
        widths[place] += extra


def cell_of(slot: Slot, item: Any, pen: Pen) -> Cell:
    """The cell of one column for one item."""
    render = slot.column.render
    value = item[slot.position] if render is None else render(item, pen)
    return value if isinstance(value, Cell) else Cell(str(value))


@lru_cache(maxsize=65_536)
def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts ``web2`` before ``web10`` and ignores case."""
    return tuple(
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d{1,18})", text.casefold())
        if part
    )


def in_order(rows: Sequence[Row], columns: Sequence[Column], order: Order) -> list[Row]:
    """The rows sorted as asked; rows whose value is not known go last either way."""
    found = next(((n, c) for n, c in enumerate(columns) if c.id == order.column), None)
    if found is None:
        return list(rows)
    position, column = found
    value = column.sort or _by_text(column, position)
    keyed = [(value(row.item), row) for row in rows]
    known = [entry for entry in keyed if entry[0] is not None]
    known.sort(key=_first, reverse=order.descending)
    return [row for _, row in known] + [row for key, row in keyed if key is None]


def _first(entry: tuple[Any, Row]) -> Any:
    return entry[0]


def _by_text(column: Column, position: int) -> Callable[[Any], Any]:
    slot, pen = Slot(column, position, 0, column.width), Pen()
    return lambda item: natural(cell_of(slot, item, pen).text)
