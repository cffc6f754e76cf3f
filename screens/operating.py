"""What the screens of operations share: a plan and its choices, and how what runs is steered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.reactive import reactive

from drivers.model.operation import Choice, Operation, OperationPlan, WishVerb
from drivers.model.problem import Problem
from screens.base import FleetScreen
from screens.columns import Column, Pen, Row
from screens.dialogs.confirm import ConfirmDialog
from screens.messages import OperationStarted, OperationSteered
from screens.prose import Para, Prose
from screens.reading import Reading
from screens.render.maintenance import is_old
from screens.table import LineTable

LEAST = 3
"""Lines that the table keeps with few parts, or none."""


class OperationScreen(FleetScreen):
    """How it stands, a table of its parts, and what it all means.

    Attributes:
        parent_id: The operation whose inverse the plan is, empty without one.
    """

    CSS_PATH = "operating.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (140, "-wide")]  # noqa: RUF012 - Textual's type
    columns: ClassVar[tuple[Column, ...]] = ()
    """Columns of the table."""

    plan: reactive[OperationPlan | None] = reactive(None, repaint=False)
    """What would be done."""

    failure: reactive[Problem | None] = reactive(None, repaint=False)
    """Why nothing could be planned."""

    def __init__(self) -> None:
        super().__init__()
        self.parent_id = ""
        self._choices: dict[str, Choice] = {}
        self._asked = False

    def compose(self) -> ComposeResult:
        """How it stands, its parts, and what it all means."""
        yield Prose(id="standing")
        yield LineTable(self.columns, id="parts", placeholder="nothing is planned yet")
        with Reading(id="text"):
            yield Prose(id="told")

    @property
    def table(self) -> LineTable:
        """Its parts."""
        return self.query_one("#parts", LineTable)

    def show_parts(self, rows: Sequence[Row]) -> None:
        """The parts, in no more lines than they take: the rest is for the text."""
        self.table.set_rows(rows, Pen(self.view.now, self.view.ascii))
        self.table.styles.max_height = 1 + max(LEAST, len(rows))

    @property
    def cursor_item(self) -> object:
        """The part under the cursor, None without one."""
        return self.table.cursor_item if self.is_mounted else None

    @property
    def operation(self) -> Operation | None:
        """What is under way and shown here."""
        raise NotImplementedError

    def watch_plan(self) -> None:
        """Another plan."""
        self.redraw()

    def watch_failure(self) -> None:
        """None could be made."""
        self.redraw()

    def on_line_table_row_highlighted(self) -> None:
        """Another part, other keys."""
        self.refresh_bindings()

    @property
    def wants_planning(self) -> bool:
        """Whether nothing runs, and the plan is too old or could not be made."""
        if self.operation is not None:
            return False
        return is_old(self.plan, self.view.now) if self.plan is not None else bool(self.failure)

    def ask_to_run(self, title: str, text: Sequence[Para], *, yes: str, harsh: bool) -> None:
        """Run exactly the plan that is shown, once a person said so."""
        plan = self.plan
        if plan is None:
            return

        def decided(agreed: bool | None) -> None:
            if agreed:
                self.post_message(OperationStarted(plan, self.parent_id))

        self.app.push_screen(ConfirmDialog(title, text, yes=yes, harsh=harsh), decided)

    def steer(self, verb: WishVerb, operation: Operation | None) -> None:
        """Ask something of an operation, the one that a person saw; nothing without one."""
        if operation is not None:
            self.post_message(OperationSteered(operation.id, verb))
