"""The first screen: problems, totals and hosts."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from screens.base import FleetScreen, View
from screens.messages import HostOpened, ViewRequested, VmOpened
from screens.render.hosts import host_columns, host_narrowed, host_rows
from screens.render.problems import trouble_columns, trouble_rows, troubles
from screens.render.totals import totals
from screens.table import LineTable, Pen


class FleetView(FleetScreen):
    """Totals with sparklines, then what wants attention, then the hosts."""

    CSS_PATH = "fleet.tcss"
    heading = "Fleet"
    filterable = True

    def compose(self) -> ComposeResult:
        """Totals, problems, hosts."""
        yield Static(id="totals", markup=False)
        yield LineTable(trouble_columns(), id="problems")
        yield LineTable(host_columns(), id="hosts")

    def watch_view(self, _view: View) -> None:
        """Show the newest picture."""
        self._show()

    def watch_filter(self) -> None:
        """Show the rows that pass."""
        self._show()

    def on_resize(self) -> None:
        """Sparklines follow the width."""
        self._show()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        view, pen = self.view, Pen(self.view.now, self.view.ascii)
        summary = totals(view, self.size.width)
        top = self.query_one("#totals", Static)
        if top.content != summary:
            top.update(summary, layout=False)
        self._show_problems(view, pen)
        hosts = self.query_one("#hosts", LineTable)
        rows = host_rows(view.snapshot, view.trends)
        hosts.placeholder = "No host passes" if rows else "Waiting for the first answer of a host"
        shown = host_narrowed(rows, self.filter, problems_only=view.problems_only, now=view.now)
        hosts.set_rows(shown, pen)

    def _show_problems(self, view: View, pen: Pen) -> None:
        table = self.query_one("#problems", LineTable)
        rows = trouble_rows(troubles(view))
        table.set_rows(rows, pen)
        table.set_class(not rows, "-none")
        height = min(len(rows), max(3, self.size.height // 3)) + 2
        if rows and table.styles.height is not None and table.styles.height.value != height:
            table.styles.height = height

    @on(LineTable.RowSelected, "#hosts")
    def _open_host(self, event: LineTable.RowSelected) -> None:
        event.stop()
        self.post_message(HostOpened(event.key))

    @on(LineTable.RowSelected, "#problems")
    def _open_problem(self, event: LineTable.RowSelected) -> None:
        event.stop()
        trouble = event.table.cursor_item
        if trouble.vm:
            self.post_message(VmOpened(trouble.vm))
        elif trouble.host:
            self.post_message(HostOpened(trouble.host))
        elif trouble.view:
            self.post_message(ViewRequested(trouble.view))
