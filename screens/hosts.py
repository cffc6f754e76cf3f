"""Every host in one table, those that want attention first."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from screens.base import FleetScreen, View
from screens.binding import bind
from screens.caption import Caption
from screens.messages import CordonSet, HostOpened, RefreshRequested, ShellRequested, ViewRequested
from screens.render.hosts import host_columns, host_narrowed, host_rows
from screens.render.preflight import place_arg
from screens.render.upgrade import upgrade_arg
from screens.table import LineTable, Pen


class HostsScreen(FleetScreen):
    """One row a host."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("hosts.open", "d", "open", "Details", "Open the host under the cursor"),
        bind("hosts.shell", "s", "shell", "Shell", "A shell on the host"),
        bind(
            "hosts.preflight",
            "p",
            "preflight",
            "Pre-flight",
            "Where the running VMs of the marked hosts may move to, and why not"),
        bind("hosts.retry", "e", "retry", "Retry", "Connect to this host again now"),
        bind("hosts.cordon", "u", "cordon", "Cordon",
             "Let no VM move to this host, or let them again"),
        bind("hosts.drain", "r", "drain", "Drain",
             "Plan to move every VM off this host"),
        bind("hosts.upgrade", "w", "upgrade", "Upgrade",
             "Plan to upgrade the marked hosts one after another, with no VM down"),
    ]  # fmt: skip
    heading = "Hosts"
    footer = (
        "table.open",
        "screen.filter",
        "hosts.drain",
        "hosts.cordon",
        "hosts.upgrade",
        "hosts.shell",
        "hosts.preflight",
        "hosts.retry",
    )
    filterable = True

    def compose(self) -> ComposeResult:
        """A caption and the table."""
        yield Caption()
        yield LineTable(host_columns(), id="hosts")

    @property
    def table(self) -> LineTable:
        """The table of hosts."""
        return self.query_one("#hosts", LineTable)

    def show_view(self, view: View) -> None:
        """The hosts that pass."""
        rows = host_rows(view.snapshot, view.trends, view.cordons)
        shown = host_narrowed(rows, self.filter, problems_only=view.problems_only, now=view.now)
        self.table.placeholder = (
            "No host passes the filter" if rows else "Waiting for the first answer of a host"
        )
        self.table.set_rows(shown, Pen(view.now, view.ascii))
        self.query_one(Caption).count(len(shown), len(rows), "host", self.filter)

    def on_line_table_row_selected(self, event: LineTable.RowSelected) -> None:
        """Open a host."""
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        """Open the host under the cursor."""
        if (key := self.table.cursor_key) is not None:
            self.post_message(HostOpened(key))

    def action_preflight(self) -> None:
        """The matrix of all VMs that run on the marked hosts, against the other hosts."""
        chosen, hosts = self.table.chosen, self.view.snapshot.hosts
        uuids = [vm.uuid for h in hosts if h.name in chosen for vm in h.vms if vm.state.active]
        others = [host.name for host in hosts if host.name not in chosen]
        if uuids and others:
            self.post_message(ViewRequested("preflight", place_arg(uuids, others)))
        else:
            why = "no VM runs there" if others else "there is no other host"
            self.notify(why.capitalize(), severity="warning", markup=False)

    def action_cordon(self) -> None:
        """Close the host under the cursor to new VMs, or open it."""
        if (key := self.table.cursor_key) is not None:
            closed = any(cordon.host == key for cordon in self.view.cordons)
            self.post_message(CordonSet(key, not closed))

    def action_drain(self) -> None:
        """The maintenance of the host under the cursor."""
        if (key := self.table.cursor_key) is not None:
            self.post_message(ViewRequested("maintenance", key))

    def action_upgrade(self) -> None:
        """The upgrade of the marked hosts, in the order shown."""
        chosen = self.table.chosen
        names = [host.name for host in self.view.snapshot.hosts if host.name in chosen]
        if names:
            self.post_message(ViewRequested("upgrade", upgrade_arg(names)))

    def action_shell(self) -> None:
        """A shell on the host under the cursor."""
        if (key := self.table.cursor_key) is not None:
            self.post_message(ShellRequested(key))

    def action_retry(self) -> None:
        """Try the host again now."""
        if (key := self.table.cursor_key) is not None:
            self.post_message(RefreshRequested(key))
