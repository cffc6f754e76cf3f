"""Keys, clicks, sizes and news as fast as they can come: the interface stands."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from textual import events
from textual.geometry import Size

from console.app import NovaCronApp
from console.appsettings import AppSettings
from console.backend import SnapshotReady
from screens.messages import HostOpened, VmOpened
from tests.screens.backend import FakeBackend
from tests.screens.conftest import until
from tests.screens.fleets import NOW, make_vm
from tests.screens.test_app import shown

SIZES = ((1, 1), (20, 5), (1, 40), (200, 1), (80, 24), (132, 43))
KEYS = (
    *"0123456789", "j", "k", "G", "N", "space", "enter", "escape", "tab",
    "slash", "colon", "question_mark", "left_square_bracket", "right_square_bracket",
    "minus", "a", "m", "t", "e", "l", "h", "y", "p", "i", "f", "w", "ctrl+z", "Z", "ctrl+r",
    "pagedown", "left", "right", "up", "down", "home", "end", "backspace",
)  # fmt: skip
OTHERS = ("vm clicked", "host clicked", "news", "turn")
STEPS = st.lists(
    st.sampled_from(KEYS) | st.sampled_from(SIZES) | st.sampled_from(OTHERS),
    min_size=20, max_size=60,
)  # fmt: skip


@settings(max_examples=10)
@given(STEPS)
def test_the_interface_stands(steps: list[str | tuple[int, int]]) -> None:
    """Whatever came before, views and the whole last size are shown at the end."""
    asyncio.run(_go_through(steps))


async def _go_through(steps: list[str | tuple[int, int]]) -> None:
    backend = FakeBackend()
    app = NovaCronApp(backend, settings=AppSettings(fleet="prod"), clock=lambda: NOW)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: bool(app.view.snapshot.hosts))
        for number, step in enumerate(steps):
            await _take(app, backend, number, step)
        app.post_message(_resized(100, 30))
        for _ in range(8):
            await until(pilot, lambda: not app.keys_wait())
            await pilot.press("escape")
        await until(pilot, lambda: not app.keys_wait())
        await pilot.press("1", "3")
        await until(pilot, lambda: "  VMs  " in shown(app).splitlines()[0])
        lines = shown(app).splitlines()
        assert len(lines) == 30
        assert "? Help" in lines[-1]
    assert app.return_code is None


async def _take(
    app: NovaCronApp, backend: FakeBackend, number: int, step: str | tuple[int, int]
) -> None:
    match step:
        case (columns, rows):
            app.post_message(_resized(columns, rows))
        case "turn":
            await asyncio.sleep(0)
        case "news":
            version = app.view.snapshot.version + 1
            backend.publish(SnapshotReady(replace(backend.snapshot, version=version)))
        case "vm clicked":
            app.post_message(VmOpened(make_vm(1 + number % 3, "kvm1").uuid))
        case "host clicked":
            app.post_message(HostOpened("kvm1"))
        case str(key):
            app.post_message(events.Key(key, key if len(key) == 1 else None))


def _resized(columns: int, rows: int) -> events.Resize:
    return events.Resize(Size(columns, rows), Size(columns, rows))
