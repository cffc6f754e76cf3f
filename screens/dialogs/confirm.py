"""A plain yes or no; no is the default."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Button
from textual.widgets.button import ButtonVariant

from drivers.model.job import Action, Job
from screens.dialogs.dialog import Dialog
from screens.format import clean
from screens.prose import Para, Prose, para
from screens.render_job import title_of


class ConfirmDialog(Dialog[bool]):
    """Dismisses True for the second button, else None."""

    def __init__(
        self, title: str, body: Sequence[Para], *, yes: str, no: str = "Cancel", harsh: bool = False
    ) -> None:
        super().__init__(title, harsh=harsh)
        self._body = tuple(body)
        self._yes = yes
        self._no = no

    @classmethod
    def for_stopping(cls, job: Job) -> ConfirmDialog:
        """Asks whether a running job is to be stopped."""
        told = "What is done so far is taken back where that can be; the job then says how things "
        lines = [para(title_of(job), "bold"), para(told + "stand.")]
        if job.plan.request.action is Action.MIGRATE:
            lines.append(para("The VM goes on running where it is."))
        return cls("Stop this job?", lines, yes="Stop the job", no="Let it run")

    def compose_body(self) -> ComposeResult:
        """The question."""
        yield Prose(self._body)

    def compose_buttons(self) -> ComposeResult:
        """No first."""
        yield Button(Content(clean(self._no)), id="cancel", compact=True)
        variant: ButtonVariant = "error" if self._harsh else "primary"
        yield Button(Content(clean(self._yes)), id="yes", compact=True, variant=variant)

    def accept(self) -> None:
        """Yes."""
        self.dismiss(True)
