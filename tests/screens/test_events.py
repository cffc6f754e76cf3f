"""Events further back than the news, and only those that are wanted."""

from __future__ import annotations

from dataclasses import replace

from drivers.errors import Unreachable
from drivers.model.event import Event, EventKind, EventQuery, Severity
from screens.events import EventsScreen
from screens.paging import PAGE, Pages
from screens.prompt import PromptLine
from screens.table import LineTable
from tests.screens.backend import FakeBackend
from tests.screens.conftest import Running, until
from tests.screens.fleets import EVENTS, NOW
from tests.screens.test_app import shown


def past(count: int) -> tuple[Event, ...]:
    """So many events, one a minute, the last just before those that the console starts with."""
    kinds = (EventKind.LIFECYCLE, EventKind.JOB)
    return tuple(
        Event(NOW - 3600.0 - 60.0 * (count - n), kinds[n % 2], f"kvm{n % 3 + 1}", f"old {n}",
              severity=Severity.WARN if n % 10 == 0 else Severity.INFO)
        for n in range(count)
    )  # fmt: skip


async def test_the_end_of_the_list_reads_on_until_nothing_older_is_recorded(
    running: Running, backend: FakeBackend
) -> None:
    """End and End again: page by page, the cursor stays on its event, and the end is said."""
    backend.recorded = past(PAGE + 20) + EVENTS
    async with running(size=(120, 30)) as (app, pilot):
        await pilot.press("6")
        await until(pilot, lambda: isinstance(app.screen, EventsScreen))
        table = app.screen.query_one(LineTable)
        await until(pilot, lambda: len(table.rows) == PAGE + 1)
        await pilot.press("end")
        await until(pilot, lambda: len(table.rows) == PAGE + 22)
        assert table.cursor_item.event.text == "old 21"
        await pilot.press("end")
        await until(pilot, lambda: "Nothing older is recorded" in shown(app))
        assert table.cursor_item.event.text == "old 0"
        assert "all since" in shown(app)


async def test_a_kind_a_level_and_a_host_are_asked_of_the_history(
    running: Running, backend: FakeBackend
) -> None:
    """A page of a narrow scope holds only what passes: it reaches further back."""
    backend.recorded = past(60) + EVENTS
    async with running(size=(120, 30)) as (app, pilot):
        await pilot.press("6")
        await until(pilot, lambda: isinstance(app.screen, EventsScreen))
        screen = app.screen
        assert isinstance(screen, EventsScreen)
        table = screen.query_one(LineTable)
        await until(pilot, lambda: len(table.rows) == 62)
        await pilot.press("t", *"job", "enter")
        await until(pilot, lambda: len(table.rows) == 30)
        assert "job only" in shown(app)
        await pilot.press("a", "w")
        await until(pilot, lambda: len(table.rows) == 7)
        await pilot.press("G", "h")
        await until(pilot, lambda: {r.item.event.host for r in table.rows} == {"kvm1"})
        asked = [args[0] for verb, args in backend.asked if verb == "events"]
        assert (asked[-1].host, asked[-1].least, asked[-1].kind) == ("kvm1", Severity.WARN, None)


async def test_leaving_the_newest_ends_following_and_the_top_begins_it(running: Running) -> None:
    """As in a pager: moving down reads in peace, going back to the top follows again."""
    async with running(size=(120, 30)) as (app, pilot):
        await pilot.press("6")
        await until(pilot, lambda: "following" in shown(app))
        screen = app.screen
        assert isinstance(screen, EventsScreen)
        await pilot.press("j")
        await until(pilot, lambda: not screen.following)
        assert "following" not in shown(app)
        await pilot.press("g")
        await until(pilot, lambda: screen.following)


async def test_a_history_that_cannot_be_read_is_told_once(
    running: Running, backend: FakeBackend
) -> None:
    """The news stay, the end of the list says how to try again, and p does."""
    async with running(size=(120, 30)) as (app, pilot):
        backend.fails = Unreachable("the history is locked", "", "close the other console")
        await pilot.press("6")
        await until(pilot, lambda: "the history is locked" in shown(app))
        await until(pilot, lambda: "connect" in shown(app) or "started (booted)" in shown(app))
        app.view = replace(app.view, now=NOW + 5)
        await pilot.press("G")
        await until(pilot, lambda: "could not be read; p tries again" in shown(app))
        assert backend.verbs().count("events") == 2
        backend.fails = None
        await pilot.press("p")
        await until(pilot, lambda: "Nothing older is recorded" in shown(app))


async def test_a_filter_does_not_read_the_whole_history_by_itself(
    running: Running, backend: FakeBackend
) -> None:
    """A word that nothing has asks for no page; p does."""
    backend.recorded = past(PAGE * 3) + EVENTS
    async with running(size=(120, 30)) as (app, pilot):
        await pilot.press("6")
        await until(pilot, lambda: "events" in backend.verbs())
        await pilot.press("slash", *"zebra")
        await until(pilot, lambda: isinstance(app.focused, PromptLine))
        await until(pilot, lambda: "no event passes" in shown(app))
        await pilot.press("enter")
        before = backend.verbs().count("events")
        app.view = replace(app.view, now=NOW + 5)
        await pilot.press("p")
        await until(pilot, lambda: backend.verbs().count("events") == before + 1)


def test_news_that_are_dropped_stay_once_older_ones_were_read() -> None:
    """The list never has a hole between the pages and the news."""
    pages, events = Pages(), past(10)
    pages.use("", None, Severity.INFO)
    pages.take_news(events[4:8])
    query = pages.next_page("", None, None, Severity.INFO)
    assert query == EventQuery(events[4].at, limit=PAGE)
    pages.take_page(query, (events[4], events[3], events[2]))
    pages.take_news(events[6:10])
    assert pages.events == events[2:10]
    assert pages.ended
