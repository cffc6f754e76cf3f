"""Events further back than the news: what has been read from the history, page by page."""

from __future__ import annotations

from drivers.model.event import Event, EventKind, EventQuery, Severity
from drivers.model.host import Host

PAGE = 500
"""Events asked for at a time."""


class Pages:
    """Events in the order they happened, older ones added in front as they are read.

    The pages hold only what was asked for; another scope starts anew.
    """

    def __init__(self) -> None:
        self._older: tuple[Event, ...] = ()
        self._news: tuple[Event, ...] = ()
        self._scope: tuple[object, ...] = ()
        self.asked: EventQuery | None = None
        """The page on its way."""
        self.ended = False
        """Nothing older is recorded."""
        self.failed = False
        """The last page asked for could not be read."""

    @property
    def events(self) -> tuple[Event, ...]:
        """All that is held, newest last."""
        return self._older + self._news

    def take_news(self, news: tuple[Event, ...]) -> None:
        """Newer events; those that the news no longer hold stay once older ones were read."""
        if self._older and news and news[0] is not self._news[0]:
            start = next((n for n, event in enumerate(self._news) if event is news[0]), None)
            self._older += self._news[:start]
        self._news = news

    def use(self, about: str, kind: EventKind | None, least: Severity) -> None:
        """Hold pages of this scope; of another one they are forgotten."""
        if (about, kind, least) != self._scope:
            self._scope = (about, kind, least)
            self._older, self.asked, self.ended, self.failed = (), None, False, False

    def next_page(
        self, about: str, host: Host | None, kind: EventKind | None, least: Severity
    ) -> EventQuery | None:
        """The page before the oldest event held; None while one is on its way, or at the end.

        Args:
            host: The host that ``about`` names, None where it is a VM's UUID or empty.
        """
        if self.asked is not None or self.ended:
            return None
        held = self.events
        until = held[0].at if held else None
        vm = about if host is None else ""
        self.asked = EventQuery(until, host.name if host else "", vm, kind, least, PAGE)
        return self.asked

    def take_page(self, query: EventQuery, page: tuple[Event, ...] | None) -> None:
        """The answer, newest first; one to another question is too late and ignored.

        Args:
            page: None when it could not be read.
        """
        if query != self.asked:
            return
        self.asked, self.failed = None, page is None
        if page is None:
            return
        edge = {event for event in self.events if event.at == query.until}
        fresh = [event for event in reversed(page) if event not in edge]
        self._older = (*fresh, *self._older)
        self.ended = len(page) < query.limit or not fresh
