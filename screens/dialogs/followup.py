"""What an ended job, or an operation that failed for good, offers."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from screens.dialogs.dialog import Dialog
from screens.format import clean, fit
from screens.prose import DIM, Prose, block
from screens.render_job import Task, followup_words, offers_of, task_title
from screens.render_plan import problem_text


class FollowupDialog(Dialog[str]):
    """Dismisses the chosen way on (``undo``, ``retry``...) or None."""

    AUTO_FOCUS = "OptionList"

    def __init__(self, task: Task, *, keeps: bool = False) -> None:
        super().__init__(f"{clean(task_title(task))}: what next?")
        self._about = task
        self._offers = offers_of(task, keeps=keeps)

    def compose_body(self) -> ComposeResult:
        """How things stand, then the choices."""
        told = problem_text(self._about.problem) if self._about.problem is not None else []
        told += block(self._about.outcome, label="Now: ") if self._about.outcome else []
        yield Prose(told)

    def compose_form(self) -> ComposeResult:
        """One line a choice."""
        yield OptionList(*(self._option(choice) for choice in self._offers))

    def _option(self, choice: str) -> Option:
        key, words, tip = followup_words(choice, self._about)
        line = Content(f" {key}  {fit(words, 12)} ")
        told = fit(tip, self.room - line.cell_length, plain=self.plain)
        return Option(line + Content.styled(told, DIM), id=choice)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter chooses."""
        event.stop()
        self.dismiss(event.option.id)

    def on_key(self, event: events.Key) -> None:
        """A letter chooses its line."""
        for choice in self._offers:
            if event.character == followup_words(choice)[0]:
                event.stop()
                self.dismiss(choice)
                return

    def accept(self) -> None:
        """There is no other button than Cancel."""
        self.dismiss(None)
