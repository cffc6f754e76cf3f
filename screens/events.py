"""Events of the whole fleet, of one host or of one VM."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from drivers.model.event import Severity
from screens.base import FleetScreen, View
from screens.binding import bind
from screens.columns import Pen
from screens.filtering import Filter
from screens.format import clean, plural
from screens.messages import HostOpened, VmOpened
from screens.prose import Prose, put
from screens.render_event import (
    EventItem,
    event_columns,
    event_rows,
    event_text,
    moment,
    oldest_text,
    picked,
)
from screens.table import LineTable

_NEXT = {Severity.INFO: Severity.WARN, Severity.WARN: Severity.ERROR, Severity.ERROR: Severity.INFO}


class EventsScreen(FleetScreen):
    """Newest first; while following, the cursor stays on the newest."""

    CSS_PATH = "events.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("events.level", "w", "level", "Level", "All, warnings and errors, or errors only",
             show=True),
        bind("events.follow", "f", "follow", "Follow", "Keep the newest event under the cursor",
             show=True),
        bind("events.all", "a", "everything", "All", "Events of everything, not of one VM or host",
             show=True),
        bind("events.vm", "v", "vm", "VM", "Open the event's VM or host", show=True),
    ]  # fmt: skip

    heading = "Events"
    filterable = True

    about: reactive[str] = reactive("")
    """A VM's UUID or a host's name; empty for everything."""

    least: reactive[Severity] = reactive(Severity.INFO)
    """Lowest severity shown."""

    following: reactive[bool] = reactive(True)
    """Whether the cursor stays on the newest event."""

    def __init__(self, about: str = "") -> None:
        super().__init__()
        self.set_reactive(EventsScreen.about, about)

    def compose(self) -> ComposeResult:
        """What is shown, the table, and the whole of one event."""
        yield Static(id="scope", markup=False)
        yield LineTable(event_columns(), id="events", placeholder="no events yet")
        with VerticalScroll(id="text"):
            yield Prose(id="detail")

    def watch_view(self, _view: View) -> None:
        """Show what happened."""
        self._show()

    def watch_filter(self, _wanted: Filter) -> None:
        """Narrow the list."""
        self._show()

    def watch_about(self) -> None:
        """Another VM, host, or everything."""
        self._show()

    def watch_least(self) -> None:
        """Another severity."""
        self._show()

    def watch_following(self) -> None:
        """Follow or stay."""
        self._show()

    def on_line_table_row_highlighted(self) -> None:
        """Another event under the cursor."""
        self._show_text()

    def on_line_table_row_selected(self) -> None:
        """Enter opens what the event is about."""
        self.action_vm()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        view = self.view
        least = max(self.least, Severity.WARN, key=list(Severity).index)
        shown = picked(view.events, self.filter, about=self.about,
                       least=least if view.problems_only else self.least)  # fmt: skip
        table = self.query_one("#events", LineTable)
        table.placeholder = "no event passes" if view.events else "no events yet"
        table.set_rows(event_rows(shown, view.snapshot), Pen(view.now, view.ascii))
        if self.following and table.rows and not table.order.column:
            table.move_to(table.rows[0].key)
        put(self.query_one("#scope", Static), self._scope(len(shown)))
        self._show_text()

    def _scope(self, count: int) -> Content:
        vm = self.view.snapshot.vm(self.about) if self.about else None
        name = clean(vm.name if vm else self.about) if self.about else "the whole fleet"
        levels = {Severity.INFO: "all levels", Severity.WARN: "warnings and errors",
                  Severity.ERROR: "errors only"}  # fmt: skip
        line = Content(f"{plural(count, 'event')} of ") + Content.styled(name, "bold")
        line += Content(f", {levels[self.least]}")
        if self.filter.text:
            line += Content.styled(f"  /{clean(self.filter.text)}", "$care")
        if self.view.events:
            line += Content.styled(f"  kept since {moment(self.view.events[0].at, self.view.now)}",
                                   "$faint")  # fmt: skip
        word = "following" if self.following else "not following (f)"
        return line + Content.styled(f"  {word}", "$calm" if self.following else "$faint")

    def _show_text(self) -> None:
        table = self.query_one("#events", LineTable)
        item = table.cursor_item
        told = event_text(item.event, self.view.now) if isinstance(item, EventItem) else []
        if isinstance(item, EventItem) and item is table.rows[-1].item:
            told = [*oldest_text(), *told]
        self.query_one("#detail", Prose).paras = tuple(told)

    def action_level(self) -> None:
        """Go on to the next level."""
        self.least = _NEXT[self.least]

    def action_follow(self) -> None:
        """Follow or stay."""
        self.following = not self.following

    def action_everything(self) -> None:
        """Show events of everything."""
        self.about = ""

    def action_vm(self) -> None:
        """Open the VM, else the host."""
        item = self.query_one("#events", LineTable).cursor_item
        if not isinstance(item, EventItem):
            return
        if item.event.vm:
            self.post_message(VmOpened(item.event.vm))
        elif item.event.host:
            self.post_message(HostOpened(item.event.host))
