"""The first screen: problems, totals and hosts."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from drivers.model.operation import Operation
from screens.base import FleetScreen, View
from screens.messages import HostOpened, ViewRequested, VmOpened
from screens.render.hosts import host_columns, host_narrowed, host_rows
from screens.render.operations import place_of, running_rows
from screens.render.problems import trouble_columns, trouble_rows, troubles
from screens.render.totals import totals
from screens.render.vms import busiest_rows, vm_columns
from screens.render_event import event_columns, event_rows
from screens.render_job import job_columns
from screens.table import LineTable, Pen, Row

FIXED = 7
"""Lines that header, totals and keys take."""

WORTH = 8
"""Lines from which there is room for more than hosts."""


FRAME = 2
"""Title and heads of a table."""


class FleetView(FleetScreen):
    """Totals with sparklines, then what wants attention, then the hosts.

    Where lines are left under the hosts: the busiest VMs, running jobs and the newest events.
    """

    CSS_PATH = "fleet.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (140, "-wide")]  # noqa: RUF012 - Textual's type
    heading = "Fleet"
    footer = (
        "table.open",
        "screen.filter",
        "app.view-2",
        "app.view-3",
        "app.view-4",
        "app.view-5",
        "app.view-6",
        "app.view-7",
    )
    filterable = True

    def compose(self) -> ComposeResult:
        """Totals, problems, hosts."""
        yield Static(id="totals", markup=False)
        yield _titled(LineTable(trouble_columns(), id="problems"), "Problems")
        yield _titled(LineTable(host_columns(), id="hosts"), "Hosts")
        with Horizontal(id="more"):
            busy = LineTable(vm_columns(), id="busy")
            yield _titled(busy, "Busiest VMs")
            with Vertical():
                yield _titled(LineTable(job_columns(counted=True), id="running"), "Running jobs")
                recent = LineTable(event_columns(), id="recent", placeholder="no events yet")
                yield _titled(recent, "Newest events")

    def on_resize(self) -> None:
        """Sparklines follow the width."""
        self.redraw()

    def show_view(self, view: View) -> None:
        """Totals, problems, hosts, and what there is room for under them."""
        pen = Pen(view.now, view.ascii)
        summary = totals(view, self.size.width)
        top = self.query_one("#totals", Static)
        if top.content != summary:
            top.update(summary, layout=False)
        self._show_problems(view, pen)
        hosts = self.query_one("#hosts", LineTable)
        rows = host_rows(view.snapshot, view.trends, view.cordons)
        hosts.placeholder = "No host passes" if rows else "Waiting for the first answer of a host"
        shown = host_narrowed(rows, self.filter, problems_only=view.problems_only, now=view.now)
        hosts.set_rows(shown, pen)
        self._show_more(view, pen, len(shown))

    def _show_more(self, view: View, pen: Pen, hosts: int) -> None:
        """Use the lines that the hosts leave; few are for what runs, none leave all to hosts."""
        problems = self._height_of_problems(len(self.query_one("#problems", LineTable).rows))
        left = self.size.height - FIXED - problems - (max(1, hosts) + FRAME)
        room = left // 2 if left >= WORTH else max(0, left - FRAME)
        going = running_rows(view.jobs, view.operations, room)
        self.set_class(left >= WORTH, "-roomy")
        self.set_class(left < WORTH and bool(going), "-tight")
        some = left >= WORTH or bool(going)
        self.query_one("#hosts").styles.height = max(1, hosts) + FRAME if some else "1fr"
        running = self.query_one("#running", LineTable)
        running.set_class(not going, "-none")
        running.styles.height = len(going) + FRAME
        running.set_rows(going, pen)
        if left < WORTH:
            return
        busiest = busiest_rows(view.snapshot, left - 2, view.now)
        busy = self.query_one("#busy", LineTable)
        answered = any(host.slow_at for host in view.snapshot.hosts)
        busy.placeholder = "no VM runs" if answered else "Waiting for the first answer of a host"
        _set_newest(busy, busiest, pen)
        newest = event_rows(reversed(view.events[-left:]), view.snapshot)
        _set_newest(self.query_one("#recent", LineTable), newest, pen)

    def _show_problems(self, view: View, pen: Pen) -> None:
        table = self.query_one("#problems", LineTable)
        rows = trouble_rows(troubles(view))
        table.set_rows(rows, pen)
        table.set_class(not rows, "-none")
        height = self._height_of_problems(len(rows))
        if rows and table.styles.height is not None and table.styles.height.value != height:
            table.styles.height = height

    def _height_of_problems(self, count: int) -> int:
        return min(count, max(3, self.size.height // 3)) + 2 if count else 0

    @on(LineTable.RowSelected, "#hosts")
    def _open_host(self, event: LineTable.RowSelected) -> None:
        event.stop()
        self.post_message(HostOpened(event.key))

    @on(LineTable.RowSelected, "#busy")
    def _open_vm(self, event: LineTable.RowSelected) -> None:
        event.stop()
        self.post_message(VmOpened(event.table.cursor_item.vm.uuid))

    @on(LineTable.RowSelected, "#running")
    def _open_jobs(self, event: LineTable.RowSelected) -> None:
        event.stop()
        task = event.table.cursor_item
        place = place_of(task) if isinstance(task, Operation) else ("jobs", "")
        self.post_message(ViewRequested(*place))

    @on(LineTable.RowSelected, "#recent")
    def _open_event(self, event: LineTable.RowSelected) -> None:
        event.stop()
        happened = event.table.cursor_item.event
        if happened.vm:
            self.post_message(VmOpened(happened.vm))
        elif happened.host:
            self.post_message(HostOpened(happened.host))

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


def _titled(table: LineTable, title: str) -> LineTable:
    table.border_title = title
    return table


def _set_newest(table: LineTable, rows: list[Row], pen: Pen) -> None:
    """The cursor stays on top until somebody works in the table."""
    table.set_rows(rows, pen)
    if not table.has_focus:
        table.wait_on_top()
