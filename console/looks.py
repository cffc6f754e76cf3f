"""Theme and character set: used at once, kept across starts, and shown in the settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from console.helping import choices
from console.views import Place
from drivers.model.problem import Problem
from screens.settings import SettingsScreen
from themes import DEFAULT_THEME, THEMES

if TYPE_CHECKING:
    from console.app import NovaCronApp


class Looks:
    """What a person chose the console to look like."""

    def __init__(self, app: NovaCronApp) -> None:
        self._app = app
        for theme in THEMES:
            app.register_theme(theme)

    def use_theme(self, name: str) -> bool:
        """Use a theme, the default one where there is none of that name; False then."""
        known = name in {theme.name for theme in THEMES}
        self._app.theme = name if known else DEFAULT_THEME
        return known

    def choose_theme(self, name: str) -> None:
        """Use and remember a theme, or say which there are."""
        if self.use_theme(name):
            self._app.settings.keep("theme", name)
            self.show()
        else:
            names = ", ".join(theme.name for theme in THEMES)
            fix = f"use one of {names}"
            self._app.tell(Problem(f"There is no theme {name!r}.", fix=fix))

    def choose(self, name: str, value: str) -> None:
        """Use and remember the character set."""
        app, on = self._app, value == "on"
        app.set_class(on, "-ascii")
        app.settings.keep(name, value)
        app.view = replace(app.view, ascii=on)
        self.show()

    def show(self) -> None:
        """Tell the settings what is in use now."""
        app = self._app
        screen = app.screen_of(Place("settings"))
        if isinstance(screen, SettingsScreen):
            screen.choices = choices(THEMES, app.theme, app.view.ascii, app.settings.keys)
