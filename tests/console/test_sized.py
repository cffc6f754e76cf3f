"""The interface follows its window, also when that changes while a change is looked at."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console import overtaken
from tests.lab.console_pty import Terminal


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Terminal]:
    """A console on make-believe hosts, in a window that changes again once it was measured."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "TEXTUAL_DRIVER": f"{overtaken.__name__}:{overtaken.OvertakenDriver.__name__}",
    }
    argv = [sys.executable, "-m", "console.cli", "demo", "--simulated", "--hosts=2", "--vms=20"]
    terminal = Terminal(argv, environment, columns=132, rows=40)
    yield terminal
    terminal.close()


def test_the_newest_size_wins(console: Terminal) -> None:
    """A size whose reading was interrupted by the next one does not come after it."""
    console.sees("hosts 2/2 up")
    console.press("3")
    console.wait(lambda: whole(console.lines), "the VMs")
    console.resize(*overtaken.FROM)
    console.wait(lambda: os.get_terminal_size(console.master) == overtaken.TO, "the next size")
    console.resize(*overtaken.TO)
    console.wait(lambda: whole(console.lines), "the VMs in a window of the next size")
    console.press("q")
    assert console.ended() == 0


def whole(lines: list[str]) -> bool:
    """Whether the VMs are shown from the first line of the window to the last."""
    return "  VMs  " in lines[0] and any("NAME" in x for x in lines) and "? Help" in lines[-1]
