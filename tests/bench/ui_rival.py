"""The same list in Textual's own DataTable, as other consoles show it; started by ``bench_ui``.

Run as ``python -m tests.bench.ui_rival VMS MODE NOTES``. It renews only the rows in view, the
cheapest that a DataTable can do. When busy, their figures change once a second and a VM is renamed
five times a second; when idle, nothing is renewed at all.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

COLUMNS = ("NAME", "HOST", "STATE", "CPU", "MEM", "RD", "WR", "RX", "TX", "AGE")
IN_VIEW = 48


class RivalApp(App[None]):
    """A table of VMs and nothing else."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "move('down')"),
        Binding("k", "move('up')"),
    ]

    def __init__(self, vms: int, mode: str, notes: Path) -> None:
        super().__init__()
        self._vms = vms
        self._busy = mode == "busy"
        self._notes = notes
        self._tick = 0

    def compose(self) -> ComposeResult:
        """The table alone."""
        yield DataTable[str](id="table", cursor_type="row")

    def on_mount(self) -> None:
        """Fill the table, and renew it while busy."""
        table = self._table
        table.add_columns(*((name, name) for name in COLUMNS))
        for n in range(self._vms):
            figures = ("7.0", "1.0G", "1.0M", "2.0M", "1.0K", "1.0K", "now")
            row = (f"vm{n:06d}", f"kvm{n % 100:03d}", "running", *figures)
            table.add_row(*row, key=str(n))
        table.focus()
        if self._busy:
            self.set_interval(1.0, self._renew)
            self.set_interval(0.2, self._rename)

    def action_move(self, way: str) -> None:
        """Move the cursor."""
        (self._table.action_cursor_down if way == "down" else self._table.action_cursor_up)()

    @property
    def _table(self) -> DataTable[str]:
        return self.query_one("#table", DataTable)

    def _renew(self) -> None:
        self._tick += 1
        for n in range(min(IN_VIEW, self._vms)):
            for place, column in enumerate(COLUMNS[3:9]):
                figure = f"{(self._tick * 7 + n + place) % 100:.1f}"
                self._table.update_cell(str(n), column, figure)

    def _rename(self) -> None:
        name = f"aa{self._tick:02d}{int(time.monotonic() * 1000) % 1_000_000:06d}"
        with self._notes.open("a") as notes:
            notes.write(f"event {name} {time.monotonic()}\n")
        self._table.update_cell("0", "NAME", name)


if __name__ == "__main__":
    RivalApp(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])).run()
