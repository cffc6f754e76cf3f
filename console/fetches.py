"""What screens ask to be fetched: one coroutine a kind of message, its answer set on the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from console.flows import answer
from drivers.model.event import Event
from drivers.model.history import HistoryQuery, Series
from screens import messages as ask
from screens.base import FleetScreen
from store.api import StoreError

if TYPE_CHECKING:
    from console.app import NovaCronApp


class Fetches:
    """Runs inside workers of the App; a screen that is gone by then gets nothing."""

    def __init__(self, app: NovaCronApp) -> None:
        self._app = app

    def of(self, message: ask.Fetch) -> Coroutine[Any, Any, None]:
        """The work that answers a message, for the screen in front."""
        screen = self._app.front
        match message:
            case ask.HistoryRequested():
                return self._history(screen, message.queries)
            case ask.NamesRequested():
                return self._names(screen)
            case ask.EventsRequested():
                return self._events(screen, message)
            case ask.JobsWanted():
                return answer(self._app.backend.maintenance.read_jobs(message.operation_id))
            case _:
                raise NotImplementedError(type(message).__name__)

    async def xml(self, screen: FleetScreen | None, uuid: str, inactive: bool) -> None:
        """A definition."""
        text = await answer(self._app.backend.xml(uuid, inactive))
        from screens.xml import XmlScreen  # after the first paint

        if isinstance(screen, XmlScreen) and screen.is_attached:
            screen.text = text

    async def _history(self, screen: FleetScreen | None, queries: tuple[HistoryQuery, ...]) -> None:
        series = await self._recorded(queries)
        from screens.history import HistoryScreen  # after the first paint
        from screens.vm import VmScreen

        if isinstance(screen, HistoryScreen | VmScreen) and screen.is_attached:
            screen.series = series

    async def _recorded(self, queries: tuple[HistoryQuery, ...]) -> tuple[Series, ...]:
        """All at once; where something was never recorded, one by one, and that one is empty."""
        try:
            return await answer(self._app.backend.history(queries))
        except StoreError as error:
            if error.problem.code != "unknown":
                raise
        return tuple([await self._one_recorded(query) for query in queries])

    async def _one_recorded(self, query: HistoryQuery) -> Series:
        try:
            (series,) = await answer(self._app.backend.history((query,)))
        except StoreError as error:
            if error.problem.code != "unknown":
                raise
            return Series(query, query.ident)
        return series

    async def _names(self, screen: FleetScreen | None) -> None:
        """Names of everything ever recorded."""
        kinds = ("vm", "host")
        known = await asyncio.gather(*(answer(self._app.backend.names(kind)) for kind in kinds))
        from screens.history import HistoryScreen  # after the first paint

        if isinstance(screen, HistoryScreen) and screen.is_attached:
            screen.names = tuple(
                (kind, ident, name)
                for kind, names in zip(kinds, known, strict=True)
                for ident, name in names
            )

    async def _events(self, screen: FleetScreen | None, message: ask.EventsRequested) -> None:
        """A page of recorded events, or that there is none to be had."""
        from screens.events import EventsScreen  # after the first paint

        found: tuple[Event, ...] | None = None
        try:
            found = await answer(self._app.backend.events(message.query))
        finally:
            if isinstance(screen, EventsScreen) and screen.is_attached:
                screen.page = message.query, found
