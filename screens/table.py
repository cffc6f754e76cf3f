"""The table: 10,000 rows on Textual's line API, repainting only cells that changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from screens import table_messages as said
from screens.columns import Cell, Column, Order, Pen, Row, Slot, lay_out
from screens.format import clean, fit
from screens.painter import GUTTER, Line, changed_slots, line_of, paint_header, paint_line
from screens.ranking import LONG, Ranking
from screens.table_keys import TABLE_KEYS
from screens.tones import Tones

__all__ = ["Cell", "Column", "LineTable", "Order", "Pen", "Row"]


class LineTable(ScrollView, can_focus=True):
    """Rows by key under a fixed header, with cursor, marks and order.

    Rows are values; their cells are rendered only while visible. ``set_rows`` compares what each
    visible line shows with what it would show and repaints the differing cells alone.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*TABLE_KEYS]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "line-table--header",
        "line-table--cursor",
        "line-table--marked",
        "line-table--empty",
    }

    DEFAULT_CSS = """
    LineTable {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        height: 1fr;
        & > .line-table--header { text-style: bold; color: $text-muted; }
        & > .line-table--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
        }
        & > .line-table--marked { text-style: bold; }
        & > .line-table--empty { color: $text-muted; }
        &:nocolor > .line-table--cursor { text-style: reverse; }
    }
    """

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
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._order = order or Order()
        self._placeholder = placeholder
        self._given: Sequence[Row] = ()
        self._ranking = Ranking()
        self._cursor, self._marks = 0, set[str]()
        self._anchor: str | None = None
        self._pen = Pen()
        self._slots: tuple[Slot, ...] = ()
        self._painted: dict[int, Line | None] = {}
        self._tones = Tones(self)

    # -- what it shows ------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, shown or not."""
        return self._columns

    @columns.setter
    def columns(self, columns: Sequence[Column]) -> None:
        self._columns = tuple(columns)
        self._relayout()

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """Columns that fit now."""
        return tuple(slot.column for slot in self._slots)

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

    @property
    def placeholder(self) -> str:
        """Said in place of rows when there are none."""
        return self._placeholder

    @placeholder.setter
    def placeholder(self, text: str) -> None:
        if text != self._placeholder:
            self._placeholder = text
            if not self._ranking.rows:
                self.refresh()

    def item(self, key: str) -> Any:
        """Item of the row of that key, None when there is none."""
        place = self._ranking.index.get(key)
        return None if place is None else self._ranking.rows[place].item

    def set_rows(self, rows: Sequence[Row], pen: Pen | None = None) -> None:
        """Show these rows; cursor and marks stay on their keys.

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
        """Put the cursor on a row; False when there is none of that key."""
        place = self._ranking.index.get(key)
        if place is None:
            return False
        self._go(place)
        return True

    def mark(self, keys: Sequence[str]) -> None:
        """Mark exactly these rows."""
        self._marks = set(keys) & self._ranking.index.keys()
        self._repaint()
        self.post_message(self.MarksChanged(self))

    # -- painting -----------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line of the widget: the header, or the row scrolled to that place."""
        if y == 0:
            return self._header()
        line = self._painted[y] = self._line(y)
        if line is None:
            return self._blank(y)
        strip = paint_line(line, self._slots, self._pen, self._tones.style)
        return strip.adjust_cell_length(self._width, self._tones.style(Cell(""), line))

    def _header(self) -> Strip:
        style = self.get_component_rich_style("line-table--header")
        strip = paint_header(self._slots, self._order, self._pen, style)
        return strip.adjust_cell_length(self._width, style)

    def _blank(self, y: int) -> Strip:
        style = self.rich_style
        if y != 1 or self._ranking.rows or not self._placeholder:
            return Strip.blank(self._width, style)
        style = self.get_component_rich_style("line-table--empty")
        text = fit("  " + clean(self._placeholder), self._width, plain=self._pen.ascii)
        return Strip([Segment(text, style)])

    def _line(self, y: int) -> Line | None:
        place = self.scroll_offset.y + y - 1
        if not 0 <= place < len(self._ranking.rows):
            return None
        row = self._ranking.rows[place]
        return line_of(row, self._slots, self._pen, place == self._cursor, row.key in self._marks)

    def _repaint(self) -> None:
        """Refresh the cells that would come out differently."""
        regions: list[Region] = []
        for y in range(1, self.size.height):
            new = self._line(y)
            if y not in self._painted:
                regions.append(Region(0, y, self._width, 1))
            elif new != self._painted[y]:
                regions.extend(self._differences(y, self._painted[y], new))
                self._painted[y] = new
        if regions:
            self.refresh(*regions)

    def _differences(self, y: int, old: Line | None, new: Line | None) -> list[Region]:
        slots = changed_slots(old, new, self._slots)
        whole = [Region(0, y, self._width, 1)]
        return whole if slots is None else [Region(s.start, y, s.width, 1) for s in slots]

    @property
    def _width(self) -> int:
        return max(0, self.size.width - self.scrollbar_gutter.width)

    def _relayout(self) -> None:
        self._slots = lay_out(self._columns, self._width, GUTTER)
        self._painted.clear()
        self._tones.forget()
        self.refresh()

    def notify_style_update(self) -> None:
        """Another theme or class: forget the colours that were worked out."""
        super().notify_style_update()
        self._tones.forget()
        self._painted.clear()

    # -- place --------------------------------------------------------------------------------

    def _settle(self, before: str | None) -> None:
        visible = self._in_sight(self._cursor)
        if before is not None and before in self._ranking.index:
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
        before = self.cursor_key
        self._cursor = max(0, min(place, len(self._ranking.rows) - 1))
        self._show_cursor()
        self._repaint()
        if self.cursor_key != before:
            self.post_message(self.RowHighlighted(self, self.cursor_key))

    # -- handlers -----------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Every line shows another row."""
        self._painted.clear()
        super().watch_scroll_y(old_value, new_value)

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
