"""What ``novacron record`` writes into the journal of its service."""

from __future__ import annotations

import re

import pytest

from console.backend import StoreReady
from console.headless.record import Log
from drivers.model.history import StoreStatus


def test_the_log_tells_changes_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """The store reports each second how much it holds; the journal must not fill with that."""
    log = Log()
    full = StoreStatus("writer", paused="the disk is full")
    for status in [StoreStatus("writer")] * 3 + [full] * 2 + [StoreStatus("reader")]:
        log.take(StoreReady(status))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" history: ")[2] for line in lines] == [
        "writer",
        "writer: the disk is full",
        "reader",
    ]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
