"""What every screen is given, as one frozen value, and the base class that carries it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from textual.binding import BindingType
from textual.reactive import reactive
from textual.screen import Screen

from drivers.model.event import Event
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import StoreStatus
from drivers.model.job import Job
from drivers.model.operation import Cordon, Operation
from screens.binding import bind
from screens.filtering import Filter, parse_filter
from screens.messages import WentBack
from screens.prompt import PromptBar, PromptLine
from screens.topline import KeyLine, TopLine

_NO_TRENDS: Mapping[str, tuple[float | None, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class View:
    """Everything a screen may show.

    Attributes:
        now: The console's clock, for ages; frozen in tests.
        paused: Polling is paused by the user.
        ascii: Draw with ASCII characters only.
        fleet: Name of the fleet, for the header.
        problems_only: Lists show only what needs attention.
        trends: Recent values for sparklines, oldest first, by ``HOST/METRIC`` with metrics
            ``cpu``, ``memory``, ``net`` and ``io``; the empty host is the whole fleet.
    """

    now: float = 0.0
    snapshot: FleetSnapshot = field(default_factory=FleetSnapshot)
    jobs: tuple[Job, ...] = ()
    operations: tuple[Operation, ...] = ()
    cordons: tuple[Cordon, ...] = ()
    events: tuple[Event, ...] = ()
    store: StoreStatus = field(default_factory=lambda: StoreStatus("off"))
    paused: bool = False
    ascii: bool = False
    fleet: str = ""
    problems_only: bool = False
    trends: Mapping[str, tuple[float | None, ...]] = field(default_factory=lambda: _NO_TRENDS)


class FleetScreen(Screen[None]):
    """A screen that shows ``view``. The App sets it on the screen in front, and on resume.

    The header and the key line are mounted here; a subclass composes what is between them and
    fills it in ``show_view``.
    """

    DEFAULT_CSS = """
    FleetScreen { layers: default prompt; background: $background; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("screen.filter", "slash", "filter", "Filter",
             "Narrow the list: regex, !inverse, -l tag, -f fuzzy"),
        bind("screen.back", "escape", "back", "Back", "Take the filter away, or go back"),
    ]  # fmt: skip

    heading: ClassVar[str] = ""
    """The screen's name in the header."""

    filterable: ClassVar[bool] = False
    """Whether the screen has a list that ``/`` narrows, by ``filter``."""

    footer: ClassVar[tuple[str, ...]] = ("table.open", "screen.filter")
    """Binding ids of the last line, the most important first: where there is no room for all, the
    last ones give way to the help and the way out. ``ID=LABEL`` puts it in other words."""

    view: reactive[View] = reactive(View, always_update=True, repaint=False)
    """What to show now."""

    filter: reactive[Filter] = reactive(Filter, repaint=False)
    """What the list is narrowed to."""

    def on_mount(self) -> None:
        """Put header and key line around what the subclass composed."""
        self.mount(TopLine(), KeyLine(self.footer))

    def _watch_view(self, view: View) -> None:
        self.set_class(view.ascii, "-ascii")
        if not self.app.is_running:
            return
        for top in self.query(TopLine):
            if top.is_mounted:
                top.show(view, self.heading)
        self.redraw()

    def _watch_filter(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Show the view again, once there is something mounted to show it with.

        At the end of the App the parts of a screen are taken away, or never come.
        """
        if self.is_mounted and self.app.is_running:
            self.show_view(self.view)

    def show_view(self, view: View) -> None:
        """Show this view; called at every newer one and at another filter. Never does I/O."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the filter where there is no list."""
        if action == "filter":
            return self.filterable
        return super().check_action(action, parameters)

    async def open_prompt(self, prompt: PromptLine) -> None:
        """Show a prompt over the key line, in place of one that is open.

        Returns once the prompt has the focus: what is typed next belongs to it.
        """
        before = self.focused
        prompt.back = before.back if isinstance(before, PromptLine) else before
        await self.query(PromptBar).remove()
        await self.mount(PromptBar(prompt))
        self.set_focus(prompt)

    async def action_filter(self) -> None:
        """Type a filter; the list follows at each key."""
        before = self.filter

        def type_in(text: str) -> None:
            self.filter = parse_filter(text)

        def done(text: str | None) -> None:
            self.filter = before if text is None else parse_filter(text)
            if self.filter.error:
                self.notify(self.filter.error, severity="warning", markup=False)

        await self.open_prompt(PromptLine("/", done, value=before.text, typed=type_in))

    def action_back(self) -> None:
        """Take the filter away; without one, go back."""
        if self.filter.text:
            self.filter = Filter()
        else:
            self.post_message(WentBack())
