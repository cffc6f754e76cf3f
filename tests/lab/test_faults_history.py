"""Several consoles and a recorder on one history, whose writer is killed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from tests.lab.console_pty import ALL_UP, Desk, Terminal

pytestmark = [pytest.mark.lab, pytest.mark.timeout(280)]


def test_killing_the_writer_hands_recording_to_another(lab: LabFleet, tmp_path: Path) -> None:
    """One of three writes; killed, another takes over, samples go on and nobody speaks of locks."""
    with Desk(tmp_path, lab.specs()) as desk:
        first = desk.open()
        first.wait(lambda: writes(first), "the first to record")
        second = desk.open()
        second.sees(ALL_UP, f"rec by {first.process.pid}")
        recorder = desk.terminal("record")
        recorder.sees("history: reader")
        first.wait(lambda: newest(desk) > 0, "a first sample")
        first.kill()
        killed = time.time()
        second.wait(lambda: writes(second) or "history: writer" in recorder.text, "another writer")
        took = time.time() - killed
        second.wait(lambda: newest(desk) > killed + 1, "samples after the loss")
        print(f"another wrote {took:.1f} s after the writer was killed")
        second.wait(
            lambda: writes(second) != ("history: writer" in recorder.text), "one writer alone"
        )
        for console in (second, recorder):
            assert "lock" not in console.text.lower()
            assert "not recording" not in console.text


def writes(console: Terminal) -> bool:
    """Whether this console is the one that records."""
    line = console.line(ALL_UP)
    return " rec " in line and " rec by " not in line


def newest(desk: Desk) -> float:
    """When the newest sample was taken, seconds since the epoch; 0 without any."""
    told = json.loads(desk.run("sql", "--json", "SELECT max(ts) AS at FROM vm_samples"))
    rows = told["rows"] if isinstance(told, dict) else told
    value = rows[0]["at"] if isinstance(rows[0], dict) else rows[0][0]
    return float(value or 0)
