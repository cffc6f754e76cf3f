"""From rows to strips: how a table's header and lines are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from screens.columns import Cell, Order, Pen, Row, Slot, cell_of
from screens.format import ascii_only, clean, fit

GUTTER = 2
"""Cells at the left for the cursor's and the mark's sign: both show without colour."""


class Line(NamedTuple):
    """All that decides how one line looks; equal lines need no repainting."""

    key: str
    cells: tuple[Cell, ...]
    under_cursor: bool
    marked: bool


StyleOf = Callable[[Cell, Line], Style]


def line_of(row: Row, slots: Sequence[Slot], pen: Pen, under_cursor: bool, marked: bool) -> Line:
    """Render a row's visible cells; nothing in them can steer the terminal."""
    cells = tuple(_safe(cell_of(slot, row.item, pen), pen) for slot in slots)
    return Line(row.key, cells, under_cursor, marked)


def _safe(cell: Cell, pen: Pen) -> Cell:
    text = clean(cell.text)
    if pen.ascii:
        text = ascii_only(text)
    return cell if text is cell.text else cell._replace(text=text)


def paint_line(line: Line, slots: Sequence[Slot], pen: Pen, style_of: StyleOf) -> Strip:
    """Signs for cursor and mark, then the cells, each cut or padded to its width."""
    blank = style_of(Cell(""), line)
    sign = (">" if pen.ascii else "▌") if line.under_cursor else " "
    segments = [Segment(sign + ("*" if line.marked else " "), blank)]
    edge = GUTTER
    for slot, cell in zip(slots, line.cells, strict=True):
        if slot.start > edge:
            segments.append(Segment(" " * (slot.start - edge), blank))
        text = fit(cell.text, slot.width, right=slot.column.right, plain=pen.ascii)
        segments.append(Segment(text, style_of(cell, line)))
        edge = slot.start + slot.width
    return Strip(segments)


def paint_header(slots: Sequence[Slot], order: Order, pen: Pen, style: Style) -> Strip:
    """Titles, with an arrow at the column that orders the rows."""
    segments = [Segment(" " * GUTTER, style)]
    for slot in slots:
        title = slot.column.title
        if slot.column.id == order.column:
            arrow = "^v"[order.descending] if pen.ascii else "▲▼"[order.descending]
            title = f"{title[: max(1, slot.width - 1)]}{arrow}"
        text = fit(title, slot.width, right=slot.column.right, plain=pen.ascii)
        segments.append(Segment(text + " ", style))
    return Strip(segments)


def changed_slots(
    old: Line | None, new: Line | None, slots: Sequence[Slot]
) -> Sequence[Slot] | None:
    """The slots whose cells differ; None when the whole line does."""
    if old is None or new is None or len(old.cells) != len(slots):
        return None
    if old.under_cursor != new.under_cursor or old.marked != new.marked:
        return None
    return [slot for slot, was, now in zip(slots, old.cells, new.cells, strict=True) if was != now]
