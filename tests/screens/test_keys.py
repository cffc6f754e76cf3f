"""Keys changed by the configuration."""

from __future__ import annotations

import pytest

from console.app import NovaCronApp
from console.keys import check_keys, scopes_of
from screens.help import HelpScreen
from screens.hosts import HostsScreen
from screens.table import LineTable
from screens.vms import VmsScreen
from tests.screens.conftest import Running, until
from tests.screens.test_app import shown

EVERYWHERE = scopes_of(NovaCronApp)


async def test_a_changed_key_works_and_is_shown(running: Running) -> None:
    """F5 goes to the hosts, 2 no longer does, and the help shows F5."""
    async with running(size=(120, 50), keys={"app.view-2": "f5"}) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        await pilot.press("2")
        await pilot.pause()
        assert isinstance(app.screen, VmsScreen)
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(app.screen, HostsScreen))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        keys = {row.item.ident: row.item.keys for row in app.screen.query_one(LineTable).rows}
        assert keys["app.view-2"] == "f5"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"app.nothing": "x"}, "There is no key binding 'app.nothing'"),
        ({"vm.actions": "ctrl+c"}, "cannot be given"),
        ({"vm.actions": " , "}, "cannot be given"),
        ({"app.help": "q"}, "is that of app.quit"),
        ({"vm.actions": "q"}, "Key 'q' of vm.actions is that of app.quit"),
        ({"app.save": "m"}, "Key 'm' of app.save is that of vm.migrate"),
        ({"table.mark": "?"}, "Key 'question_mark' of table.mark is that of app.help"),
        ({"vm.actions": "N"}, "Key 'N' of vm.actions is that of sort by NAME"),
        ({"app.save": "cntrl+x"}, "There is no key 'cntrl+x', asked for app.save"),
        ({"app.save": "f55"}, "There is no key 'f55'"),
        ({"dialog.cancel": "up"}, "Key 'up' of dialog.cancel is that of dialog.up"),
    ],
)
def test_a_key_that_cannot_be_is_told_and_left_out(wanted: dict[str, str], told: str) -> None:
    """An unknown id, a key that must stay, a clash on one screen: said with what to do."""
    keys = check_keys(wanted, EVERYWHERE)
    assert keys.keymap == {}
    assert told in keys.problems[0].what
    assert keys.problems[0].fix


@pytest.mark.parametrize("order", [("app.quit", "app.help"), ("app.help", "app.quit")])
def test_keys_can_change_places(order: tuple[str, str]) -> None:
    """One gives its key away, so the other may have it, in whatever order they are written."""
    wanted = {"app.quit": "f9", "app.help": "q"}
    keys = check_keys({ident: wanted[ident] for ident in order}, EVERYWHERE)
    assert keys.keymap == wanted
    assert keys.problems == ()


def test_of_two_remappings_to_one_key_the_first_stays() -> None:
    """The second is told with both ids."""
    keys = check_keys({"app.quit": "f9", "vms.why": "f9"}, EVERYWHERE)
    assert keys.keymap == {"app.quit": "f9"}
    assert keys.problems[0].what == ("Key 'f9' of vms.why is that of app.quit on the same screen.")


def test_keys_as_shipped_shadow_one_another_only_where_it_is_meant() -> None:
    """A screen takes a key of App or list only for what means the same there, and no letter of
    a list hides a key."""
    shadows = {
        (ident, other)
        for _, bindings in EVERYWHERE
        for ident, keys in bindings.items()
        for other, others in bindings.items()
        if ident < other and keys & others and not (" " in ident and " " in other)
    }
    assert {pair for pair in shadows if "xml." not in "".join(pair)} == {
        ("app.refresh", "storage.refresh")
    }


async def test_wrong_keys_become_a_message_at_the_start(running: Running) -> None:
    """The console starts with the keys it has and says what was wrong."""
    async with running(size=(100, 30), keys={"app.qiut": "x"}) as (app, pilot):
        await until(pilot, lambda: "There is no key binding 'app.qiut'" in shown(app))
        await until(pilot, lambda: "app.quit" in shown(app))
