"""Every VM of every host in one table."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from drivers.model.vm import Vm
from screens.acting import VmActionScreen
from screens.base import View
from screens.binding import bind
from screens.format import clean, clean_block, plural
from screens.messages import ShellRequested, VmOpened
from screens.render.vms import VmRows, narrowed, vm_columns
from screens.table import LineTable, Order, Pen


class VmsScreen(VmActionScreen):
    """One row a VM; marks choose several for an action."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("vms.open", "d", "open", "Details", "Open the VM under the cursor"),
        bind("vms.shell", "s", "shell", "Shell", "A shell on the VM's host", show=True),
        bind("vms.why", "i", "why", "Why -", "Say why values of this VM are missing"),
    ]
    DEFAULT_CSS = """
    VmsScreen #caption { height: 1; color: $faint; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    heading = "VMs"
    filterable = True

    def __init__(self) -> None:
        super().__init__()
        self._source = VmRows()
        self._narrowed = True

    def compose(self) -> ComposeResult:
        """A caption and the table."""
        yield Static(id="caption", markup=False)
        yield LineTable(vm_columns(), order=Order("name"), id="vms")

    @property
    def table(self) -> LineTable:
        """The table of VMs."""
        return self.query_one("#vms", LineTable)

    def acted_on(self) -> tuple[Vm, ...]:
        """The marked VMs, else the one under the cursor."""
        if not self.is_mounted:
            return ()
        table = self.table
        return tuple(item.vm for key in table.chosen if (item := table.item(key)) is not None)

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
        if not self._narrowed and not view.problems_only and not self.filter:
            self._source.take(view.snapshot)
            fresh = self._source.changed
            if fresh is not None and self.table.renew(fresh, Pen(view.now, view.ascii)):
                return
        self._narrowed = view.problems_only or bool(self.filter)
        rows = self._source.of(view.snapshot)
        shown = narrowed(rows, self.filter, problems_only=view.problems_only, now=view.now)
        table = self.table
        table.placeholder = self._nothing(len(rows))
        table.set_rows(shown, Pen(view.now, view.ascii))
        caption = self._caption(len(shown), len(rows))
        static = self.query_one("#caption", Static)
        if static.content != caption:
            static.update(caption, layout=False)

    def _caption(self, shown: int, total: int) -> Content:
        parts = [
            f" {plural(total, 'VM')}" if shown == total else f" {shown} of {plural(total, 'VM')}"
        ]
        if self.filter.text:
            parts.append(
                f"filter {clean(self.filter.text)}"
                + (f" ({self.filter.error})" if self.filter.error else "")
            )
        if self.table.marked:
            parts.append(f"{len(self.table.marked)} marked")
        return Content("  ".join(parts))

    def _nothing(self, total: int) -> str:
        if not self.view.snapshot.hosts:
            return "Waiting for the first answer of a host"
        if total == 0:
            return "No VMs on the hosts that answer"
        return "No VM passes the filter" if self.filter else "No VM wants attention"

    def on_line_table_row_selected(self, event: LineTable.RowSelected) -> None:
        """Open a VM."""
        event.stop()
        self.action_open()

    def on_line_table_row_highlighted(self) -> None:
        """Other actions may apply."""
        self.refresh_bindings()

    def on_line_table_marks_changed(self) -> None:
        """Other actions may apply, and the count in the caption is another."""
        self.refresh_bindings()
        self._show()

    def action_open(self) -> None:
        """Open the VM under the cursor."""
        if (item := self.table.cursor_item) is not None:
            self.post_message(VmOpened(item.vm.uuid))

    def action_shell(self) -> None:
        """A shell on the host of the VM under the cursor."""
        if (item := self.table.cursor_item) is not None:
            self.post_message(ShellRequested(item.host.name))

    def action_why(self) -> None:
        """Say why values are missing."""
        if (item := self.table.cursor_item) is not None:
            lacks = (*item.vm.missing, *item.host.missing)
            text = "\n".join(f"{m.name}: {m.reason}. {m.fix}".strip() for m in lacks)
            self.notify(clean_block(text) or "Nothing is missing", title=clean(item.vm.name),
                        markup=False)  # fmt: skip
