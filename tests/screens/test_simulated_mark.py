"""A make-believe fleet says so on every screen, whatever lies over it; a real one never does."""

from __future__ import annotations

import pytest
from textual.screen import ModalScreen

from screens.base import FleetScreen
from screens.dialogs.dialog import Dialog
from screens.help import HelpScreen
from screens.prompt import PromptLine
from tests.screens.backend import FakeBackend
from tests.screens.conftest import Running, until
from tests.screens.simulated import simulated_fleet
from tests.screens.stage import shown_text
from tests.screens.test_dialogs import every_dialog

MARK = "SIMULATED"


@pytest.fixture
def simulated(backend: FakeBackend) -> FakeBackend:
    """A backend whose fleet is make-believe."""
    backend.snapshot = simulated_fleet()
    return backend


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("number", range(len(every_dialog())))
async def test_every_dialog_over_a_simulated_fleet_says_so(
    simulated: FakeBackend, running: Running, number: int, ascii_only: bool
) -> None:
    """However tall its frame is in the smallest terminal."""
    async with running(ascii=ascii_only) as (app, pilot):
        await until(pilot, lambda: MARK in shown_text(app))
        dialog = every_dialog()[number]
        app.push_screen(dialog)
        await until(pilot, lambda: dialog.is_mounted and bool(dialog.query("#frame")))
        await pilot.pause()
        frame = dialog.query_one("#frame").region
        assert MARK in shown_text(app).splitlines()[frame.y]


@pytest.mark.parametrize("number", range(len(every_dialog())))
async def test_no_dialog_over_a_real_fleet_says_so(running: Running, number: int) -> None:
    """Its title is what it was."""
    async with running() as (app, pilot):
        dialog: ModalScreen[object] = every_dialog()[number]
        assert isinstance(dialog, Dialog)
        app.push_screen(dialog)
        await until(pilot, lambda: dialog.is_mounted and bool(dialog.query("#frame")))
        await pilot.pause()
        assert MARK not in shown_text(app)


async def test_help_prompts_and_palette_leave_the_mark_in_sight(
    simulated: FakeBackend, running: Running
) -> None:
    """They cover neither the first line nor the mark in it."""
    async with running() as (app, pilot):
        await until(pilot, lambda: MARK in shown_text(app).splitlines()[0])
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.focused, PromptLine))
        assert MARK in shown_text(app).splitlines()[0]
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await until(pilot, lambda: MARK in shown_text(app).splitlines()[0])
        await pilot.press("ctrl+p")
        await until(pilot, lambda: not isinstance(app.screen, FleetScreen))
        await pilot.pause()
        assert MARK in shown_text(app).splitlines()[0]


async def test_the_palette_in_ascii_is_ascii(running: Running) -> None:
    """No picture of a glass, no lines of blocks."""
    async with running(ascii=True) as (app, pilot):
        await pilot.press("ctrl+p")
        await until(pilot, lambda: ":hosts" in shown_text(app))
        odd = {char for char in shown_text(app) if not char.isascii()}
        assert odd <= {"…"}
