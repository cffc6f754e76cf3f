"""The levers of a running migration."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from drivers.model.job import Job
from drivers.model.migration import Lever, LeverOption
from screens.dialogs.confirm import ConfirmDialog
from screens.dialogs.dialog import Dialog
from screens.format import clean, fit
from screens.prose import DIM, Para, Prose, para, say, wrap
from screens.render.cockpit import HARSH, cockpit_text, lever_line
from screens.render_job import title_of

_WORDS = 22


class LeversDialog(Dialog[Lever]):
    """Dismisses the lever to pull or None; those that the guest feels are asked twice."""

    AUTO_FOCUS = "OptionList"

    def __init__(self, job: Job, *, ascii_only: bool = False) -> None:
        super().__init__(f"{clean(title_of(job))}: levers")
        self._job = job
        self._levers = job.progress.levers if job.progress is not None else ()
        self._ascii = ascii_only

    def compose_body(self) -> ComposeResult:
        """The verdict, and what each lever would do."""
        progress = self._job.progress
        lines = cockpit_text(progress, cells=40, plain=self._ascii) if progress is not None else []
        yield Prose([*(para(line.plain) for line in lines)])

    def compose_form(self) -> ComposeResult:
        """One line a lever."""
        yield OptionList(*(self._option(option) for option in self._levers))

    def _option(self, option: LeverOption) -> Option:
        key, words, told = lever_line(option)
        line = Para(say(told, DIM), say(f" {key}  {fit(words, _WORDS)} "))
        return Option(
            Content("\n").join(wrap([line], self.room)),
            id=str(option.lever),
            disabled=bool(option.blocked),
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter chooses."""
        event.stop()
        self._choose(Lever(str(event.option.id)))

    def on_key(self, event: events.Key) -> None:
        """A letter chooses its line."""
        for option in self._levers:
            if event.character == lever_line(option)[0] and not option.blocked:
                event.stop()
                self._choose(option.lever)
                return

    def _choose(self, lever: Lever) -> None:
        if lever not in HARSH:
            self.dismiss(lever)
            return
        option = next(o for o in self._levers if o.lever is lever)
        _, words, told = lever_line(option)

        def decided(yes: bool | None) -> None:
            if yes:
                self.dismiss(lever)

        body = [para(title_of(self._job), "bold"), para(told)]
        asked = ConfirmDialog(f"{words}?", body, yes=words, no="Leave it", harsh=True)
        self.app.push_screen(asked, decided)

    def accept(self) -> None:
        """There is no other button than Cancel."""
        self.dismiss(None)
