"""How the detail screens and dialogs look, at the smallest and at a usual size."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from drivers.model.job import Action, Confirm
from screens.dialogs.action_menu import ActionMenu
from screens.dialogs.host_key import HostKeyDialog
from screens.dialogs.preview import PreviewDialog
from screens.dialogs.target import TargetDialog
from screens.events import EventsScreen
from screens.history import HistoryScreen
from screens.jobs import JobsScreen
from screens.storage import StorageScreen
from screens.vm import VmScreen
from screens.xml import XmlScreen
from tests.screens.stage import WEB, Stage, fits, fleet, plan, view, web
from tests.screens.test_dialogs import CHANGED

Compare = Callable[..., bool]

SCREENS: dict[str, Callable[[], Screen[Any]]] = {
    "vm": lambda: VmScreen(WEB),
    "xml": lambda: XmlScreen(WEB),
    "jobs": JobsScreen,
    "events": EventsScreen,
    "storage": StorageScreen,
    "history": lambda: HistoryScreen(WEB),
    "preview": lambda: PreviewDialog((plan(confirm=Confirm.TYPED),)),
    "targets": lambda: TargetDialog(web(), Action.MIGRATE, fits()),
    "host-key": lambda: HostKeyDialog(CHANGED),
    "actions": lambda: ActionMenu((web(),), fleet()),
}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


async def settle(pilot: Pilot[None]) -> None:
    for _ in range(4):
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
@pytest.mark.parametrize("name", SCREENS)
def test_looks(snap_compare: Compare, name: str, size: tuple[int, int]) -> None:
    """Aligned, nothing cut off that matters, the keys in the last line."""
    assert snap_compare(Stage(SCREENS[name]()), terminal_size=size, run_before=settle)


@pytest.mark.parametrize("name", ["vm", "jobs", "storage", "history", "preview"])
def test_looks_in_ascii_and_sixteen_colours(snap_compare: Compare, name: str) -> None:
    """The same with the terminal's own colours and ASCII alone."""
    app = Stage(SCREENS[name](), replace(view(), ascii=True))
    app.theme = "novacron-16"
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)
