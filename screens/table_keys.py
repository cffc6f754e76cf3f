"""The keys of every table."""

from __future__ import annotations

from textual.binding import BindingType

from screens.binding import bind

TABLE_KEYS: tuple[BindingType, ...] = (
    bind("table.down", "j,down", "move(1)", "Down", "Next row"),
    bind("table.up", "k,up", "move(-1)", "Up", "Previous row"),
    bind("table.first", "g,home", "first", "First", "First row"),
    bind("table.last", "G,end", "last", "Last", "Last row"),
    bind("table.half-down", "ctrl+d", "page(0.5)", "Half down", "Half a page down"),
    bind("table.half-up", "ctrl+u", "page(-0.5)", "Half up", "Half a page up"),
    bind("table.page-down", "pagedown", "page(1)", "Page down", "A page down"),
    bind("table.page-up", "pageup", "page(-1)", "Page up", "A page up"),
    bind("table.open", "enter", "select", "Open", "Open the row under the cursor"),
    bind("table.mark", "space", "mark", "Mark", "Mark the row, or take its mark away"),
    bind(
        "table.mark-range", "ctrl+@,ctrl+space", "mark_range", "Mark range",
        "Mark every row from the last mark to the cursor",
    ),
    bind(
        "table.clear-marks", "ctrl+backslash", "clear_marks", "Clear marks",
        "Take all marks away",
    ),
    bind(
        "table.sort", "o", "next_order", "Sort",
        "Sort by the next column; a capital letter picks one, again turns it round",
    ),
)  # fmt: skip
