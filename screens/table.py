"""The table: 10,000 rows by key, with cursor, marks and order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size

from screens import table_messages as said
from screens.columns import Cell, Column, Order, Pen, Row
from screens.lineview import LineView
from screens.ranking import LONG
from screens.table_keys import TABLE_KEYS

__all__ = ["Cell", "Column", "LineTable", "Order", "Pen", "Row"]


class LineTable(LineView, can_focus=True, inherit_bindings=False):
    """Rows by key under a fixed header, with cursor, marks and order.

    Rows are values, given to ``set_rows``; what is drawn of them is up to ``LineView``.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*TABLE_KEYS]

    RowHighlighted: TypeAlias = said.RowHighlighted
    RowSelected: TypeAlias = said.RowSelected
    MarksChanged: TypeAlias = said.MarksChanged
    OrderChanged: TypeAlias = said.OrderChanged

    def __init__(
        self,
        columns: Sequence[Column] = (),
        *,
        order: Order | None = None,
        placeholder: str = "",
        id: str | None = None,  # noqa: A002 - as in every Textual widget
        classes: str | None = None,
    ) -> None:
        super().__init__(columns, order=order, placeholder=placeholder, id=id, classes=classes)
        self._given: Sequence[Row] = ()
        self._anchor: str | None = None
        self._used = False

    # -- what it shows ------------------------------------------------------------------------

    @property
    def rows(self) -> Sequence[Row]:
        """The rows in the order shown."""
        return self._ranking.rows

    @property
    def order(self) -> Order:
        """What the rows are sorted by."""
        return self._order

    @property
    def cursor_key(self) -> str | None:
        """Key of the row under the cursor."""
        return self._ranking.rows[self._cursor].key if self._ranking.rows else None

    @property
    def cursor_item(self) -> Any:
        """Item of the row under the cursor, None when there is no row."""
        return self._ranking.rows[self._cursor].item if self._ranking.rows else None

    @property
    def marked(self) -> tuple[str, ...]:
        """Keys of marked rows, in the order shown."""
        rows, marks = self._ranking.rows, self._marks
        return tuple(row.key for row in rows if row.key in marks) if marks else ()

    @property
    def chosen(self) -> tuple[str, ...]:
        """What an action is about: the marked rows, else the row under the cursor."""
        key = self.cursor_key
        return self.marked or ((key,) if key is not None else ())

    def item(self, key: str) -> Any:
        """Item of the row of that key, None when there is none."""
        place = self._ranking.index.get(key)
        return None if place is None else self._ranking.rows[place].item

    def set_rows(self, rows: Sequence[Row], pen: Pen | None = None) -> None:
        """Show these rows; cursor and marks stay on their keys.

        Until a person moves the cursor it waits on the first row: hosts answer one by one, and
        what wants attention comes up there.

        Args:
            rows: Unique keys, any order; sorted here when an order is set.
            pen: Clock and character set for rendering; the last one when None.
        """
        before = self.cursor_key
        if pen is not None:
            self._pen = pen
        self._given = rows
        self._ranking.arrange(rows, self._columns, self._order)
        if self._marks and not self._marks <= self._ranking.index.keys():
            self._marks &= self._ranking.index.keys()
            self.post_message(self.MarksChanged(self))
        self._settle(before)

    def renew(self, changed: Sequence[Row], pen: Pen) -> bool:
        """Show newer rows of known keys, much cheaper than all of a long list.

        Returns:
            False when that cannot be done now: then give all rows to ``set_rows``.
        """
        if not self._ranking.renew(changed, self._order):
            return False
        self._pen = pen
        self._repaint()
        return True

    def sort_by(self, order: Order) -> None:
        """Sort by another column; the cursor stays on its row."""
        self._order = order
        self.set_rows(self._ranking.rows if len(self._ranking.rows) >= LONG else self._given)
        self.refresh(Region(0, 0, self._width, 1))
        self.post_message(self.OrderChanged(self))

    def move_to(self, key: str) -> bool:
        """Put the cursor on a row, where it stays; False when there is none of that key."""
        place = self._ranking.index.get(key)
        if place is None:
            return False
        self._go(place)
        return True

    def wait_on_top(self) -> None:
        """Put the cursor on the first row, whichever comes there, until a person moves it."""
        self._go(0)
        self._used = False

    def mark(self, keys: Sequence[str]) -> None:
        """Mark exactly these rows."""
        self._marks = set(keys) & self._ranking.index.keys()
        self._repaint()
        self.post_message(self.MarksChanged(self))

    # -- place --------------------------------------------------------------------------------

    def _settle(self, before: str | None) -> None:
        visible = self._in_sight(self._cursor)
        if not self._used:
            self._cursor = 0
        elif before is not None and before in self._ranking.index:
            self._cursor = self._ranking.index[before]
        self._cursor = max(0, min(self._cursor, len(self._ranking.rows) - 1))
        self._fit_height()
        if visible:
            self._show_cursor()
        self._repaint()
        if self.cursor_key != before:
            self.post_message(self.RowHighlighted(self, self.cursor_key))

    def _fit_height(self) -> None:
        wanted = Size(self.virtual_size.width or self._width, len(self._ranking.rows) + 1)
        if wanted != self.virtual_size:
            self.virtual_size = wanted

    def _in_sight(self, place: int) -> bool:
        top = self.scroll_offset.y
        return top <= place < top + max(1, self.size.height - 1)

    def _show_cursor(self) -> None:
        top, height = self.scroll_offset.y, max(1, self.size.height - 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, force=True)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False, force=True)

    def _go(self, place: int) -> None:
        before, self._used = self.cursor_key, True
        self._cursor = max(0, min(place, len(self._ranking.rows) - 1))
        self._show_cursor()
        self._repaint()
        if self.cursor_key != before:
            self.post_message(self.RowHighlighted(self, self.cursor_key))

    # -- handlers -----------------------------------------------------------------------------

    def on_resize(self, _event: events.Resize) -> None:
        """Other columns may fit; the cursor stays in sight."""
        self._relayout()
        self._fit_height()
        self._show_cursor()

    def on_key(self, event: events.Key) -> None:
        """A capital letter sorts by its column, again the other way round."""
        letter = event.character or ""
        column = next((c for c in self._columns if c.letter and c.letter == letter), None)
        if column is not None:
            event.stop()
            event.prevent_default()
            self._turn(column)

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a double click opens, a click on a title sorts."""
        at = event.get_content_offset(self)
        if at is None:
            return
        if at.y == 0:
            slot = next((s for s in self._slots if s.start <= at.x <= s.start + s.width), None)
            if slot is not None:
                self._turn(slot.column)
            return
        place = self.scroll_offset.y + at.y - 1
        if place < len(self._ranking.rows):
            self._go(place)
            if event.chain == 2:
                self.action_select()

    def _turn(self, column: Column) -> None:
        same = self._order.column == column.id
        self.sort_by(Order(column.id, not self._order.descending if same else column.descending))

    # -- actions ------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self._go(self._cursor + by)

    def action_page(self, pages: float) -> None:
        """Move the cursor by pages."""
        self._go(self._cursor + int(pages * max(1, self.size.height - 1)))

    def action_first(self) -> None:
        """Cursor to the first row."""
        self._go(0)

    def action_last(self) -> None:
        """Cursor to the last row."""
        self._go(len(self._ranking.rows) - 1)

    def action_select(self) -> None:
        """Open the row under the cursor."""
        if (key := self.cursor_key) is not None:
            self.post_message(self.RowSelected(self, key))

    def action_mark(self) -> None:
        """Turn the mark of the cursor's row, and go on to the next."""
        if (key := self.cursor_key) is None:
            return
        self._marks ^= {key}
        self._anchor = key
        self._go(self._cursor + 1)
        self._repaint()
        self.post_message(self.MarksChanged(self))

    def action_mark_range(self) -> None:
        """Mark from the last marked row to the cursor."""
        if not self._ranking.rows:
            return
        start = self._ranking.index.get(self._anchor or "", self._cursor)
        low, high = sorted((start, self._cursor))
        self._anchor = self._ranking.rows[self._cursor].key
        self.mark([*self._marks, *(row.key for row in self._ranking.rows[low : high + 1])])

    def action_clear_marks(self) -> None:
        """Take all marks away."""
        self.mark(())

    def action_next_order(self) -> None:
        """Sort by the next column shown."""
        if not self._slots:
            return
        ids = [slot.column.id for slot in self._slots]
        place = ids.index(self._order.column) + 1 if self._order.column in ids else 0
        self._turn(self._slots[place % len(ids)].column)
