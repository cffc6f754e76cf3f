"""Every VM of every host in one table."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from screens.base import View
from screens.binding import bind
from screens.caption import Caption
from screens.format import clean, clean_block
from screens.messages import ShellRequested, ViewRequested
from screens.render.preflight import place_arg
from screens.render.vms import VmRows, narrowed, vm_columns
from screens.table import LineTable, Order, Pen
from screens.vm_table import VmTableScreen


class VmsScreen(VmTableScreen):
    """One row a VM; marks choose several for an action."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("vms.open", "d", "open", "Details", "Open the VM under the cursor"),
        bind("vms.shell", "s", "shell", "Shell", "A shell on the VM's host"),
        bind(
            "vms.preflight",
            "p",
            "preflight",
            "Pre-flight",
            "Where the marked VMs may move to, and why not",
        ),
        bind("vms.why", "i", "why", "Why -", "Say why values of this VM are missing"),
    ]
    heading = "VMs"
    footer = (
        "table.open",
        "screen.filter",
        "vm.actions",
        "vm.migrate",
        "vm.tier",
        "vm.console",
        "vms.preflight",
        "vms.shell",
    )

    def __init__(self) -> None:
        super().__init__()
        self._source = VmRows()
        self._narrowed = True

    def compose(self) -> ComposeResult:
        """A caption and the table."""
        yield Caption()
        yield LineTable(vm_columns(), order=Order("name"), id="vms")

    def show_view(self, view: View) -> None:
        """The rows that pass; of a long list whose VMs are the same, only the newer rows."""
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
        marked = len(table.marked)
        more = (f"{marked} marked",) if marked else ()
        self.query_one(Caption).count(len(shown), len(rows), "VM", self.filter, *more)

    def _nothing(self, total: int) -> str:
        if not self.view.snapshot.hosts:
            return "Waiting for the first answer of a host"
        if total == 0:
            return "No VMs on the hosts that answer"
        return "No VM passes the filter" if self.filter else "No VM wants attention"

    def on_line_table_marks_changed(self) -> None:
        """Other actions may apply, and the count in the caption is another."""
        super().on_line_table_marks_changed()
        self.redraw()

    def action_shell(self) -> None:
        """A shell on the host of the VM under the cursor."""
        if (item := self.table.cursor_item) is not None:
            self.post_message(ShellRequested(item.host.name))

    def action_preflight(self) -> None:
        """The matrix of the marked VMs, else of the one under the cursor, against all hosts."""
        uuids = tuple(vm.uuid for vm in self.acted_on())
        if uuids:
            self.post_message(ViewRequested("preflight", place_arg(uuids)))

    def action_why(self) -> None:
        """Say why values are missing."""
        if (item := self.table.cursor_item) is not None:
            lacks = (*item.vm.missing, *item.host.missing)
            text = "\n".join(f"{m.name}: {m.reason}. {m.fix}".strip() for m in lacks)
            self.notify(clean_block(text) or "Nothing is missing", title=clean(item.vm.name),
                        markup=False)  # fmt: skip
