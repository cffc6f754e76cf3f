"""Text that is read by the same keys as a list is walked through."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll

from screens.binding import bind


class Reading(VerticalScroll, inherit_bindings=False):
    """Scrolls by the keys of a table; who gives a table's key another place does so here too."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("table.down", "j,down", "scroll_down", "Down", "A line down"),
        bind("table.up", "k,up", "scroll_up", "Up", "A line up"),
        bind("table.first", "g,home", "scroll_home", "First", "To the first line"),
        bind("table.last", "G,end", "scroll_end", "Last", "To the last line"),
        bind("table.half-down", "ctrl+d", "half(1)", "Half down", "Half a page down"),
        bind("table.half-up", "ctrl+u", "half(-1)", "Half up", "Half a page up"),
        bind("table.page-down", "pagedown", "page_down", "Page down", "A page down"),
        bind("table.page-up", "pageup", "page_up", "Page up", "A page up"),
    ]

    def action_half(self, direction: int) -> None:
        """Scroll by half of what is in sight."""
        self.scroll_relative(y=direction * max(1, self.size.height // 2), animate=False)
