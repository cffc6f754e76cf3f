"""The screen of each place, and the way a person took through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.commands import VIEWS
from console.views import Place, Trail, make_screen
from screens.base import FleetScreen

if TYPE_CHECKING:
    from console.app import NovaCronApp


class Places:
    """Top-level views keep their screen, and with it cursor, marks and filter; others are new."""

    def __init__(self, app: NovaCronApp) -> None:
        self._app = app
        self._trail = Trail(Place(VIEWS[0]))
        self._kept: dict[str, FleetScreen] = {}
        self._arrived: Place | None = None
        self._moving = False

    @property
    def here(self) -> Place:
        """The place shown now."""
        return self._trail.here

    @property
    def travelling(self) -> bool:
        """Whether the screen of the place shown now is still on its way."""
        return self._moving or self._arrived != self.here

    def go(self, place: Place) -> None:
        """Show a place and remember the way."""
        self._move(self._trail.go(place))

    def step(self, by: int) -> None:
        """Back or forward."""
        self._move(self._trail.step(by))

    def swap(self) -> None:
        """Back to the last other place."""
        self._move(self._trail.swap())

    def _move(self, moved: bool) -> None:
        if moved and not self._moving:
            self._moving = True
            self._app.run_worker(self._travel(), group="go")

    async def _travel(self) -> None:
        """One screen after the other: a switch that is broken off would end the whole App.

        A dialog that came meanwhile keeps its answer: the person stays where it was put.
        """
        try:
            while self._arrived != self.here:
                if self._arrived is not None and self._app.screen is not self._app.front:
                    self._trail.go(self._arrived)
                    break
                await self.arrive()
        finally:
            self._moving = False

    async def arrive(self) -> None:
        """Put the screen of the place in front, with the newest view."""
        app, here = self._app, self.here
        screen = self.screen_of(here)
        screen.set_reactive(FleetScreen.view, app.view)
        if app.front is None:
            await app.push_screen(screen)
        elif screen is not app.front:
            await app.switch_screen(screen)
        screen.view = app.view
        self._arrived = here

    def screen_of(self, place: Place) -> FleetScreen:
        """The screen kept for a top-level view, or a new one."""
        if place.arg:
            return make_screen(place)
        screen = self._kept.get(place.view)
        if screen is None:
            screen = self._kept[place.view] = make_screen(place)
            self._app.install_screen(screen, place.view)
        return screen
