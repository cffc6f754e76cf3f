"""Folders of forwarded sockets: short, private, and gone once their console is dead."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from drivers import scratch
from drivers.scratch import Scratch, drop

_CONSOLE = "from drivers.scratch import Scratch; print(Scratch().new(), flush=True); input()"


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder that counts as short, whatever the machine's temporary folder is called."""
    folder = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setattr(scratch, "_SOCKET_BYTES", 1000)
    return folder


def _console() -> tuple[subprocess.Popen[str], Path]:
    """Another console that made a folder; it ends when its input does."""
    script = f"from drivers import scratch; scratch._SOCKET_BYTES = 1000; {_CONSOLE}"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_long_runtime_folder_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deep XDG_RUNTIME_DIR or TMPDIR does not break every connection."""
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    monkeypatch.setattr(scratch.tempfile, "gettempdir", lambda: str(deep))
    made = Scratch().new()
    assert made.parent == Path(f"/tmp/novacron-{os.geteuid()}")
    assert len(os.fsencode(made / "99.sock")) <= 107
    drop(made)


def test_the_runtime_folder_of_this_user_is_taken(runtime: Path) -> None:
    """Closed to others; and nothing stays once the last folder is dropped."""
    made = Scratch().new()
    assert made.parent == runtime / "novacron"
    assert [stat.S_IMODE(p.stat().st_mode) for p in (made, made.parent)] == [0o700, 0o700]
    drop(made)
    assert not list(runtime.iterdir())


def test_the_folder_of_a_killed_console_goes_at_the_next_start(runtime: Path) -> None:
    """That of one that lives stays, and so does all that no console named."""
    (living, kept), (killed, left) = _console(), _console()
    try:
        (left / "0.sock").touch()
        other = runtime / "novacron" / "notes-of-somebody"
        other.mkdir()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        made = Scratch().new()
        assert not left.exists()
        assert kept.is_dir()
        assert other.is_dir()
        drop(made)
    finally:
        living.kill()
        for process in (living, killed):
            process.communicate()


def test_links_and_folders_of_others_are_not_touched(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link named like a dead console's folder leads nowhere; another user's folder is his."""
    home = runtime / "novacron"
    home.mkdir()
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    space = Path("/proc/self/ns/pid").stat().st_ino
    link, theirs = home / f"4194303-1-{space}-abcdefgh", home / f"4194303-2-{space}-abcdefgh"
    away = home / f"4194303-3-{space + 1}-abcdefgh"
    link.symlink_to(precious)
    away.mkdir()
    drop(Scratch().new())
    assert link.is_symlink()
    assert (precious / "file").exists()
    assert away.is_dir()
    theirs.mkdir()
    monkeypatch.setattr(scratch.os, "geteuid", lambda: os.getuid() + 1)
    scratch.sweep(home)
    assert theirs.is_dir()


def test_a_home_that_is_a_link_is_not_used(runtime: Path, tmp_path: Path) -> None:
    """Somebody may have made it to be led elsewhere: a folder of our own is made beside it."""
    (runtime / "novacron").symlink_to(tmp_path)
    made = Scratch().new()
    assert made.parent == runtime
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    drop(made)
    assert not list(tmp_path.iterdir())


def test_a_home_that_another_console_takes_away_is_made_again(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one out removes the empty home, at any moment of another's coming in."""
    make, taken = Path.mkdir, []

    def take_away(path: Path, mode: int = 0o777) -> None:
        make(path, mode)
        if len(taken) < 2:
            taken.append(path)
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", take_away)
    made = Scratch().new()
    assert made.parent == runtime / "novacron" == taken[1]
    drop(made)
