"""An unknown or changed host key: shown with its fingerprints, refused unless decided."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Label
from textual.widgets.button import ButtonVariant

from drivers.model.ask import HostKeyQuestion, KeyDecision
from screens.dialogs.dialog import Dialog
from screens.format import clean
from screens.prose import BAD, BLANK, HEAD, Para, Prose, para


def key_text(question: HostKeyQuestion) -> list[Para]:
    """The question in words: who, which key, what was known, what it may mean."""
    lines = [
        para(question.host, label="Host         "),
        para(question.address, label="Address      "),
        para(question.algorithm, label="Algorithm    "),
        para(question.fingerprint, HEAD, label="Offered now  "),
    ]
    lines += [para(known, HEAD, label="On record    ") for known in question.known]
    if question.changed:
        warning = (
            "THE HOST KEY HAS CHANGED. Either the host was installed anew, or somebody is "
            "between you and it and would read everything sent. Ask whoever runs the host "
            "before you accept."
        )
        return [para(warning, BAD), BLANK, *lines]
    advice = "Compare with what the host's own console prints: ssh-keygen -lf /etc/ssh/*.pub"
    lines += [BLANK, para("This host is not known yet. " + advice)]
    if question.known_hosts:
        lines += [para(question.known_hosts, label="Remembered keys go to ")]
    return lines


class HostKeyDialog(Dialog[KeyDecision]):
    """Dismisses the decision; Esc and the default button refuse.

    A changed key can be accepted only after typing the host's name.
    """

    def __init__(self, question: HostKeyQuestion) -> None:
        word = "CHANGED host key" if question.changed else "Unknown host key"
        super().__init__(f"{word}: {clean(question.host)}", harsh=question.changed)
        self._question = question
        self._word = clean(question.host).strip() or "yes"

    def compose_body(self) -> ComposeResult:
        """The question."""
        yield Prose(key_text(self._question))

    def compose_form(self) -> ComposeResult:
        """The name to type, for a changed key."""
        if self._question.changed:
            with Horizontal(classes="field"):
                yield Label(Content(f"Type {self._word} to be able to accept:"))
                yield Input(id="typed", placeholder="type here")

    def compose_buttons(self) -> ComposeResult:
        """Refuse first."""
        shut = self._question.changed
        variant: ButtonVariant = "error" if shut else "primary"
        yield Button("Refuse", id="cancel", compact=True)
        yield Button("Accept once", id="once", compact=True, variant=variant, disabled=shut)
        yield Button("Remember", id="remember", compact=True, variant=variant, disabled=shut)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Open the way once the name is right."""
        event.stop()
        for button in ("#once", "#remember"):
            self.query_one(button, Button).disabled = event.value.strip() != self._word

    def choose(self, button: str) -> None:
        """Once, or for good."""
        self.dismiss(KeyDecision.REMEMBER if button == "remember" else KeyDecision.ONCE)

    def action_cancel(self) -> None:
        """Refuse."""
        self.dismiss(KeyDecision.REFUSE)
