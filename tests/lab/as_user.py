"""Running the lab's code as an ordinary user, also from tests that root runs.

Root makes up a user: a mount namespace of its own with one line more in /etc/passwd and
/etc/group. Nothing of it is visible outside, and nothing is left when its last process ends.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LAB_USER_ID = 4242
_NAME = "labuser"
_PYTHONS = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")

_ENTER = """
set -e
mount -n --bind "$1/passwd" /etc/passwd
mount -n --bind "$1/group" /etc/group
shift
exec setpriv --reuid 4242 --regid 4242 --clear-groups "$@"
"""


class OrdinaryUser:
    """Whoever runs the tests, or a made-up user when that is root.

    Attributes:
        home: An empty home folder.
        place: A folder of the user's own with a short path, for labs.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.home = place / "h"
        self._code = place / "code"
        self.home.mkdir()
        shutil.copytree(ROOT / "drivers", self._code / "drivers", ignore=_no_caches)
        (self._code / "tests").mkdir()
        (self._code / "tests" / "__init__.py").touch()
        shutil.copytree(Path(__file__).parent, self._code / "tests" / "lab", ignore=_no_caches)
        if os.geteuid() == 0:
            for name in ("passwd", "group"):
                text = Path("/etc", name).read_text().rstrip("\n")
                line = f"{_NAME}:x:{LAB_USER_ID}:"
                more = f"{LAB_USER_ID}:Lab:{self.home}:/bin/sh" if name == "passwd" else ""
                (place / name).write_text(f"{text}\n{line}{more}\n")
            for path in (place, *place.rglob("*")):
                os.chown(path, LAB_USER_ID, LAB_USER_ID)
        self.python = self._find_python()

    def command(self, *words: str) -> list[str]:
        """``words`` as they must be run to run as the user."""
        if os.geteuid() != 0:
            return list(words)
        inner = ["sh", "-c", _ENTER, "enter", str(self.place), *words]
        return ["unshare", "--mount", *inner]

    def run(
        self, *words: str, env: Mapping[str, str] | None = None, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as the user, in a clean environment with ``env`` added."""
        return subprocess.run(
            self.command(*words),
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **(env or {})},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def do(self, verb: str, *words: str, env: Mapping[str, str] | None = None) -> Any:
        """Run a verb of ``tests.lab.user_verbs``; returns the value it printed."""
        more = {**self._code_path, **(env or {})}
        done = self.run(self.python, "-m", "tests.lab.user_verbs", verb, *words, env=more)
        if done.returncode:
            raise AssertionError(f"{verb} {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)

    def start(self, verb: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a verb of ``tests.lab.user_verbs`` in a process that can be killed."""
        return subprocess.Popen(
            self.command(self.python, "-m", "tests.lab.user_verbs", verb, *words),
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **self._code_path},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    @property
    def _code_path(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self._code), "PYTHONDONTWRITEBYTECODE": "1"}

    def _find_python(self) -> str:
        """A Python that the user may read: root's own is often in root's home."""
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        for python in _PYTHONS:
            if self.run(python, "-c", check).returncode == 0:
                return python
        raise AssertionError(f"no Python 3.11 that an ordinary user can run: {_PYTHONS}")


def _no_caches(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__"}
