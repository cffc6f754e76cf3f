"""``novacron demo`` on a machine without QEMU and libvirt: one line, and another way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.headless.status import Exit
from tests.lab.console_pty import ENTER, ROOT, Terminal


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """Environment of a person whose machine has next to no programs."""
    (tmp_path / "bin").mkdir()
    setsid = shutil.which("setsid")
    assert setsid
    (tmp_path / "bin" / "setsid").symlink_to(setsid)
    return {
        "PATH": str(tmp_path / "bin"),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
    }


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "lab") if os.geteuid() == 0 else "/var/tmp/novacron-none"


@pytest.fixture
def terminal(bare: dict[str, str], folder: str) -> Iterator[Terminal]:
    argv = [sys.executable, "-m", "console.cli", "demo", "--folder", folder]
    opened = Terminal(argv, bare, columns=120, rows=30)
    yield opened
    opened.close()


def test_without_a_terminal_one_line_names_the_other_way(bare: dict[str, str], folder: str) -> None:
    """A script learns it from the exit status as well; nothing is left of the attempt."""
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", "demo", "--folder", folder],
        env=bare,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == Exit.FAILED
    what, way = done.stderr.splitlines()
    assert "qemu-system-x86" in what
    assert way == "Without it: novacron demo --simulated"
    assert not Path(folder).exists()


def test_a_person_is_offered_the_simulated_fleet(terminal: Terminal) -> None:
    """Enter opens it, and it says so on every screen."""
    terminal.sees("Open a simulated fleet instead? [Y/n]")
    assert terminal.line("needs", "qemu-system-x86")
    terminal.press(ENTER)
    terminal.sees("SIMULATED")
    terminal.press("3")
    terminal.sees("SIMULATED", "VMs")


def test_no_is_an_answer(terminal: Terminal) -> None:
    """Then it ends, and says how to have it later."""
    terminal.sees("Open a simulated fleet instead? [Y/n]")
    terminal.press("n", ENTER)
    assert terminal.ended() == Exit.FAILED
    terminal.sees("Without it: novacron demo --simulated")
