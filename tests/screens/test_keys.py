"""Keys changed by the configuration."""

from __future__ import annotations

import pytest

from console.app import NovaCronApp
from console.keys import check_keys
from console.views import all_screens
from screens.help import HelpScreen
from screens.hosts import HostsScreen
from screens.table import LineTable
from screens.vms import VmsScreen
from tests.screens.conftest import Running, until
from tests.screens.test_app import shown

EVERYWHERE = (NovaCronApp, LineTable, *all_screens())


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
    ],
)
def test_a_key_that_cannot_be_is_told_and_left_out(wanted: dict[str, str], told: str) -> None:
    """An unknown id, a key that must stay, a clash on one screen: said with what to do."""
    keys = check_keys(wanted, EVERYWHERE)
    assert keys.keymap == {}
    assert told in keys.problems[0].what
    assert keys.problems[0].fix


def test_keys_can_change_places() -> None:
    """The first gives its key away, so the second may have it."""
    keys = check_keys({"app.quit": "Q", "app.help": "q"}, EVERYWHERE)
    assert keys.keymap == {"app.quit": "Q", "app.help": "q"}
    assert keys.problems == ()


async def test_wrong_keys_become_a_message_at_the_start(running: Running) -> None:
    """The console starts with the keys it has and says what was wrong."""
    async with running(size=(100, 30), keys={"app.qiut": "x"}) as (app, pilot):
        await until(pilot, lambda: "There is no key binding 'app.qiut'" in shown(app))
        await until(pilot, lambda: "app.quit" in shown(app))
