"""The console resized to anything and left: the screen is whole and so is the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from tests.lab.console_pty import (
    Desk,
)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(280)]


@pytest.fixture
def desk(mended: LabFleet, tmp_path: Path) -> Iterator[Desk]:
    """A person at a terminal with the practice fleet."""
    with Desk(tmp_path, mended.specs()) as found:
        yield found


def test_any_size_of_window_and_a_quit_leave_a_good_terminal(desk: Desk) -> None:
    """Down to one cell and back redraws the screen; after quitting the modes are as before."""
    console = desk.open()
    console.press("3")
    console.sees(" web1 ", "running")
    for columns, rows in ((1, 1), (20, 5), (1, 40), (200, 1)):
        console.resize(columns, rows)
        console.press("2", "3")
    console.resize(100, 30)
    console.sees("NAME", "HOST", "STATE")
    console.sees(" web1 ", "running")
    assert len(console.lines) == 30
    console.press("q")
    assert console.ended() == 0
    assert console.modes() == console.before
