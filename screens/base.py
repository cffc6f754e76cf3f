"""What every screen is given, as one frozen value, and the base class that carries it."""

from __future__ import annotations

from dataclasses import dataclass, field

from textual.reactive import reactive
from textual.screen import Screen

from drivers.model.event import Event
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import StoreStatus
from drivers.model.job import Job


@dataclass(frozen=True, slots=True)
class View:
    """Everything a screen may show.

    Attributes:
        now: The console's clock, for ages; frozen in tests.
        paused: Polling is paused by the user.
        ascii: Draw with ASCII characters only.
    """

    now: float = 0.0
    snapshot: FleetSnapshot = field(default_factory=FleetSnapshot)
    jobs: tuple[Job, ...] = ()
    events: tuple[Event, ...] = ()
    store: StoreStatus = field(default_factory=lambda: StoreStatus("off"))
    paused: bool = False
    ascii: bool = False


class FleetScreen(Screen[None]):
    """A screen that shows ``view``. The App sets it on the screen in front, and on resume."""

    view: reactive[View] = reactive(View, always_update=True)
    """What to show now; watchers must be cheap and never do I/O."""
