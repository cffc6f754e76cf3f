"""Every host in one table, those that want attention first."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from screens.base import FleetScreen, View
from screens.binding import bind
from screens.format import clean, plural
from screens.messages import HostOpened, RefreshRequested, ShellRequested
from screens.render.hosts import host_columns, host_narrowed, host_rows
from screens.table import LineTable, Pen


class HostsScreen(FleetScreen):
    """One row a host."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("hosts.open", "d", "open", "Details", "Open the host under the cursor"),
        bind("hosts.shell", "s", "shell", "Shell", "A shell on the host", show=True),
        bind("hosts.retry", "e", "retry", "Retry", "Connect to this host again now", show=True),
    ]
    DEFAULT_CSS = """
    HostsScreen #caption { height: 1; color: $faint; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    heading = "Hosts"
    filterable = True

    def compose(self) -> ComposeResult:
        """A caption and the table."""
        yield Static(id="caption", markup=False)
        yield LineTable(host_columns(), id="hosts")

    @property
    def table(self) -> LineTable:
        """The table of hosts."""
        return self.query_one("#hosts", LineTable)

    def watch_view(self, _view: View) -> None:
        """Show the newest picture."""
        self._show()

    def watch_filter(self) -> None:
        """Show the rows that pass."""
        self._show()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        view = self.view
        rows = host_rows(view.snapshot, view.trends)
        shown = host_narrowed(rows, self.filter, problems_only=view.problems_only, now=view.now)
        self.table.placeholder = (
            "No host passes the filter" if rows else "Waiting for the first answer of a host"
        )
        self.table.set_rows(shown, Pen(view.now, view.ascii))
        caption = self._caption(len(shown), len(rows))
        static = self.query_one("#caption", Static)
        if static.content != caption:
            static.update(caption, layout=False)

    def _caption(self, shown: int, total: int) -> Content:
        text = plural(total, "host") if shown == total else f"{shown} of {plural(total, 'host')}"
        if self.filter.text:
            text += f"  filter {clean(self.filter.text)}"
        return Content(f" {text}  {self.filter.error}")

    def on_line_table_row_selected(self, event: LineTable.RowSelected) -> None:
        """Open a host."""
        event.stop()
        self.post_message(HostOpened(event.key))

    def action_open(self) -> None:
        """Open the host under the cursor."""
        if (key := self.table.cursor_key) is not None:
            self.post_message(HostOpened(key))

    def action_shell(self) -> None:
        """A shell on the host under the cursor."""
        if (key := self.table.cursor_key) is not None:
            self.post_message(ShellRequested(key))

    def action_retry(self) -> None:
        """Try the host again now."""
        if (key := self.table.cursor_key) is not None:
            self.post_message(RefreshRequested(key))
