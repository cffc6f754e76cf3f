"""One host: how it is reached, how loaded it is, what it is, and its VMs."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from screens.base import View
from screens.binding import bind
from screens.messages import CordonSet, RefreshRequested, ShellRequested, ViewRequested
from screens.render.host_page import page
from screens.render.vms import VmItem, narrowed, vm_columns
from screens.table import LineTable, Order, Pen, Row
from screens.vm_table import VmTableScreen


class HostScreen(VmTableScreen):
    """The page of one host above the table of its VMs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("host.open", "d", "open", "Details", "Open the VM under the cursor"),
        bind("host.shell", "s", "shell", "Shell", "A shell on this host"),
        bind("host.retry", "e", "retry", "Retry", "Connect to this host again now"),
        bind("host.cordon", "u", "cordon", "Cordon",
             "Let no VM move to this host, or let them again"),
        bind("host.drain", "r", "drain", "Drain", "Plan to move every VM off this host"),
        bind("host.scroll-down", "J", "scroll_page(1)", "Page down", "Scroll the host's page"),
        bind("host.scroll-up", "K", "scroll_page(-1)", "Page up", "Scroll the host's page"),
    ]  # fmt: skip
    CSS_PATH = "host.tcss"
    heading = "Host"
    footer = (
        "table.open",
        "host.drain",
        "host.cordon",
        "host.shell",
        "vm.actions",
        "vm.migrate",
        "host.retry",
        "screen.filter",
    )

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host

    def compose(self) -> ComposeResult:
        """The page, then the VMs."""
        with VerticalScroll(id="page", can_focus=False):
            yield Static(id="text", markup=False)
        yield LineTable(vm_columns(with_host=False), order=Order("name"), id="vms")

    def on_resize(self) -> None:
        """Another width may put the groups side by side."""
        self.redraw()

    def show_view(self, view: View) -> None:
        """The page, and the VMs that pass."""
        host = view.snapshot.host(self.host)
        text, table = self.query_one("#text", Static), self.table
        if host is None:
            text.update(f" {self.host} is not in the fleet")
            table.set_rows(())
            return
        content = page(host, view, max(20, self.size.width - 2))
        if text.content != content:
            text.update(content)
        rows = [Row(vm.uuid, VmItem(vm, host)) for vm in host.vms]
        shown = narrowed(rows, self.filter, problems_only=view.problems_only, now=view.now)
        table.placeholder = "No VM passes" if rows else "No VMs known on this host"
        table.set_rows(shown, Pen(view.now, view.ascii))

    def action_cordon(self) -> None:
        """Close this host to new VMs, or open it."""
        closed = any(cordon.host == self.host for cordon in self.view.cordons)
        self.post_message(CordonSet(self.host, not closed))

    def action_drain(self) -> None:
        """The maintenance of this host."""
        self.post_message(ViewRequested("maintenance", self.host))

    def action_shell(self) -> None:
        """A shell on this host."""
        self.post_message(ShellRequested(self.host))

    def action_retry(self) -> None:
        """Try the host again now."""
        self.post_message(RefreshRequested(self.host))

    def action_scroll_page(self, by: int) -> None:
        """Scroll the page above the table."""
        part = self.query_one("#page", VerticalScroll)
        part.scroll_relative(y=by * max(1, part.size.height - 1), animate=False)
