"""Passing folders of this console: private, short enough for sockets, and swept once it is dead.

A folder's name tells whose it is: ``PID-START-SPACE-RANDOM``, by the start time of the process in
ticks (field 22 of /proc/PID/stat) and the inode of the namespace that counts process ids. So the
folders of a console that was killed can be told from those of one that lives, by any later one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from drivers.lab.processes import Process, is_alive, read_process

_SOCKET_BYTES = 107
"""Longest path of a Unix socket (sun_path less its final zero)."""

_LONGEST = "novacron-4294967295/4194304-999999999999-4294967295-12345678/99.sock"
"""The longest socket below a base: a user's folder, a console's folder and the socket in it."""

_NAME = re.compile(r"(\d{1,10})-(\d{1,20})-(\d{1,20})-\w+")
_TRIES = 5


class Scratch:
    """Makes passing folders, after those of dead consoles of this user were removed.

    They live in ``$XDG_RUNTIME_DIR/novacron`` where there is such a folder of this user, else in
    ``novacron-UID`` in the folder for temporary files.

    Args:
        large: For files that may be large: never in memory, as ``XDG_RUNTIME_DIR`` is.
    """

    def __init__(self, *, large: bool = False) -> None:
        self._large = large
        self._swept = False

    def new(self) -> Path:
        """An empty folder that only this user may enter; ``drop`` removes it.

        Raises:
            OSError: None could be made.
        """
        us, home = read_process(os.getpid()), self._home()
        for _ in range(_TRIES):  # another console may take the empty home away in between
            with contextlib.suppress(FileNotFoundError):
                if us is None or not _claim(home):  # nobody could tell later whose it is
                    return Path(tempfile.mkdtemp(prefix="novacron-", dir=home.parent))
                if not self._swept:
                    self._swept = True
                    sweep(home)
                prefix = f"{us.pid}-{us.start}-{_space()}-"
                return Path(tempfile.mkdtemp(prefix=prefix, dir=home))
        raise FileNotFoundError(f"{home} does not stay")

    @contextlib.contextmanager
    def passing(self) -> Iterator[Path]:
        """Such a folder for as long as the block runs."""
        folder = self.new()
        try:
            yield folder
        finally:
            drop(folder)

    def _home(self) -> Path:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        if runtime and not self._large and _is_own(Path(runtime)) and _is_short(runtime):
            return Path(runtime) / "novacron"
        base = tempfile.gettempdir()
        if not self._large and not _is_short(base):
            base = "/tmp"  # noqa: S108 - _claim() checks whose the folder in it is
        return Path(base) / f"novacron-{os.geteuid()}"


def drop(folder: Path) -> None:
    """Remove a folder that ``Scratch.new`` made, and what held it once that is empty."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent.name in ("novacron", f"novacron-{os.geteuid()}"):
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def sweep(home: Path) -> None:
    """Remove the folders of this user's consoles that do not live any more.

    Left alone is what is a link, another user's, of another name, or counted in another namespace
    of process ids, whose consoles cannot be seen from here.
    """
    with contextlib.suppress(OSError), os.scandir(home) as entries:
        for entry in entries:
            named = _NAME.fullmatch(entry.name)
            if named is None or not _is_own(Path(entry.path)):
                continue
            pid, start, space = map(int, named.groups())
            if space == _space() and not is_alive(Process(pid, start)):
                drop(Path(entry.path))


def _claim(home: Path) -> bool:
    """Make sure that a folder is there, ours and closed to others; False where it is not ours.

    Raises:
        FileNotFoundError: Somebody took it away meanwhile.
    """
    with contextlib.suppress(FileExistsError):
        home.mkdir(mode=0o700)
    if not _owned(home.lstat()):
        return False
    home.chmod(0o700)
    return True


def _is_own(path: Path) -> bool:
    """Whether this is a folder, no link to one, and this user's."""
    try:
        return _owned(path.lstat())
    except OSError:
        return False


def _owned(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_short(base: str) -> bool:
    return len(os.fsencode(base)) + 1 + len(_LONGEST) <= _SOCKET_BYTES and os.access(base, os.W_OK)


def _space() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino
