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
    filterable = True

    entries: reactive[tuple[KeyHelp, ...]] = reactive(())
    """What the help tells."""

    def compose(self) -> ComposeResult:
        """The list."""
        yield LineTable(help_columns(), id="help", placeholder="Nothing passes the filter")

    def watch_view(self, _view: View) -> None:
        """The character set may have changed."""
        self._show()

    def watch_entries(self) -> None:
        """Show other keys."""
        self._show()

    def watch_filter(self) -> None:
        """Show the entries that pass."""
        self._show()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        passing = [e for e in self.entries if self.filter.passes(f"{e.keys} {e.text} {e.ident}")]
        pen = Pen(self.view.now, self.view.ascii)
        self.query_one("#help", LineTable).set_rows(help_rows(passing), pen)
