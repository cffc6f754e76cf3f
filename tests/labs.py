"""Folders for the labs of one test run, which the next run removes when this one is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from drivers.lab.fleet import LabFleet
from drivers.lab.ground import MARKER

_PLACE = Path("/var/tmp")  # on a disk, and short enough for the sockets inside
_PREFIX = "nvt-"


class RunFolder:
    """A folder for all labs of this run, held by a lock that ends with its process."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_PLACE))
        self.path.chmod(0o755)
        scratch = self.path / "run.new"
        self._lock = scratch.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        scratch.rename(self.path / "run")
        self._made: list[Path] = []

    def new(self) -> Path:
        """An empty folder with a short path."""
        self._made.append(Path(tempfile.mkdtemp(prefix="", dir=self.path)))
        return self._made[-1]

    def close(self) -> None:
        """End what still runs, also of a test that failed; each folder must be empty then."""
        try:
            left = [path for folder in self._made if folder.exists() for path in folder.iterdir()]
            end_labs(self.path)
            for folder in self._made:
                if folder.exists():
                    folder.rmdir()
        except OSError as error:
            raise AssertionError(f"these were left behind: {left}") from error
        finally:
            self._lock.close()
        shutil.rmtree(self.path)


def sweep_leftovers() -> None:
    """Remove the labs of runs that were killed: their locks are free."""
    for folder in _PLACE.glob(f"{_PREFIX}*"):
        try:
            if folder.stat().st_uid == os.geteuid() and not _is_held(folder / "run"):
                end_labs(folder)
                shutil.rmtree(folder)
        except FileNotFoundError:  # another run removes it at the same time
            continue


def end_labs(folder: Path) -> None:
    """End every lab in a run's folder, however deep: its processes would outlive its files."""
    for marker in sorted(folder.rglob(MARKER)):
        LabFleet(marker.parent).down()


def _is_held(lock: Path) -> bool:
    """Whether its run lives; one that has not locked its folder yet counts as living."""
    try:
        with lock.open("r+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
