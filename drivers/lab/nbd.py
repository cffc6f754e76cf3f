"""The network disk store: qemu-nbd exports that all hosts of a lab reach."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from drivers.errors import Failed
from drivers.lab.plan import STORE_PORTS, LabPlan
from drivers.lab.processes import (
    Process,
    end_all,
    every_pid,
    program_of,
    read_process,
    shares_root,
    wait_until,
    words_of,
)

_ANSWER_S = 5.0


class Place(Protocol):
    """Where the store's processes run: this machine itself, or the switch's box."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """``argv`` as this machine must run it."""
        ...

    def environment(self) -> dict[str, str]:
        """Environment to run it in."""
        ...


class NetworkStore:
    """Raw images in ``store/`` of the lab's folder, one export and one port each."""

    def __init__(self, lab: Path, plan: LabPlan, place: Place) -> None:
        self.folder = lab / "store"
        self.plan = plan
        self.place = place

    def image(self, name: str) -> Path:
        """The file behind an export."""
        return self.folder / f"{name}.raw"

    def exports(self) -> dict[str, int]:
        """Name to port of every export there should be."""
        try:
            found: dict[str, int] = json.loads((self.folder / "ports.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def ensure(self, name: str, size_mib: int) -> str:
        """Export a disk, making it when needed; returns ``name@address:port``.

        Raises:
            Failed: There is no port left, or qemu-nbd did not start: the disk is then forgotten.
        """
        exports = self.exports()
        new = name not in exports
        if new:
            first = self.plan.store_port
            free = [p for p in range(first, first + STORE_PORTS) if p not in exports.values()]
            if not free:
                raise Failed(f"the network store holds at most {STORE_PORTS} disks")
            self.folder.mkdir(mode=0o700, exist_ok=True)
            exports[name] = free[0]
        image = self.image(name)
        if not image.exists():
            scratch = image.with_suffix(".new")
            with scratch.open("wb") as stream:
                stream.truncate(size_mib << 20)
            scratch.rename(image)
        self._write(exports)
        try:
            if not self.answers(name):
                self._serve(name, exports[name])
        except Failed:
            if new:  # or the store would count as broken for a disk that nobody has
                self.forget(name)
            raise
        return f"{name}@{self.plan.store_address}:{exports[name]}"

    def restore(self) -> frozenset[str]:
        """Serve again what is served no more; returns the names of those disks.

        An export whose image is gone is left to ``ensure``.
        """
        lost = {name: port for name, port in self.exports().items() if not self.answers(name)}
        for name, port in lost.items():
            end_all(lambda name=name: self._servers(name))  # type: ignore[misc]
            if self.image(name).exists():
                self._serve(name, port)
        return frozenset(lost)

    def forget(self, name: str) -> None:
        """Stop exporting a disk and remove its image."""
        exports = self.exports()
        if exports.pop(name, None) is not None:
            self._write(exports)
        end_all(lambda: self._servers(name))
        self.image(name).unlink(missing_ok=True)

    def answers(self, name: str) -> bool:
        """Whether somebody listens on an export's port."""
        port = self.exports().get(name)
        if port is None:
            return False
        try:
            with socket.create_connection((self.plan.store_address, port), timeout=_ANSWER_S):
                return True
        except OSError:
            return False

    def healthy(self) -> bool:
        """Whether every export answers."""
        return all(self.answers(name) for name in self.exports())

    def _servers(self, name: str) -> tuple[Process, ...]:
        """The qemu-nbd processes that hold an image open."""
        image = str(self.image(name)).encode()
        found = [read_process(pid) for pid in every_pid() if _serves(pid, image)]
        return tuple(process for process in found if process is not None)

    def _write(self, exports: dict[str, int]) -> None:
        scratch = self.folder / "ports.json.new"
        scratch.write_text(json.dumps(exports))
        scratch.rename(self.folder / "ports.json")

    def _serve(self, name: str, port: int) -> None:
        # Any number of clients: one whose host was killed never says that it is gone.
        argv = ["qemu-nbd", "--fork", "--persistent", "--shared=0", "--format=raw", "--cache=none"]
        argv += ["-x", name, "-p", str(port), "-b", self.plan.store_address, str(self.image(name))]
        done = subprocess.run(
            self.place.command(argv),
            env=self.place.environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode or not wait_until(lambda: self.answers(name), 60.0):
            raise Failed(f"the network store could not export {name}", done.stderr.strip()[-300:])


def _serves(pid: int, image: bytes) -> bool:
    return image in words_of(pid) and program_of(pid) == "qemu-nbd" and shares_root(pid)
