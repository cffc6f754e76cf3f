"""News that waits while the terminal is lent to a shell."""

from __future__ import annotations

from console.backend import EventsReady
from console.inbox import EVENTS_KEPT, Inbox
from drivers.model.event import Event, EventKind


def test_hours_in_a_shell_keep_the_newest_events_only() -> None:
    """What waits stays bounded, and the newest event is the last one shown."""
    inbox = Inbox()
    for number in range(EVENTS_KEPT + 50):
        inbox.put(EventsReady((Event(float(number), EventKind.LIFECYCLE, "kvm1", "started"),)))
    waiting = inbox.take().events
    assert len(waiting) == EVENTS_KEPT
    assert waiting[-1].at == EVENTS_KEPT + 49
