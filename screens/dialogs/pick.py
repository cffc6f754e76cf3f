"""One of many, found by typing a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Button, Input, OptionList
from textual.widgets.option_list import Option

from screens.binding import bind
from screens.dialogs.dialog import Dialog
from screens.filtering import parse_filter
from screens.format import clean, plural

MOST = 200
"""Lines shown at once; more would be slow to list and too many to look through."""

FEW = 9
"""Up to so many lines are seen at a glance: what is typed finds a line instead of narrowing."""


class PickDialog(Dialog[str]):
    """Dismisses the key of the chosen line or None.

    The filter speaks the grammar of the lists; arrows move in the list while it has the focus.
    A short list has none: what is typed finds the line with a word that begins so, and j and k move
    as arrows do where they begin none.
    """

    AUTO_FOCUS = "#wanted"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("pick.down", "down,j", "move(1)", "Down", "The next line"),
        bind("pick.up", "up,k", "move(-1)", "Up", "The line before"),
    ]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__(title)
        self._choices = tuple((key, clean(label)) for key, label in choices)
        self._typed = ""

    def compose_body(self) -> ComposeResult:
        """The list."""
        yield OptionList(id="choices")

    def compose_form(self) -> ComposeResult:
        """The filter of a list that is not seen at a glance."""
        if len(self._choices) > FEW:
            yield Input(id="wanted", placeholder="type to narrow, arrows to move, Enter to choose")

    def compose_buttons(self) -> ComposeResult:
        """Cancel, then choose."""
        yield from super().compose_buttons()
        yield Button("Choose", id="choose", compact=True, variant="primary")

    def on_mount(self) -> None:
        """Everything, at first."""
        self._list("")
        if len(self._choices) <= FEW:
            self.query_one("#choices").focus()

    def _list(self, wanted: str) -> None:
        test = parse_filter(wanted)
        found = [(key, label) for key, label in self._choices if test.passes(label)]
        options = [Option(Content(f" {label}"), id=key) for key, label in found[:MOST]]
        if len(found) > MOST:
            more = plural(len(found) - MOST, "more line")
            options.append(Option(Content.styled(f" {more}: type to narrow", "$faint"),
                                  disabled=True))  # fmt: skip
        if not found:
            none = f" nothing fits {clean(wanted)}" if wanted else " there is nothing to choose"
            options.append(Option(Content.styled(none, "$faint"), disabled=True))
        choices = self.query_one("#choices", OptionList)
        choices.clear_options()
        choices.add_options(options)
        choices.highlighted = 0 if found else None

    def on_key(self, event: events.Key) -> None:
        """What is typed finds a line, where there is no filter to type into."""
        if self.query("#wanted") or not event.character or not event.is_printable:
            return
        for typed in (self._typed + event.character, event.character):
            found = self._line(typed.casefold())
            if found is not None:
                event.stop()
                self._typed = typed
                self.query_one("#choices", OptionList).highlighted = found
                return

    def _line(self, typed: str) -> int | None:
        """The first line that begins so, or else the first with a word that does."""
        labels = [label.casefold() for _, label in self._choices]
        begins = (n for n, label in enumerate(labels) if label.startswith(typed))
        inside = (n for n, label in enumerate(labels) if f" {typed}" in label)
        return next(begins, next(inside, None))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow."""
        event.stop()
        self._list(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter chooses the line under the cursor."""
        event.stop()
        self.accept()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """So does Enter or a click in the list."""
        event.stop()
        self.dismiss(event.option.id)

    def action_move(self, step: int) -> None:
        """Move in the list while typing."""
        self._typed = ""
        choices = self.query_one("#choices", OptionList)
        if step > 0:
            choices.action_cursor_down()
        else:
            choices.action_cursor_up()

    def accept(self) -> None:
        """Dismiss with the line under the cursor."""
        choices = self.query_one("#choices", OptionList)
        if choices.highlighted is not None:
            self.dismiss(choices.get_option_at_index(choices.highlighted).id)
