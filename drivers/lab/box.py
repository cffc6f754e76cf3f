"""A box: namespaces of its own, held open by one sleeping process that is process 1 inside.

Killing that process ends everything in the box and undoes its mounts, interfaces and hostname;
nothing of a box is visible in the machine's own mount table.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from drivers.errors import Failed
from drivers.lab.processes import (
    MARK,
    Process,
    end_all,
    environment_of,
    every_pid,
    is_alive,
    marked,
    program_of,
    read_process,
    shares_root,
    wait_until,
)

_BOX_MARK = "NOVACRON_BOX"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Box:
    """One set of namespaces (network, mount, UTS, IPC, PID) named inside its lab."""

    def __init__(self, lab: Path, name: str) -> None:
        self.lab = lab
        self.name = name
        self._process: Process | None = None

    @property
    def process(self) -> Process | None:
        """The sleeping process that holds the box; None when there is no box."""
        if self._process is None or not is_alive(self._process):
            found = [p for p in self._holders() if program_of(p.pid) == "sleep"]
            self._process = found[0] if found else None
        return self._process

    @property
    def pid(self) -> int:
        """Process id of the holder on this machine.

        Raises:
            Failed: The box is gone.
        """
        process = self.process
        if process is None:
            raise Failed(
                f"the practice host {self.name} is gone", fix="run: novacron lab up, to repair it"
            )
        return process.pid

    @property
    def root(self) -> Path:
        """The box's file tree, as this machine can read it."""
        return Path(f"/proc/{self.pid}/root")

    def start(self, setup: str) -> None:
        """Make the box; ``setup`` is a shell script run as process 1 before it goes to sleep.

        Raises:
            Failed: The script failed, with what it said.
        """
        self.stop()
        folder = self.lab / self.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ready, log = folder / "ready", folder / "box.log"
        ready.unlink(missing_ok=True)
        # By a relative path: a lab in root's home is out of sight once the host has its own home.
        # With SIGCHLD ignored the kernel reaps the daemons that end up with process 1.
        lines = ["set -e", f"cd {shlex.quote(str(folder))}", setup, f": >{ready.name}", "cd /"]
        script = "\n".join([*lines, "exec env --ignore-signal=CHLD sleep infinity"])
        spaces = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        argv = ["setsid", "--fork", "unshare", *spaces, "--mount-proc", "sh", "-c", script]
        with log.open("wb") as output:
            subprocess.run(
                argv,
                env={**self.environment(), _BOX_MARK: self.name},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        wait_until(lambda: ready.exists() or self._is_gone(), 60.0, 0.02)
        if not ready.exists() or not wait_until(lambda: self.process is not None, 30.0, 0.01):
            self.stop()
            raise Failed(
                f"the namespaces of {self.name} could not be made", log.read_text()[-400:].strip()
            )

    def stop(self) -> None:
        """End the box and all that runs in it."""
        end_all(self._holders)
        self._process = None

    def environment(self) -> dict[str, str]:
        """Environment of everything run in the box."""
        return {"PATH": _PATH, "LC_ALL": "C", "HOME": "/", MARK: str(self.lab)}

    def command(self, argv: Sequence[str]) -> list[str]:
        """``argv`` as this machine runs it inside the box."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-i", "-p", "--", *argv]

    def ip(self, *words: str) -> None:
        """Run this machine's ``ip`` in the box's network namespace alone."""
        run_tool(self.lab, "nsenter", "-t", str(self.pid), "-n", "--", "ip", *words)

    def remove_link(self, name: str) -> None:
        """Remove an interface of the box, if it is there."""
        remove_link(self.lab, name, "nsenter", "-t", str(self.pid), "-n", "--")

    def outer(self, inner: int) -> Process | None:
        """The process that has this id inside the box, under its id on this machine."""
        for pid in self.pids():
            if _inner_pid(pid) == inner:
                return read_process(pid)
        return None

    def pids(self) -> tuple[int, ...]:
        """This machine's ids of all processes in the box."""
        space = _pid_namespace(self.pid)
        return tuple(pid for pid in every_pid() if _pid_namespace(pid) == space)

    def _is_gone(self) -> bool:
        """Whether nothing of the box runs; asked twice, as an exec hides an environment."""
        if self._holders():
            return False
        time.sleep(0.1)
        return not self._holders()

    def _holders(self) -> tuple[Process, ...]:
        marks = {f"{MARK}={self.lab}".encode(), f"{_BOX_MARK}={self.name}".encode()}
        return tuple(
            process
            for pid in every_pid()
            if marks <= environment_of(pid)
            and shares_root(pid)
            and (process := read_process(pid)) is not None
        )


def run_tool(lab: Path, *argv: str) -> str:
    """Run a tool of this machine, marked as the lab's; returns what it printed.

    Raises:
        Failed: It ended with an error.
    """
    done = subprocess.run(argv, env=marked(lab), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{argv[0]} failed", f"{' '.join(argv)}: {done.stderr.strip()[-300:]}")
    return done.stdout


def remove_link(lab: Path, name: str, *within: str) -> None:
    """Remove a network interface, if it is there; ``within`` goes before the ``ip`` command."""
    try:
        run_tool(lab, *within, "ip", "link", "del", name)
    except Failed:  # never there, or gone with the other end of its pair
        shown = json.loads(run_tool(lab, *within, "ip", "-j", "link"))
        if name in [link["ifname"] for link in shown]:
            raise


def _pid_namespace(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return f"gone {pid}"


def _inner_pid(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except OSError:
        pass
    return -1
