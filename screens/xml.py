"""A domain's XML, highlighted, with search and wrapping."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import ScrollableContainer
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from drivers.model.vm import Vm
from screens.acting import VmActionScreen
from screens.base import View
from screens.binding import bind
from screens.format import clean, plural
from screens.messages import XmlRequested
from screens.prompt import PromptLine
from screens.prose import put
from screens.render_xml import Found, paint, search


class XmlScreen(VmActionScreen):
    """Read-only XML of one VM; ``text`` is set by the App once it is fetched."""

    CSS_PATH = "xml.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("xml.search", "slash", "filter", "Search", "Search for a text, ignoring case"),
        bind("xml.next", "n", "find(1)", "Next", "The next place that matches the search"),
        bind("xml.previous", "N", "find(-1)", "Previous", "The place before that matches"),
        bind("xml.wrap", "w", "wrap", "Wrap", "Wrap long lines, or let them run on"),
        bind("xml.inactive", "p", "inactive", "Persistent",
             "The definition used at the next start, or the one of the running VM"),
        bind("xml.down", "j,down", "go(1)", "Down", "A line down"),
        bind("xml.up", "k,up", "go(-1)", "Up", "A line up"),
        bind("xml.page-down", "ctrl+d,pagedown", "page(1)", "Page down", "A page down"),
        bind("xml.page-up", "ctrl+u,pageup", "page(-1)", "Page up", "A page up"),
        bind("xml.top", "g,home", "end(-1)", "Top", "To the first line"),
        bind("xml.bottom", "G,end", "end(1)", "Bottom", "To the last line"),
    ]  # fmt: skip

    heading = "XML"
    footer = ("xml.search", "xml.next", "xml.wrap", "xml.inactive", "screen.back")
    filterable = True

    text: reactive[str] = reactive("")
    """The XML; empty until it arrives."""

    wanted: reactive[str] = reactive("")
    """What is searched for, ignoring case."""

    wrapped: reactive[bool] = reactive(True)
    """Whether long lines are wrapped."""

    def __init__(self, uuid: str, *, inactive: bool = False) -> None:
        super().__init__()
        self.uuid = uuid
        self.inactive = inactive
        self._found = Found((), ())
        self._place = -1

    def compose(self) -> ComposeResult:
        """A title and the text."""
        yield Static(id="title", markup=False)
        with ScrollableContainer(id="scroll"):
            yield Static("Fetching the definition...", id="code", markup=False)

    def on_mount(self) -> None:
        """Ask for the definition."""
        self.post_message(XmlRequested(self.uuid, self.inactive))

    def acted_on(self) -> tuple[Vm, ...]:
        """The VM whose definition this is."""
        vm = self.view.snapshot.vm(self.uuid)
        return () if vm is None else (vm,)

    def show_view(self, view: View) -> None:  # noqa: ARG002 - the title asks for itself
        """The name may have changed."""
        self._show_title()
        self.refresh_bindings()

    def watch_text(self) -> None:
        """Show what arrived, from its top."""
        self._show()
        for scroll in self.query("#scroll"):
            scroll.scroll_home(animate=False)

    def watch_wanted(self) -> None:
        """Mark what matches and go to the first."""
        self._place = -1
        self._show()
        if self._found.places:
            self.action_find(1)

    def watch_wrapped(self) -> None:
        """Wrap or not."""
        self._show()

    def on_resize(self) -> None:
        """Wrap anew."""
        self._show()

    def _show(self) -> None:
        if not self.is_mounted or not self.text:
            return
        width = max(20, self.query_one("#scroll").size.width - 1) if self.wrapped else 0
        self._found = search(self.text, self.wanted, width)
        current = self._found.places[self._place] if self._place >= 0 else None
        self.query_one("#code", Static).update(
            paint(self._found, self.wanted, current, plain=self.view.ascii)
        )
        self._show_title()

    def _show_title(self) -> None:
        if not self.is_mounted:
            return
        vm = self.view.snapshot.vm(self.uuid)
        name = clean(vm.name) if vm is not None else self.uuid
        kind = "persistent definition" if self.inactive else "definition in use"
        line = Content.styled(name, "bold") + Content(f"  {kind}")
        if self.wanted:
            count = len(self._found.places)
            at = f"{self._place + 1} of " if self._place >= 0 and count else ""
            words = f"  /{clean(self.wanted)}: {at}{plural(count, 'match').replace('hs', 'hes')}"
            line += Content.styled(words, "$care")
        put(self.query_one("#title", Static), line)

    async def action_filter(self) -> None:
        """Type what to search for; nothing ends the search."""

        def done(text: str | None) -> None:
            if text is not None:
                self.wanted = text.strip()

        await self.open_prompt(PromptLine("/", done, value=self.wanted))

    def action_back(self) -> None:
        """End the search; without one, go back."""
        if self.wanted:
            self.wanted = ""
        else:
            super().action_back()

    def action_find(self, step: int) -> None:
        """Go to another match."""
        if not self._found.places:
            return
        self._place = (self._place + step) % len(self._found.places)
        self._show()
        line = self._found.places[self._place]
        scroll = self.query_one("#scroll")
        scroll.scroll_to(y=max(0, line - scroll.size.height // 2), animate=False)

    def action_wrap(self) -> None:
        """Turn wrapping on or off."""
        self.wrapped = not self.wrapped

    def action_inactive(self) -> None:
        """Fetch the other definition."""
        self.inactive = not self.inactive
        self._show_title()
        self.post_message(XmlRequested(self.uuid, self.inactive))

    def action_vm_xml(self) -> None:
        """Fetch it again."""
        self.post_message(XmlRequested(self.uuid, self.inactive))

    def action_go(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one("#scroll").scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        scroll = self.query_one("#scroll")
        scroll.scroll_relative(y=pages * max(1, scroll.size.height - 1), animate=False)

    def action_end(self, direction: int) -> None:
        """Scroll to the first or the last line."""
        scroll = self.query_one("#scroll")
        if direction < 0:
            scroll.scroll_home(animate=False)
        else:
            scroll.scroll_end(animate=False)
