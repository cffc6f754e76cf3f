"""Stores that are always closed, on a clock that stands still unless told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from store.api import Store
from store.open import open_store
from store.settings import StoreSettings
from tests.store.fleet import T0


class Clock:
    """Seconds since the epoch that a test sets; time really passes with it unless it jumps."""

    def __init__(self) -> None:
        self.now = T0
        self.jumped = 0.0

    def __call__(self) -> float:
        return self.now

    def ticks(self) -> float:
        """Seconds since a boot a day before the test."""
        return self.now - self.jumped - T0 + 86_400

    def jump(self, seconds: float) -> None:
        """Set the clock by so much, with no time passing."""
        self.now += seconds
        self.jumped += seconds


class Opener(Protocol):
    def __call__(self, *, want_writer: bool = True, **changes: Any) -> Store: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.duckdb"


@pytest.fixture
def opened(path: Path, clock: Clock) -> Iterator[Opener]:
    """Opens stores at ``path`` with short rhythms; closes them all."""
    stores: list[Store] = []

    def make(*, want_writer: bool = True, **changes: Any) -> Store:
        rhythm = {"commit_s": 0.05, "retry_s": 0.1, "free_bytes": 0}
        chosen: dict[str, Any] = {"clock": clock, "ticks": clock.ticks} | rhythm | changes
        store = open_store(path, settings=StoreSettings(**chosen), want_writer=want_writer)
        stores.append(store)
        return store

    yield make
    for store in reversed(stores):
        store.close()


def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait for a condition, failing with ``what`` after a deadline."""
    deadline = time.monotonic() + seconds
    gate = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        gate.wait(0.02)


def scalar(store: Store, text: str) -> Any:
    """The first cell of a statement's answer."""
    return store.sql(text).rows[0][0]
