"""The lab's folder: where it may be, whose it is, and leaving nothing of it behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from drivers.errors import Busy, Failed, Refused, Unsupported
from drivers.lab.model import Mode

MARKER = ".novacron-lab"
"""Says that a folder is a lab's, and how many folders ``up`` made for it, itself and those above.

Written first, removed last.
"""

_OURS = ("ssh", "image", "store", "switch", "lab.json", "lab.json.new")
_PLAIN = re.compile(r"[A-Za-z0-9._/@+~-]+")

_SOCKET_ROOM = 107
"""Longest path of a Unix socket (sun_path less its final zero)."""

_LONGEST_SOCKET = "/kvm10/c/libvirt/qemu/lib/domain-1000-12345678901234567890/monitor.sock"
"""The longest socket under a host's folder: QEMU's monitor, by libvirt's own naming."""

LONGEST_FOLDER = _SOCKET_ROOM - len(_LONGEST_SOCKET)
"""Longest path of the folder of a lab without privileges, bytes."""


def default_folder() -> Path:
    """Where a person's lab lives: the state folder, or a shorter one when sockets need it.

    A Unix socket's path holds 107 bytes, so a long home folder needs a shorter place; so does
    one whose name ssh, libvirt or QEMU would take apart.
    """
    places = []
    state = os.environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):
        places.append(Path(state) / "novacron" / "lab")
    with contextlib.suppress(RuntimeError):
        home = Path.home()
        if home.is_absolute() and os.access(home, os.W_OK):
            if not places:
                places.append(home / ".local" / "state" / "novacron" / "lab")
            places.append(home / ".novacron-lab")
    mode = Mode.NETNS if os.geteuid() == 0 else Mode.USER
    for place in places:
        with contextlib.suppress(Unsupported):
            check_path(place, mode)
            return place
    return Path("/var/tmp") / f"novacron-{os.geteuid()}" / "lab"  # noqa: S108 - claim() checks it


def check_path(folder: Path, mode: Mode) -> None:
    """Make sure that every program of a lab can work with a folder's name.

    Raises:
        Unsupported: It is too long for the sockets inside, or holds characters with a meaning in
            the configuration of sshd, ssh, libvirt or the shell.
    """
    fix = "choose another with --folder, such as /var/tmp/lab"
    strange = sorted(set(_PLAIN.sub("", str(folder))))
    if strange:
        raise Unsupported(
            f"the lab's folder {str(folder)!r} has characters that ssh or libvirt take apart",
            f"these: {' '.join(map(repr, strange))}",
            fix,
        )
    length = len(os.fsencode(folder))
    if mode is Mode.USER and length > LONGEST_FOLDER:
        raise Unsupported(
            f"the lab's folder {folder} has too long a path for the sockets inside it",
            f"{length} bytes, at most {LONGEST_FOLDER} fit",
            fix,
        )


_LOCK_WAIT_S = 5.0  # a killed `up` leaves commands that end by themselves, holding the lock


class Ground:
    """One lab's folder, claimed by a marker before anything is put into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._marker = folder / MARKER

    @property
    def is_lab(self) -> bool:
        """Whether a lab was made here, or began to be.

        Raises:
            Refused: The folder is another user's.
        """
        try:
            if not self.folder.is_dir():
                return False
            self._check_owner(self.folder)
            return self._marker.exists() or (self.folder / "lab.json").exists()
        except PermissionError as error:
            raise Refused(
                f"the folder {self.folder} is closed to this user",
                str(error),
                "choose another folder with --folder",
            ) from error

    def claim(self) -> None:
        """Make the folder, or take an empty one, and mark it as a lab's.

        Raises:
            Refused: It holds other things, or somebody else could change what is in it.
        """
        fix = "choose another folder with --folder"
        made = 0
        try:
            for folder in (*reversed(self.folder.parents), self.folder):
                if not folder.exists():
                    with contextlib.suppress(FileExistsError):
                        folder.mkdir(mode=0o700)
                        made += 1
            if self.is_lab:
                return
            parent = self.folder.parent
            if not parent.stat().st_mode & stat.S_ISVTX:
                self._check_owner(parent)
            strangers = sorted(path.name for path in self.folder.iterdir())
            if strangers:
                shown = ", ".join(strangers[:5])
                raise Refused(f"the folder {self.folder} holds other things", shown, fix)
            self._marker.write_text(f"{made}\n")
        except OSError as error:
            raise Refused(f"no lab can be made in {self.folder}", str(error), fix) from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from making or ending the same lab.

        Raises:
            Busy: One is at it.
        """
        with (self.folder / "lock").open("w") as stream:
            end = time.monotonic() + _LOCK_WAIT_S
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if time.monotonic() >= end:
                        what = f"the lab in {self.folder} is being started or ended already"
                        raise Busy(what) from error
                time.sleep(0.1)
            yield

    def clear(self) -> None:
        """Remove everything of the lab but its claim.

        Raises:
            Failed: Something could not be removed.
        """
        try:
            for path in list(self.folder.iterdir()):
                if path.name in _OURS or path.name.startswith("kvm"):
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
        except OSError as error:
            raise Failed(f"the lab in {self.folder} could not be removed", str(error)) from error

    def release(self) -> None:
        """Remove all of the lab, and the empty folders that ``claim`` made."""
        self.clear()
        made = self._made()
        for name in ("lock", MARKER):
            (self.folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody put a file of theirs into it
            for folder in (self.folder, *self.folder.parents)[:made]:
                folder.rmdir()

    def _made(self) -> int:
        """How many folders ``claim`` made; none where its mark is unreadable."""
        try:
            return int(self._marker.read_text())
        except (OSError, ValueError):
            return 0

    @staticmethod
    def _check_owner(folder: Path) -> None:
        """Only root and the user who runs this may own a folder that a lab lives in."""
        owner = folder.stat().st_uid
        if os.geteuid() != 0 and owner not in (0, os.geteuid()):
            raise Refused(
                f"the folder {folder} belongs to another user",
                f"user id {owner}, and this is {os.geteuid()}",
                "choose another folder with --folder",
            )
