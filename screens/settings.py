"""What a person may choose: theme and character set."""

from __future__ import annotations

from typing import NamedTuple

from textual.app import ComposeResult
from textual.reactive import reactive

from screens.base import FleetScreen, View
from screens.messages import SettingChosen, ThemeChosen
from screens.table import Cell, Column, LineTable, Pen, Row


class Choice(NamedTuple):
    """One line: a setting's value that can be taken by Enter, or something to know.

    Attributes:
        name: ``theme``, ``ascii``, or another word that only informs.
        value: What Enter chooses.
        used: It is in use now.
    """

    name: str
    value: str
    text: str = ""
    used: bool = False


def choice_columns() -> tuple[Column, ...]:
    """Columns of the settings."""
    return (
        Column("name", "SETTING", 10, lambda c, _p: Cell(c.name, "faint")),
        Column("used", "USED", 5, lambda c, _p: Cell("yes" if c.used else "", "good", True)),
        Column("value", "VALUE", 26, lambda c, _p: Cell(c.value), min_width=18),
        Column("text", "WHAT IT MEANS", 40, lambda c, _p: Cell(c.text), min_width=20, grow=1),
    )


class SettingsScreen(FleetScreen):
    """Enter takes the choice under the cursor; it is kept across starts."""

    heading = "Settings"
    footer = ("table.open=Choose", "screen.back")

    choices: reactive[tuple[Choice, ...]] = reactive(())
    """What can be chosen."""

    def compose(self) -> ComposeResult:
        """The list."""
        yield LineTable(choice_columns(), id="settings")

    def watch_choices(self) -> None:
        """Show what is in use now."""
        self.redraw()

    def show_view(self, view: View) -> None:
        """The choices, in the character set of now."""
        rows = [Row(f"{c.name}/{c.value}", c) for c in self.choices]
        self.query_one(LineTable).set_rows(rows, Pen(view.now, view.ascii))

    def on_line_table_row_selected(self, event: LineTable.RowSelected) -> None:
        """Take the choice under the cursor."""
        event.stop()
        choice = event.table.cursor_item
        if choice.name == "theme":
            self.post_message(ThemeChosen(choice.value))
        elif choice.name == "ascii":
            self.post_message(SettingChosen(choice.name, choice.value))
