"""The console resized, left for other terminals and quit: the screen and terminal are whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from tests.lab.console_pty import (
    ALL_UP,
    CTRL_RIGHT_BRACKET,
    ENTER,
    Desk,
    Terminal,
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
    console.press("2", "3")
    console.wait(
        lambda: "  VMs  " in console.lines[0] and "? Help" in console.lines[-1],
        "the whole window in its last size",
    )
    console.sees("NAME", "HOST", "STATE")
    console.sees(" web1 ", "running")
    assert len(console.lines) == 30
    console.press("q")
    assert console.ended() == 0
    assert console.modes() == console.before


def test_serial_console_and_shell_and_back(desk: Desk) -> None:
    """``c`` is the guest's own shell, ``s`` the host's; Ctrl-] or exit redraws the console."""
    console = desk.open()
    console.pick("3", "VMs", "web1")
    console.sees("c Console")
    console.press("c")
    console.sees("web1 serial console: Ctrl-] leaves")
    console.press(ENTER, "echo guest-$((6*7))", ENTER)
    console.sees("guest-42")
    console.press(CTRL_RIGHT_BRACKET)
    redrawn(console, "VMs", "web1")
    console.pick("2", "Hosts", "kvm2")
    console.press("s")
    console.sees("shell on kvm2: Ctrl-] leaves")
    console.press("hostname | tr a-z A-Z; stty size", ENTER)
    console.sees("KVM2")
    console.sees("40 132")
    console.press(CTRL_RIGHT_BRACKET)
    redrawn(console, "Hosts", "kvm2")
    console.press("s")
    console.sees("shell on kvm2: Ctrl-] leaves")
    console.press("exit", ENTER)
    redrawn(console, "Hosts", "kvm2")
    console.press("q")
    assert console.ended() == 0
    assert console.modes() == console.before


def redrawn(console: Terminal, heading: str, name: str) -> None:
    """Wait for a whole screen with nothing left of the other terminal."""

    def whole() -> bool:
        first, last = console.lines[0], console.lines[-1]
        inner = "\n".join(console.lines[1:-1])
        left = any(word in inner for word in ("leaves", "stty", "42", "~#"))
        return f"  {heading}  " in first and "Quit" in last and name in inner and not left

    console.wait(whole, f"{heading} redrawn")
    console.sees(ALL_UP)
