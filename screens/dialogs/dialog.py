"""The frame of every dialog: a title, a scrollable body, and buttons with Cancel first."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from screens.base import FleetScreen
from screens.format import clean
from screens.topline import SIMULATED

Result = TypeVar("Result")

WIDEST, BESIDE = 100, 6
"""Cells that the frame has at most, and that border, padding and scroll bar take of them."""

AROUND = 3
"""Lines that the frame takes, and one that shows that there is a screen behind."""


class Dialog(ModalScreen[Result | None], Generic[Result]):
    """A modal question; Esc and Cancel dismiss it with None."""

    CSS_PATH = "dialog.tcss"
    AUTO_FOCUS = "#cancel"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="dialog.cancel", tooltip="Close; nothing is done"),
        Binding(
            "left",
            "app.focus_previous",
            "Back",
            show=False,
            id="dialog.left",
            tooltip="The button before",
        ),
        Binding(
            "right",
            "app.focus_next",
            "Next",
            show=False,
            id="dialog.right",
            tooltip="The button after",
        ),
        Binding(
            "pagedown,ctrl+d",
            "page(1)",
            "Page down",
            show=False,
            id="dialog.page_down",
            tooltip="Scroll the text down",
        ),
        Binding(
            "pageup,ctrl+u",
            "page(-1)",
            "Page up",
            show=False,
            id="dialog.page_up",
            tooltip="Scroll the text up",
        ),
        Binding(
            "down",
            "scroll(1)",
            "Down",
            show=False,
            id="dialog.down",
            tooltip="Scroll the text down a line",
        ),
        Binding(
            "up",
            "scroll(-1)",
            "Up",
            show=False,
            id="dialog.up",
            tooltip="Scroll the text up a line",
        ),
    ]

    def __init__(self, title: str, *, harsh: bool = False) -> None:
        super().__init__()
        self._title = clean(title)
        self._harsh = harsh

    def compose(self) -> ComposeResult:
        """Title, body, extra widgets, buttons."""
        frame = Vertical(id="frame", classes="harsh" if self._harsh else "")
        frame.border_title = self._marked(Content(self._title))
        frame.border_subtitle = Content("Esc cancels")
        with frame:
            with VerticalScroll(id="body", can_focus=False):
                yield from self.compose_body()
            yield from self.compose_form()
            with Horizontal(id="buttons"):
                yield from self.compose_buttons()

    def _marked(self, title: Content) -> Content:
        """``title`` behind the mark of a simulated fleet: the frame may cover the header's own."""
        behind = (s for s in self.app.screen_stack if isinstance(s, FleetScreen))
        if not any(screen.view.snapshot.simulated for screen in behind):
            return title
        return Content.assemble(SIMULATED, " ", title)

    @property
    def plain(self) -> bool:
        """Whether only ASCII characters may be drawn."""
        return self.app.has_class("-ascii")

    @property
    def room(self) -> int:
        """Cells that a line of a list has."""
        return max(20, min(WIDEST, self.app.size.width * 9 // 10) - BESIDE)

    def on_resize(self) -> None:
        """The body gives way first: form and buttons always stay in sight."""
        rest = sum(
            widget.outer_size.height + widget.styles.margin.height
            for widget in self.query("#frame > *")
            if widget.id != "body"
        )
        body = self.query_one("#body", VerticalScroll)
        body.styles.max_height = max(3, self.size.height - rest - AROUND)

    def compose_body(self) -> ComposeResult:
        """What may be long, and scrolls."""
        yield Static("")

    def compose_form(self) -> ComposeResult:
        """What stays in sight between body and buttons."""
        yield from ()

    def compose_buttons(self) -> ComposeResult:
        """Cancel, then what else there is."""
        yield Button("Cancel", id="cancel", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Cancel or accept."""
        event.stop()
        if event.button.id == "cancel":
            self.action_cancel()
        else:
            self.choose(event.button.id or "")

    def choose(self, button: str) -> None:
        """Another button than Cancel was pressed; most dialogs have one and need not ask which."""
        if button:
            self.accept()

    def accept(self) -> None:
        """Dismiss with what was chosen."""
        raise NotImplementedError

    def action_cancel(self) -> None:
        """Dismiss with nothing."""
        self.dismiss(None)

    def action_page(self, direction: int) -> None:
        """Scroll the body by a page."""
        body = self.query_one("#body", VerticalScroll)
        body.scroll_relative(y=direction * max(1, body.size.height - 1), animate=False)

    def action_scroll(self, direction: int) -> None:
        """Scroll the body by a line."""
        self.query_one("#body", VerticalScroll).scroll_relative(y=direction, animate=False)
