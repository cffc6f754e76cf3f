"""Every key that applies where the help was asked for, every command, and the filter's grammar."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.reactive import reactive

from screens.base import FleetScreen, View
from screens.render.help import KeyHelp, help_columns, help_rows
from screens.table import LineTable, Pen


class HelpScreen(FleetScreen):
    """A list made from the bindings themselves."""

    heading = "Help"
    footer = ("screen.filter", "screen.back")
    filterable = True

    entries: reactive[tuple[KeyHelp, ...]] = reactive(())
    """What the help tells."""

    def compose(self) -> ComposeResult:
        """The list."""
        yield LineTable(help_columns(), id="help", placeholder="Nothing passes the filter")

    def watch_entries(self) -> None:
        """Show other keys."""
        self.redraw()

    def show_view(self, view: View) -> None:
        """The entries that pass the filter."""
        passing = [e for e in self.entries if self.filter.passes(f"{e.keys} {e.text} {e.ident}")]
        self.query_one(LineTable).set_rows(help_rows(passing), Pen(view.now, view.ascii))
