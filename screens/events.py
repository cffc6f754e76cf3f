"""Events of the whole fleet, of one host or of one VM, as far back as they are recorded."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from drivers.model.event import Event, EventKind, EventQuery, Severity
from screens.base import FleetScreen, View
from screens.binding import bind
from screens.columns import Pen
from screens.dialogs.pick import PickDialog
from screens.format import clean, plural
from screens.messages import EventsRequested, HostOpened, VmOpened
from screens.paging import Pages
from screens.prose import Prose, put
from screens.reading import Reading
from screens.render_event import (
    EventItem,
    end_text,
    event_columns,
    event_rows,
    event_text,
    moment,
    picked,
)
from screens.table import LineTable

_NEXT = {Severity.INFO: Severity.WARN, Severity.WARN: Severity.ERROR, Severity.ERROR: Severity.INFO}
_LEVELS = {Severity.INFO: "all levels", Severity.WARN: "warnings and errors",
           Severity.ERROR: "errors only"}  # fmt: skip


Page = tuple[EventQuery, tuple[Event, ...] | None]


class EventsScreen(FleetScreen):
    """Newest first; on the newest the cursor follows, on the oldest held it reads on.

    Older events are asked for by ``EventsRequested``; the answer is set as ``page``.
    """

    CSS_PATH = "events.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("events.level", "w", "level", "Level", "All, warnings and errors, or errors only"),
        bind("events.kind", "t", "kind", "Kind", "Events of one kind, or of all"),
        bind("events.host", "h", "host", "Host", "Only the host of the event under the cursor"),
        bind("events.all", "a", "everything", "All", "Events of everything, not of one VM or host"),
        bind("events.vm", "v", "vm", "VM", "Open the event's VM or host"),
        bind("events.older", "p", "older", "Older", "Read older events from the history"),
        bind("events.follow", "f", "follow", "Follow", "Keep the newest event under the cursor"),
    ]  # fmt: skip

    heading = "Events"
    footer = (
        "screen.filter",
        "events.level",
        "events.kind",
        "events.host",
        "events.vm",
        "events.older",
        "events.all",
        "events.follow",
    )
    filterable = True

    about: reactive[str] = reactive("")
    """A VM's UUID or a host's name; empty for everything."""

    kind: reactive[EventKind | None] = reactive(None)
    """The one kind shown; None for all."""

    least: reactive[Severity] = reactive(Severity.INFO)
    """Lowest severity shown."""

    following: reactive[bool] = reactive(True)
    """Whether the cursor stays on the newest event."""

    page: reactive[Page | None] = reactive(None, init=False, always_update=True)
    """An answer to ``EventsRequested``: what was asked, and the events, newest first; None for
    events that could not be read."""

    def __init__(self, about: str = "") -> None:
        super().__init__()
        self.set_reactive(EventsScreen.about, about)
        self._pages = Pages()

    def compose(self) -> ComposeResult:
        """What is shown, the table, and the whole of one event."""
        yield Static(id="scope", markup=False)
        yield LineTable(event_columns(), id="events")
        with Reading(id="text"):
            yield Prose(id="detail")

    def watch_about(self) -> None:
        """Another VM, host, or everything."""
        self.redraw()

    def watch_kind(self) -> None:
        """Another kind."""
        self.redraw()

    def watch_least(self) -> None:
        """Another severity."""
        self.redraw()

    def watch_following(self) -> None:
        """Follow or stay."""
        self.redraw()

    def watch_page(self) -> None:
        """Older events came."""
        if self.page is not None:
            self._pages.take_page(*self.page)
            self.redraw()

    def on_line_table_row_highlighted(self, event: LineTable.RowHighlighted) -> None:
        """Another event: on the newest the cursor follows, on the oldest older ones are read."""
        table = event.table
        if table.rows and not table.order.column:
            self.following = table.cursor_key == table.rows[0].key
            if not self.following and table.cursor_key == table.rows[-1].key:
                self.action_older()
        self._show_text()

    def on_line_table_row_selected(self) -> None:
        """Enter opens what the event is about."""
        self.action_vm()

    def show_view(self, view: View) -> None:
        """The events that pass; where they leave lines empty, older ones are asked for."""
        least = self._least
        self._pages.use(self.about, self.kind, least)
        self._pages.take_news(view.events)
        held = self._pages.events
        shown = picked(held, self.filter, about=self.about, least=least, kind=self.kind)
        table = self.query_one("#events", LineTable)
        table.placeholder = "no event passes" if held else "no events yet"
        table.set_rows(event_rows(shown, view.snapshot), Pen(view.now, view.ascii))
        if self.following and table.rows and not table.order.column:
            table.wait_on_top()
        put(self.query_one("#scope", Static), self._scope(len(shown)))
        self._show_text()
        room = len(shown) < table.size.height - 1
        if view.now and room and not self.filter.text and not self._pages.failed:
            self.action_older()

    @property
    def _least(self) -> Severity:
        ranks = list(Severity)
        wanted = Severity.WARN if self.view.problems_only else Severity.INFO
        return max(self.least, wanted, key=ranks.index)

    def _scope(self, count: int) -> Content:
        vm = self.view.snapshot.vm(self.about) if self.about else None
        name = clean(vm.name if vm else self.about) if self.about else "the whole fleet"
        line = Content(f"{plural(count, 'event')} of ") + Content.styled(name, "bold")
        line += Content(f", {_LEVELS[self._least]}")
        if self.kind is not None:
            line += Content.styled(f", {self.kind.value} only", "$care")
        if self.filter.text:
            line += Content.styled(f"  /{clean(self.filter.text)}", "$care")
        if held := self._pages.events:
            since = moment(held[0].at, self.view.now)
            words = "all since" if self._pages.ended else "back to"
            line += Content.styled(f"  {words} {since}", "$faint")
        if self.following:
            line += Content.styled("  following", "$calm")
        return line

    def _show_text(self) -> None:
        table = self.query_one("#events", LineTable)
        item = table.cursor_item
        told = event_text(item.event, self.view.now) if isinstance(item, EventItem) else []
        if not table.rows or item is table.rows[-1].item:
            told = [*end_text(self._pages), *told]
        self.query_one("#detail", Prose).paras = tuple(told)

    def action_older(self) -> None:
        """Ask for the events before the oldest held."""
        host = self.view.snapshot.host(self.about) if self.about else None
        query = self._pages.next_page(self.about, host, self.kind, self._least)
        if query is not None:
            self.post_message(EventsRequested(query))

    def action_level(self) -> None:
        """Go on to the next level."""
        self.least = _NEXT[self.least]

    def action_kind(self) -> None:
        """Choose a kind."""
        choices = [("all", "all kinds"), *((kind.value, kind.value) for kind in EventKind)]

        def picked_kind(key: str | None) -> None:
            if key is not None:
                self.kind = None if key == "all" else EventKind(key)

        self.app.push_screen(PickDialog("Events of which kind?", choices), picked_kind)

    def action_host(self) -> None:
        """Show the host under the cursor alone."""
        item = self.query_one("#events", LineTable).cursor_item
        if isinstance(item, EventItem) and item.event.host:
            self.about = item.event.host

    def action_follow(self) -> None:
        """Follow, or stay on the event under the cursor."""
        table = self.query_one("#events", LineTable)
        if self.following and table.cursor_key is not None:
            table.move_to(table.cursor_key)
        self.following = not self.following

    def action_everything(self) -> None:
        """Show events of everything."""
        self.about, self.kind = "", None

    def action_vm(self) -> None:
        """Open the VM, else the host."""
        item = self.query_one("#events", LineTable).cursor_item
        if not isinstance(item, EventItem):
            return
        if item.event.vm:
            self.post_message(VmOpened(item.event.vm))
        elif item.event.host:
            self.post_message(HostOpened(item.event.host))
