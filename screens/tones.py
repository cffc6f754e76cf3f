"""The styles of a table's cells, worked out once for each look."""

from __future__ import annotations

from rich.style import Style
from textual.color import Color, ColorParseError
from textual.widget import Widget

from screens.columns import Cell
from screens.painter import Line


class Tones:
    """Styles of one table under the theme and classes it has now.

    Args:
        table: Has the component classes ``line-table--cursor`` and ``line-table--marked``.
    """

    def __init__(self, table: Widget) -> None:
        self._table = table
        self._known: dict[tuple[str, bool, bool, bool], Style] = {}

    def forget(self) -> None:
        """Another theme, class or focus: work them out again."""
        self._known.clear()

    def style(self, cell: Cell, line: Line) -> Style:
        """How a cell of a line looks."""
        key = (cell.tone, cell.bold, line.under_cursor, line.marked)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._make(*key)
        return found

    def _make(self, tone: str, bold: bool, under_cursor: bool, marked: bool) -> Style:
        table = self._table
        if under_cursor and table.has_focus:
            return table.get_component_rich_style("line-table--cursor")
        style = table.rich_style
        if tone:
            try:
                colour = Color.parse(table.app.theme_variables.get(tone, ""))
            except ColorParseError:
                pass
            else:
                style += Style.from_color(colour.rich_color)
        if marked:
            style += table.get_component_rich_style("line-table--marked", partial=True)
        return style + Style(bold=True) if bold else style
