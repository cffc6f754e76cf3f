"""The ``novacron`` command as a person or a script runs it: another process, a fleet file, JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.model.host import HostSpec

_DEADLINE_S = 180.0


@dataclass(frozen=True)
class Answer:
    """What one run of the command left."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as one JSON value."""
        return json.loads(self.out)

    def last(self) -> dict[str, Any]:
        """The last of the JSON lines that follow a job."""
        lines = self.out.strip().splitlines()
        assert lines, f"status {self.status}: {self.err}"
        found: dict[str, Any] = json.loads(lines[-1])
        return found


class Cli:
    """``novacron --config FILE``, recording into ``folder``."""

    def __init__(self, folder: Path, specs: Sequence[HostSpec]) -> None:
        self.folder = folder
        self.config = folder / "fleet.toml"
        self.config.write_text(fleet_file(specs, folder / "history.duckdb"))

    def argv(self, *words: str, program: Sequence[str] = ("-m", "console.cli")) -> list[str]:
        """The whole command line."""
        return [sys.executable, *program, "--config", str(self.config), *words]

    def environment(self) -> Mapping[str, str]:
        """The tester's own, with folders apart from the tester's."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SSH_")}
        return kept | {
            "XDG_DATA_HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    def __call__(self, *words: str) -> Answer:
        """Run to the end."""
        done = subprocess.run(
            self.argv(*words),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def dies(self, point: str, *words: str) -> None:
        """Run until it kills itself at ``point`` (see ``e2e_doomed``)."""
        done = subprocess.run(
            self.argv(*words, program=("-m", "tests.lab.e2e_doomed")),
            env={**self.environment(), "NOVACRON_DIES": point},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, (
            f"{point} was not met: {done.stdout}{done.stderr}"
        )

    @contextmanager
    def begun(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run without waiting; killed at the end of the block if it still lives."""
        with (self.folder / "stderr").open("w") as errors:
            process = subprocess.Popen(
                self.argv(*words),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def until_moving(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Read a job's JSON lines until figures show that something has been sent."""
        assert process.stdout is not None
        for line in process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["progress"] and told["progress"]["done"]:
                return told
        raise AssertionError(f"it ended before: {(self.folder / 'stderr').read_text()}")


def fleet_file(specs: Sequence[HostSpec], database: Path) -> str:
    """A fleet file that says what ``specs`` say, in TOML (whose strings are JSON's here)."""
    lines = ['name = "lab"', "[history]", f"path = {json.dumps(str(database))}"]
    for spec in specs:
        lines.append("[[hosts]]")
        keys = ("name", "uri", "protect", "transport", "ssh_config", "migrate_uri", "peer_uri")
        lines += [f"{key} = {json.dumps(str(getattr(spec, key)))}" for key in keys]
        tiers = ", ".join(f"{pool} = {json.dumps(tier)}" for pool, tier in spec.tiers.items())
        lines += [f"tiers = {{ {tiers} }}", "intervals = { fast = 1, slow = 3, pools = 5 }"]
    return "\n".join(lines) + "\n"
