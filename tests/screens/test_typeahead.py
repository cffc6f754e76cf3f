"""Keys that arrive in one piece: each goes where the one before it led."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from textual import events
from textual.app import App

from console.backend import QuestionAsked
from drivers.model.ask import SecretQuestion
from drivers.model.job import Plan, Request
from screens.dialogs.preview import PreviewDialog
from screens.dialogs.target import TargetDialog
from screens.events import EventsScreen
from screens.hosts import HostsScreen
from screens.prompt import PromptLine
from screens.table import LineTable
from screens.vm import VmScreen
from screens.vms import VmsScreen
from tests.screens.backend import FakeBackend
from tests.screens.conftest import Running, until
from tests.screens.test_app import shown


def type_at_once(app: App[None], *keys: str) -> None:
    """All keys into the queue before any of them is looked at, as a terminal hands over a paste."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def test_a_view_and_a_filter_in_one_piece(running: Running) -> None:
    """3, slash, web1, Enter, Enter: the VM that the filter of the third view found."""
    async with running() as (app, pilot):
        type_at_once(app, "3", "slash", *"web1", "enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, VmScreen))
        assert app.screen.vm is not None
        assert app.screen.vm.name == "web1"


async def test_no_key_acts_on_the_view_that_is_left(running: Running) -> None:
    """A letter after a view's number sorts the new view; the old one keeps its order."""
    async with running(size=(160, 50)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, HostsScreen))
        hosts = app.screen.query_one(LineTable)
        before = hosts.order
        type_at_once(app, "3", "N", "G")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        vms = app.screen.query_one(LineTable)
        await until(pilot, lambda: vms.order.descending and vms.rows[-1].key == vms.cursor_key)
        assert hosts.order == before
        assert hosts.cursor_key == hosts.rows[0].key


async def test_enter_opens_and_the_next_key_belongs_to_what_was_opened(running: Running) -> None:
    """2, Enter, l: the events of the first VM of the first host; and back by Esc, Esc."""
    async with running() as (app, pilot):
        type_at_once(app, "2", "enter", "l")
        await until(pilot, lambda: isinstance(app.screen, EventsScreen))
        type_at_once(app, "escape", "escape", "3")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        type_at_once(app, "minus", "minus", "colon", *"hosts", "enter", "j")
        await until(pilot, lambda: isinstance(app.screen, HostsScreen))
        table = app.screen.query_one(LineTable)
        await until(pilot, lambda: table.cursor_key == table.rows[1].key)


async def test_keys_wait_for_the_dialog_that_an_action_opens(
    running: Running, backend: FakeBackend
) -> None:
    """m, Enter, Tab, Enter in one piece: target, preview and job, and the list stays as it was."""
    async with running(size=(100, 30)) as (app, pilot):
        await pilot.press("3", "j", "j", "j", "j")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        cursor = app.screen.query_one(LineTable).cursor_key
        type_at_once(app, "m", "enter", "tab", "enter")
        await until(pilot, lambda: "run" in backend.verbs())
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        assert app.screen.query_one(LineTable).cursor_key == cursor


async def test_a_slow_plan_keeps_the_keys_for_its_dialog_but_not_for_long(
    running: Running, backend: FakeBackend
) -> None:
    """While nothing answers the keys work again soon, on the screen there is."""
    waiting: Future[tuple[Plan, ...]] = Future()

    def plan(requests: tuple[Request, ...]) -> Future[tuple[Plan, ...]]:
        backend.asked.append(("plan", (requests,)))
        return waiting

    answered = backend.plan
    backend.plan = plan  # type: ignore[method-assign]
    async with running(size=(100, 30)) as (app, pilot):
        await pilot.press("3", "j", "j", "j", "j")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        table = app.screen.query_one(LineTable)
        before = table.cursor_key
        type_at_once(app, "m", "enter", "j")
        await until(pilot, lambda: "plan" in backend.verbs())
        assert table.cursor_key == before
        await until(pilot, lambda: table.cursor_key != before)
        (requests,) = backend.asked[-1][1]
        waiting.set_result(answered(requests).result())
        await until(pilot, lambda: isinstance(app.screen, PreviewDialog))


async def test_a_closed_dialog_gives_the_next_key_to_the_screen_below(running: Running) -> None:
    """Esc and a move in one piece: the dialog goes, the list moves."""
    async with running(size=(100, 30)) as (app, pilot):
        await pilot.press("3", "j", "j", "j", "j", "m")
        await until(pilot, lambda: isinstance(app.screen, TargetDialog))
        type_at_once(app, "escape", "k", "k")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))
        table = app.screen.query_one(LineTable)
        await until(pilot, lambda: table.cursor_key == table.rows[2].key)


@pytest.mark.parametrize("lead", ["colon", "slash"])
async def test_a_question_waits_until_a_line_is_typed(
    running: Running, backend: FakeBackend, lead: str
) -> None:
    """Letters meant for a command never answer a host's question."""
    async with running() as (app, pilot):
        await pilot.press("3", lead, "h")
        await until(pilot, lambda: isinstance(app.focused, PromptLine))
        asked = SecretQuestion("q2", "kvm2", "Password for root@kvm2", "", (("Password:", False),))
        backend.publish(QuestionAsked(asked))
        await until(pilot, lambda: bool(app._questions._waiting))
        type_at_once(app, "o", "s")
        await until(pilot, lambda: app.focused.value == "hos")  # type: ignore[union-attr]
        await pilot.press("escape")
        await until(pilot, lambda: "Password for root@kvm2" in shown(app))


async def test_pasted_text_goes_to_the_line_that_the_key_before_it_opened(
    running: Running,
) -> None:
    """Bracketed paste right behind the slash."""
    async with running() as (app, pilot):
        type_at_once(app, "3", "slash")
        app.post_message(events.Paste("db-main"))
        await until(pilot, lambda: isinstance(app.focused, PromptLine) and bool(app.focused.value))
        assert app.focused.value == "db-main"  # type: ignore[union-attr]
