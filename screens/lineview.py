"""Lines on Textual's line API under a fixed header: only cells that changed are repainted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip

from screens.columns import Cell, Column, Order, Pen, Slot, lay_out
from screens.format import clean, fit
from screens.painter import GUTTER, Line, changed_slots, line_of, paint_header, paint_line
from screens.ranking import Ranking
from screens.tones import Tones


class LineView(ScrollView):
    """Draws ranked rows with cursor and marks; what moves them is up to a subclass.

    Cells are rendered only while their row is visible. ``_repaint`` compares what each visible
    line shows with what it would show and repaints the differing cells alone.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "line-table--header",
        "line-table--cursor",
        "line-table--marked",
        "line-table--empty",
    }

    DEFAULT_CSS = """
    LineView {
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
        self._ranking = Ranking()
        self._cursor, self._marks = 0, set[str]()
        self._pen = Pen()
        self._slots: tuple[Slot, ...] = ()
        self._painted: dict[int, Line | None] = {}
        self._tones = Tones(self)

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
    def placeholder(self) -> str:
        """Said in place of rows when there are none."""
        return self._placeholder

    @placeholder.setter
    def placeholder(self, text: str) -> None:
        if text != self._placeholder:
            self._placeholder = text
            if not self._ranking.rows:
                self.refresh()

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

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Every line shows another row."""
        self._painted.clear()
        super().watch_scroll_y(old_value, new_value)
