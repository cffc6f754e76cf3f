"""Which screen shows which view; imported when first shown, so that the first paint is soon."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from screens.base import FleetScreen


class Place(NamedTuple):
    """A view and what it is about: a host's name, a VM's UUID, or nothing."""

    view: str
    arg: str = ""


_CLASSES = {
    "fleet": "FleetView",
    "hosts": "HostsScreen",
    "host": "HostScreen",
    "vms": "VmsScreen",
    "vm": "VmScreen",
    "storage": "StorageScreen",
    "jobs": "JobsScreen",
    "events": "EventsScreen",
    "history": "HistoryScreen",
    "xml": "XmlScreen",
    "preflight": "PreflightScreen",
    "maintenance": "MaintenanceScreen",
    "upgrade": "UpgradeScreen",
    "settings": "SettingsScreen",
    "help": "HelpScreen",
}


def screen_class(view: str) -> type[FleetScreen]:
    """The class that shows a view."""
    found: type[FleetScreen] = getattr(import_module(f"screens.{view}"), _CLASSES[view])
    return found


def make_screen(place: Place) -> FleetScreen:
    """A new screen for a place."""
    cls = screen_class(place.view)
    return cls(place.arg) if place.arg else cls()


def all_screens() -> tuple[type[FleetScreen], ...]:
    """Every screen class, for checking key bindings."""
    return tuple(screen_class(view) for view in _CLASSES)


class Trail:
    """Where a person was, as in a browser: back, forward, and the last other place."""

    def __init__(self, start: Place) -> None:
        self._places = [start]
        self._at = 0
        self._last = start

    @property
    def here(self) -> Place:
        """The place shown now."""
        return self._places[self._at]

    def go(self, place: Place) -> bool:
        """Go to a place; False when it is shown already."""
        if place == self.here:
            return False
        self._last = self.here
        self._places[self._at + 1 :] = [place]
        self._at += 1
        return True

    def step(self, by: int) -> bool:
        """Go back (-1) or forward (1); False at the end of the trail."""
        target = self._at + by
        if not 0 <= target < len(self._places):
            return False
        self._last = self.here
        self._at = target
        return True

    def swap(self) -> bool:
        """Go to the place shown before this one."""
        return self.go(self._last)
