"""The line at the bottom that commands and filters are typed into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static

from screens.binding import bind


class Completer(Suggester):
    """Completes with the first candidate that a function of the text offers."""

    def __init__(self, candidates: Callable[[str], Sequence[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._candidates = candidates

    async def get_suggestion(self, value: str) -> str | None:
        """The first candidate longer than what is typed."""
        return next(
            (c for c in self._candidates(value) if c.startswith(value) and c != value), None
        )


class PromptLine(Input):
    """One line with a leading sign; Enter hands it over, Esc lets go.

    Args:
        lead: The sign, ``:`` or ``/``.
        done: Called once with the text after Enter, or None after Esc.
        typed: Called at every change.
        past: Earlier lines, newest last, for the arrow keys.
        candidates: What Tab completes to.
    """

    DEFAULT_CSS = """
    PromptLine, PromptLine:focus {
        width: 1fr; height: 1; border: none; padding: 0; background: $panel; color: $foreground;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("prompt.cancel", "escape", "cancel", "Cancel", "Close the line, change nothing"),
        bind("prompt.complete", "tab", "complete", "Complete", "Take the completion"),
        bind("prompt.older", "up", "past(-1)", "Older", "The line typed before"),
        bind("prompt.newer", "down", "past(1)", "Newer", "The line typed after"),
    ]  # fmt: skip

    def __init__(
        self,
        lead: str,
        done: Callable[[str | None], None],
        *,
        value: str = "",
        typed: Callable[[str], None] | None = None,
        past: Sequence[str] = (),
        candidates: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        super().__init__(
            value, suggester=Completer(candidates) if candidates else None, select_on_focus=False
        )
        self.compact = True
        self.lead = lead
        self._done = done
        self._typed = typed
        self._past = [*past, value]
        self._place = len(past)
        self.back: Widget | None = None
        """What had the keys before, and gets them back when the line is closed by a key."""

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell what is typed so far."""
        event.stop()
        if self._typed is not None:
            self._typed(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Hand the line over."""
        event.stop()
        self._close(event.value)

    def on_blur(self) -> None:
        """A click elsewhere closes the line as Esc does."""
        if self.is_attached:
            self._close(None)

    def action_cancel(self) -> None:
        """Close without a line."""
        self._close(None)

    def action_complete(self) -> None:
        """Take the completion that is shown."""
        self.action_cursor_right()

    def action_past(self, by: int) -> None:
        """An earlier or later line."""
        self._place = max(0, min(len(self._past) - 1, self._place + by))
        self.value = self._past[self._place]
        self.cursor_position = len(self.value)

    def _close(self, value: str | None) -> None:
        done, self._done = self._done, _nothing
        if self.has_focus and self.back is not None and self.back.is_attached:
            self.screen.set_focus(self.back)
        if isinstance(self.parent, PromptBar):
            self.parent.remove()
        done(value)


def _nothing(_value: str | None) -> None:
    """After the line is closed there is nobody to tell."""


class PromptBar(Horizontal):
    """The prompt with its sign, over the key line."""

    DEFAULT_CSS = """
    PromptBar { dock: bottom; layer: prompt; height: 1; padding: 0 1; background: $panel; }
    PromptBar Static { width: 1; color: $calm; text-style: bold; }
    """

    def __init__(self, prompt: PromptLine) -> None:
        super().__init__(Static(prompt.lead, markup=False), prompt)
