"""What the engine tells when its own work fails."""

from __future__ import annotations

import asyncio

import pytest

from console.backend import EventsReady, News
from console.engine import Engine
from console.sources import real_fleet
from drivers.errors import DriverError, TimedOut
from drivers.model.event import Severity
from store.api import StoreError


class _Runner:
    """A job runner whose journal cannot be read."""

    def __init__(self, error: DriverError | StoreError) -> None:
        self._error = error

    async def recover(self) -> None:
        raise self._error


def _no_store() -> None:
    raise AssertionError("nothing is recorded here")


@pytest.mark.parametrize(
    "error", [TimedOut("no answer in 30 s"), StoreError("the file is damaged")]
)
def test_jobs_that_could_not_be_taken_up_are_told(error):
    """Unfinished jobs of an earlier console are never silently left alone."""
    news: list[News] = []
    engine = Engine(real_fleet("none", ()), store=_no_store)  # type: ignore[arg-type]
    engine._publish = news.append
    asyncio.run(engine._recover(_Runner(error)))  # type: ignore[arg-type]
    (told,) = news
    assert isinstance(told, EventsReady)
    (event,) = told.events
    assert event.severity is Severity.ERROR
    assert error.problem.what in event.text
    engine._loop.close()
