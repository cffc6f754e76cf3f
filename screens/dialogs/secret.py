"""A password, a passphrase or one-time codes, asked for by a server."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Label

from drivers.model.ask import SecretQuestion
from screens.dialogs.dialog import Dialog
from screens.format import clean
from screens.prose import DIM, Para, Prose, block, para


def secret_text(question: SecretQuestion) -> list[Para]:
    """Who asks, in the server's own words."""
    lines = [para(question.host, label="Host  ", label_style=DIM)]
    return lines + (block(question.text, label="Says  ") if question.text.strip() else [])


class SecretInput(Input):
    """A field that hides what is typed, by stars where dots are not ASCII."""

    @property
    def _value(self) -> Text:
        shown = super()._value
        plain = self.password and self.app.has_class("-ascii")
        return Text("*" * len(self.value), no_wrap=True, end="") if plain else shown


class SecretDialog(Dialog[tuple[str, ...]]):
    """Dismisses one answer a field, or None. Answers live in the fields alone."""

    AUTO_FOCUS = "Input"

    def __init__(self, question: SecretQuestion) -> None:
        super().__init__(question.title or "Password")
        self._question = question

    def compose_body(self) -> ComposeResult:
        """Who asks."""
        yield Prose(secret_text(self._question))

    def compose_form(self) -> ComposeResult:
        """A field a prompt; hidden unless the server says that it may be seen."""
        for number, (prompt, echo) in enumerate(self._question.fields):
            with Horizontal(classes="field"):
                yield Label(Content(clean(prompt).strip() or "Answer:"))
                yield SecretInput(id=f"field-{number}", password=not echo)

    def compose_buttons(self) -> ComposeResult:
        """Cancel, then send."""
        yield from super().compose_buttons()
        yield Button("Send", id="send", compact=True, variant="primary")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on to the next field, and from the last sends."""
        event.stop()
        fields = list(self.query(Input))
        place = fields.index(event.input)
        if place + 1 < len(fields):
            fields[place + 1].focus()
        else:
            self.accept()

    def accept(self) -> None:
        """Dismiss with the answers and empty the fields."""
        fields = list(self.query(Input))
        answers = tuple(field.value for field in fields)
        self._forget()
        self.dismiss(answers)

    def action_cancel(self) -> None:
        """Dismiss with nothing and empty the fields."""
        self._forget()
        self.dismiss(None)

    def _forget(self) -> None:
        for field in self.query(Input):
            with field.prevent(Input.Changed):
                field.value = ""
