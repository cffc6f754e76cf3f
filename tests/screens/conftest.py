"""One App over a fake backend, with a frozen clock."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from console.app import NovaCronApp
from console.appsettings import AppSettings
from console.views import Place, screen_class
from tests.screens.backend import FakeBackend
from tests.screens.fleets import NOW

Running = Callable[..., AbstractAsyncContextManager[tuple[NovaCronApp, Pilot[Any]]]]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's terminal settings must not change what a test sees."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def backend() -> FakeBackend:
    """Answers from memory."""
    return FakeBackend()


@pytest.fixture
def running(backend: FakeBackend, tmp_path: Path) -> Running:
    """Start the App: ``async with running(size=(80, 24), theme=...) as (app, pilot)``."""

    @asynccontextmanager
    async def run(
        *, size: tuple[int, int] = (80, 24), **settings: Any
    ) -> AsyncIterator[tuple[NovaCronApp, Pilot[Any]]]:
        chosen = AppSettings(**{"fleet": "prod", "save_to": tmp_path, **settings})
        app = NovaCronApp(backend, settings=chosen, clock=lambda: NOW)
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda: bool(app.view.snapshot.hosts))
            yield app, pilot

    return run


DEADLINE_S = 60.0
"""Far beyond what anything takes; only a machine with much else to do comes near."""


async def until(pilot: Pilot[Any], truth: Callable[[], bool]) -> None:
    """Let the App work until something holds."""
    ends = time.monotonic() + DEADLINE_S
    while not truth():
        if time.monotonic() > ends:
            raise AssertionError("what was waited for did not happen")
        await pilot.pause(0.01)


def arrived(app: NovaCronApp, place: Place) -> bool:
    """Whether the place's own screen is in front, and no other on its way."""
    return isinstance(app.front, screen_class(place.view)) and not app.keys_wait()
