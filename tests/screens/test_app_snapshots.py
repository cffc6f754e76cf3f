"""How the whole console looks on a simulated fleet whose clock stands still."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from console.app import NovaCronApp
from console.appsettings import AppSettings
from tests.screens.backend import FakeBackend
from tests.screens.fleets import NOW
from tests.screens.simulated import simulated_fleet

Compare = Callable[..., bool]

PLACES: dict[str, tuple[str, ...]] = {
    "fleet": (),
    "hosts": ("2",),
    "host": ("2", "j", "j", "enter"),
    "vms": ("3",),
    "vm": ("3", "enter"),
    "storage": ("4",),
    "help": ("3", "question_mark"),
    "settings": ("8",),
    "command": ("3", "colon", *"mig"),
    "filter": ("3", "slash", *"web"),
}
"""Keys from the first screen to what is looked at."""

SIZES = [(80, 24), (160, 50)]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of day are part of the picture."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def console(*, plain: bool = False, theme: str = "novacron-dark") -> NovaCronApp:
    """The console over 6 simulated hosts and 40 VMs, one host down, one VM stuck."""
    settings = AppSettings(fleet="prod", ascii=plain, theme=theme)
    return NovaCronApp(FakeBackend(simulated_fleet()), settings=settings, clock=lambda: NOW)


def after(keys: tuple[str, ...]) -> Callable[[Pilot[None]], object]:
    """Press keys one by one, each once the screen before has settled."""

    async def run(pilot: Pilot[None]) -> None:
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
            await settled(pilot)

    return run


async def settled(pilot: Pilot[None]) -> None:
    """Everything posted so far is done, and no cursor blinks."""
    for _ in range(4):
        await pilot.pause()
        await pilot.app.workers.wait_for_complete()
    for field in pilot.app.screen.query("Input"):
        field.cursor_blink = False  # type: ignore[attr-defined]
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
@pytest.mark.parametrize("place", ["fleet", "vms"])
def test_main_screens(snap_compare: Compare, place: str, size: tuple[int, int]) -> None:
    """Problems first, columns aligned, the space used, the keys in the last line."""
    assert snap_compare(console(), terminal_size=size, run_before=after(PLACES[place]))


@pytest.mark.parametrize("place", [name for name in PLACES if name not in ("fleet", "vms")])
def test_other_screens(snap_compare: Compare, place: str) -> None:
    """Readable in the smallest terminal."""
    assert snap_compare(console(), terminal_size=SIZES[0], run_before=after(PLACES[place]))


@pytest.mark.parametrize("place", ["fleet", "storage"])
def test_plain_screens(snap_compare: Compare, place: str) -> None:
    """The same in ASCII and the terminal's own sixteen colours."""
    app = console(plain=True, theme="novacron-16")
    assert snap_compare(app, terminal_size=SIZES[0], run_before=after(PLACES[place]))


def test_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR: cursor, header and problems stand out by words, signs and reverse alone."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(console(), terminal_size=SIZES[0], run_before=after(()))
