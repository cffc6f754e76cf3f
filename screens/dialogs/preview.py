"""Exactly what would be done, its checks and its virsh lines, before anything is done."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Label

from drivers.model.job import Confirm, Plan
from screens.actions import entry
from screens.dialogs.dialog import Dialog
from screens.format import clean
from screens.prose import Prose
from screens.render_plan import bulk_text, confirm_word, plan_text, preview_title, strictest


class PreviewDialog(Dialog[bool]):
    """Shows one plan in full, or many summed up; dismisses True to run those not refused.

    What cannot be undone needs the VM's name typed (``Confirm.TYPED``); a refused plan can only be
    read and closed.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._plans = tuple(plans)
        self._able = tuple(plan for plan in self._plans if plan.refusal is None)
        self._confirm = strictest(self._plans)
        self._word = confirm_word(self._plans)
        super().__init__(preview_title(self._plans), harsh=self._is_harsh())

    def _is_harsh(self) -> bool:
        typed = self._confirm is Confirm.TYPED
        return typed or any(entry(plan.request.action).harsh for plan in self._able)

    def compose_body(self) -> ComposeResult:
        """The plan, or the summary."""
        one = len(self._plans) == 1
        yield Prose(plan_text(self._plans[0]) if one else bulk_text(self._plans))

    def compose_form(self) -> ComposeResult:
        """The name to type, where one is asked for."""
        if self._able and self._confirm is Confirm.TYPED:
            with Horizontal(classes="field"):
                yield Label(Content(f"This cannot be undone. Type {self._word} to confirm:"))
                yield Input(id="typed", placeholder="type here", select_on_focus=False)

    def compose_buttons(self) -> ComposeResult:
        """Cancel first; no second button where nothing can run."""
        if not self._able:
            yield Button("Close", id="cancel", compact=True)
            return
        yield Button("Cancel", id="cancel", compact=True)
        plan = self._able[0]
        yield Button(
            Content(clean(plan.label or entry(plan.request.action).label)),
            id="run",
            compact=True,
            disabled=self._confirm is Confirm.TYPED,
            variant="error" if self._is_harsh() else "primary",
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        """Open the way once the name is right."""
        event.stop()
        self.query_one("#run", Button).disabled = event.value.strip() != self._word

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the field moves on to the button; it does not press it."""
        event.stop()
        if event.value.strip() == self._word:
            self.query_one("#run", Button).focus()

    def accept(self) -> None:
        """Run."""
        self.dismiss(True)
