"""Base of the screens that list VMs to act on in one table."""

from __future__ import annotations

from drivers.model.vm import Vm
from screens.acting import VmActionScreen
from screens.messages import VmOpened
from screens.table import LineTable


class VmTableScreen(VmActionScreen):
    """A table of VMs with the id ``vms``; its marks, else its cursor, say what is acted on.

    The items of its rows have the VM as ``vm``. Enter and ``action_open`` open one.
    """

    filterable = True

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

    def on_line_table_row_selected(self, event: LineTable.RowSelected) -> None:
        """Open a VM."""
        event.stop()
        self.action_open()

    def on_line_table_row_highlighted(self) -> None:
        """Other actions may apply."""
        self.refresh_bindings()

    def on_line_table_marks_changed(self) -> None:
        """Other actions may apply."""
        self.refresh_bindings()

    def action_open(self) -> None:
        """Open the VM under the cursor."""
        if (item := self.table.cursor_item) is not None:
            self.post_message(VmOpened(item.vm.uuid))
