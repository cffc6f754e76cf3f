"""The pre-flight matrix: may these VMs move to those hosts, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.reactive import reactive
from textual.widgets import Static

from drivers.model.job import Action, Verdict
from drivers.model.matrix import Cell, Matrix
from drivers.model.matrix import Row as VmRow
from drivers.model.problem import Problem
from drivers.model.vm import Vm
from screens.acting import VmActionScreen
from screens.base import View
from screens.binding import bind
from screens.columns import Column, Pen
from screens.format import clean
from screens.messages import ActionRequested, MatrixRequested
from screens.prose import Prose, put
from screens.reading import Reading
from screens.render.preflight import (
    caption,
    cell_text,
    matrix_columns,
    matrix_rows,
    names_width,
    of_place,
    room_for,
    window,
)
from screens.render_plan import problem_text
from screens.table import LineTable


class PreflightScreen(VmActionScreen):
    """VMs down, hosts across; the text below is about the cell under the cursor.

    Args:
        arg: VMs and hosts, as ``place_arg`` writes them.
    """

    CSS_PATH = "preflight.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (140, "-wide")]  # noqa: RUF012 - Textual's type
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("preflight.left", "left", "across(-1)", "Left", "The host before"),
        bind("preflight.right", "right", "across(1)", "Right", "The next host"),
        bind("preflight.read", "d", "read", "Read",
             "Give the reasons the whole screen, or not"),
        bind("preflight.again", "e", "again", "Again", "Ask the hosts again now"),
    ]  # fmt: skip

    heading = "Pre-flight"
    footer = (
        "table.open=Plan",
        "preflight.right=Next host",
        "preflight.read",
        "preflight.again",
        "screen.filter",
        "screen.back",
    )
    filterable = True

    matrix: reactive[Matrix | None] = reactive(None, repaint=False)
    """The answer; None until it comes."""

    failure: reactive[Problem | None] = reactive(None, repaint=False)
    """Why there is no answer."""

    chosen: reactive[int] = reactive(0, repaint=False)
    """Number of the host under the cursor, among the matrix's targets."""

    def __init__(self, arg: str) -> None:
        super().__init__()
        self._uuids, self._hosts = of_place(arg)
        self._first = 0

    def compose(self) -> ComposeResult:
        """A caption, the matrix, and the reasons of one cell."""
        yield Static(id="caption", markup=False)
        yield LineTable(id="matrix")
        with Reading(id="text"):
            yield Prose(id="reasons")

    def on_mount(self) -> None:
        """Ask."""
        self.action_again()

    @property
    def table(self) -> LineTable:
        """The matrix."""
        return self.query_one("#matrix", LineTable)

    @property
    def cell(self) -> tuple[VmRow, Cell] | None:
        """The cell under the cursor with its row."""
        row = self.table.cursor_item if self.is_mounted else None
        if not isinstance(row, VmRow) or not 0 <= self.chosen < len(row.cells):
            return None
        return row, row.cells[self.chosen]

    def acted_on(self) -> tuple[Vm, ...]:
        """The marked VMs, else the one under the cursor."""
        if not self.is_mounted:
            return ()
        found = (self.view.snapshot.vm(uuid) for uuid in self.table.chosen)
        return tuple(vm for vm in found if vm is not None)

    def show_view(self, view: View) -> None:
        """The matrix as it was found; only its age changes by itself."""
        matrix, table = self.matrix, self.table
        if matrix is None:
            table.placeholder = "" if self.failure else "Waiting for the hosts' answers"
            put(self.query_one("#caption", Static), caption(None, view.now, 0, 0))
        else:
            names = names_width(matrix, table.size.width)
            room = room_for(table.size.width, names)
            total = len(matrix.targets)
            self._first = window(self.chosen, self._first, room, total)
            columns = matrix_columns(matrix, self._first, room, self.chosen, names)
            if _shape(columns) != _shape(table.columns):
                table.columns = columns
            table.placeholder = "No VM passes the filter" if matrix.rows else "No VM is meant"
            rows = matrix_rows(matrix, self.filter)
            table.set_rows(rows, Pen(view.now, view.ascii))
            table.styles.max_height = 1 + max(3, len(rows))
            told = caption(matrix, view.now, self._first, room)
            put(self.query_one("#caption", Static), told)
        self._show_reasons()

    def watch_matrix(self, matrix: Matrix | None) -> None:
        """Begin where something can be seen: the first host that is not the first VM's own."""
        if matrix is not None and matrix.rows and self.chosen == 0:
            cells = matrix.rows[0].cells
            self.set_reactive(
                PreflightScreen.chosen, next((n for n, c in enumerate(cells) if not c.here), 0)
            )
        self.redraw()

    def watch_failure(self) -> None:
        """Say it."""
        self.redraw()

    def watch_chosen(self) -> None:
        """Another host: another column, other reasons."""
        self.redraw()
        for text in self.query("#text"):
            text.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Other columns fit."""
        self.redraw()

    def on_line_table_row_highlighted(self) -> None:
        """Another VM: its reasons, its keys."""
        self._show_reasons()
        self.refresh_bindings()
        for text in self.query("#text"):
            text.scroll_home(animate=False)

    def on_line_table_row_selected(self, event: LineTable.RowSelected) -> None:
        """Enter plans the migration."""
        event.stop()
        self._plan()

    def _show_reasons(self) -> None:
        if self.failure is not None:
            told = problem_text(self.failure)
        else:
            told = cell_text(*(self.cell or (None, None)))
        self.query_one("#reasons", Prose).paras = tuple(told)

    def _plan(self) -> None:
        """Ask for the plan of every chosen VM that fits there, or say why none does."""
        matrix, here = self.matrix, self.cell
        if matrix is None or here is None:
            return
        row, cell = here
        cells = ((uuid, matrix.cell(uuid, cell.target)) for uuid in self.table.chosen)
        able = tuple(uuid for uuid, one in cells if one and one.fit and one.fit.fits)
        if able:
            self.post_message(ActionRequested(Action.MIGRATE, able, cell.target))
            return
        checks = cell.fit.reasons if cell.fit else ()
        why = next((c.text for c in checks if c.verdict is Verdict.BLOCKED), "it is there already")
        text = f"{clean(row.vm)} to {clean(cell.target)}: {clean(why)}"
        self.notify(text, severity="warning", markup=False)

    def action_across(self, by: int) -> None:
        """Go to another host."""
        if self.matrix is not None:
            self.chosen = max(0, min(self.chosen + by, len(self.matrix.targets) - 1))

    def action_again(self) -> None:
        """Ask once more; the old answer stays until the new one comes."""
        self.failure = None
        self.post_message(MatrixRequested(self._uuids, self._hosts))

    def action_read(self) -> None:
        """Give the reasons the whole screen and the keys, or take both back."""
        reading = not self.has_class("-reading")
        self.set_class(reading, "-reading")
        self.query_one("#text" if reading else "#matrix").focus()

    def action_back(self) -> None:
        """Stop reading; else as on every screen."""
        if self.has_class("-reading"):
            self.action_read()
        else:
            super().action_back()


def _shape(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """What decides how columns are laid out: equal ones need no repainting."""
    return [(column.title, column.width) for column in columns]
