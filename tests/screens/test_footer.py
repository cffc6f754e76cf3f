"""The last line of every screen: the keys that matter, and always the help and the way out."""

from __future__ import annotations

import pytest
from textual.content import Content

from console.app import NovaCronApp
from console.keys import bindings_of
from console.views import Place, all_screens
from screens.base import FleetScreen
from screens.render.preflight import place_arg
from screens.table import LineTable
from screens.topline import key_line
from screens.vms import VmsScreen
from tests.screens.conftest import Running, arrived, until
from tests.screens.fleets import make_vm
from tests.screens.stage import shown_text

ABOUT = {
    "host": "kvm1",
    "vm": make_vm(1, "kvm1").uuid,
    "xml": make_vm(1, "kvm1").uuid,
    "maintenance": "kvm1",
    "preflight": place_arg((make_vm(1, "kvm1").uuid,), ("kvm2",)),
}
"""What the screens are about that are about something."""

PLACES = [
    Place(view, ABOUT.get(view, ""))
    for view in (
        "fleet", "hosts", "host", "vms", "vm", "xml", "storage", "jobs", "events", "history",
        "preflight", "maintenance", "settings", "help",
    )
]  # fmt: skip


@pytest.mark.parametrize("screen", all_screens(), ids=lambda screen: screen.heading)
def test_what_a_footer_names_is_there(screen: type[FleetScreen]) -> None:
    """Every id is a binding of the screen, of its lists, or of the App, and named once."""
    known = {**bindings_of(NovaCronApp), **bindings_of(LineTable), **bindings_of(screen)}
    named = [entry.partition("=")[0] for entry in screen.footer]
    assert set(named) <= known.keys()
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("width", [40, 80, 132])
async def test_help_and_quit_are_in_every_last_line(running: Running, width: int) -> None:
    """However narrow the terminal is, and whole."""
    async with running(size=(width, 24)) as (app, pilot):
        for place in PLACES:
            app.go(place)
            await until(pilot, lambda place=place: arrived(app, place))  # type: ignore[misc]
            await until(pilot, lambda: last_line(app).rstrip().endswith("  ? Help  q Quit"))


def last_line(app: NovaCronApp) -> str:
    """What stands at the bottom; nothing before the screen is laid out."""
    return next(reversed(shown_text(app).splitlines()), "")


async def test_the_first_keys_of_the_list_of_vms_fit_into_80_columns(running: Running) -> None:
    """Those that a person on call looks for; the others follow where there is room."""
    async with running(size=(80, 24)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.front, VmsScreen) and app.front.is_mounted)
        assert app.front is not None
        app.front.query_one(LineTable).move_to(make_vm(1, "kvm1").uuid)
        await until(pilot, lambda: "m Migrate" in last_line(app))
        narrow = last_line(app)
        for key in ("/ Filter", "a Actions", "m Migrate", "t Tier", "c Console"):
            assert key in narrow
        assert "s Shell" not in narrow
        await pilot.resize_terminal(132, 24)
        await until(pilot, lambda: "s Shell" in last_line(app))


def test_keys_give_way_from_the_middle() -> None:
    """The last of the wanted ones first; help and quit never."""
    words = [Content(text) for text in ("a One", "b Two", "c Six", "? Help", "q Quit")]
    assert key_line(words, 80).plain == "a One  b Two  c Six  ? Help  q Quit"
    assert key_line(words, 34).plain == "a One  b Two  ? Help  q Quit"
    assert key_line(words, 27).plain == "a One  ? Help  q Quit"
    assert key_line(words, 5).plain == "? Help  q Quit"
