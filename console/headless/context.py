"""What every verb needs from the command line: paths, fleet, store."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from console.config.load import (
    ConfigError,
    bounds_of,
    load_fleet,
    rules_of,
    specs_from_uris,
    specs_of,
)
from console.config.paths import Paths, user_paths
from console.config.schema import FleetFile
from console.config.upgrades import upgrades_of
from console.sources import FleetSource, real_fleet
from drivers.model.problem import Problem
from store.api import Store
from store.settings import StoreSettings


@dataclass(frozen=True, slots=True)
class Context:
    """The fleet file (or its absence) and where things are kept."""

    paths: Paths
    fleet: FleetFile
    uris: tuple[str, ...] = ()

    def source(self, only: str = "") -> FleetSource:
        """The hosts to talk to: those named on the command line, else those configured.

        Args:
            only: Keep just the host of this name.

        Raises:
            ConfigError: There is none.
        """
        specs = specs_from_uris(list(self.uris)) if self.uris else specs_of(self.fleet)
        if only:
            specs = tuple(s for s in specs if s.name == only)
            if not specs:
                fix = "see the hosts in the fleet file; a URI is given as --uri URI"
                raise _problem(f"No host is called {only}.", fix)
        if not specs:
            raise _problem(
                "No hosts are configured.",
                "run `novacron init`, or name one: novacron qemu+ssh://root@HOST/system",
            )
        return real_fleet(
            self.fleet.name,
            specs,
            rules=rules_of(self.fleet),
            bounds=bounds_of(self.fleet),
            upgrades=upgrades_of(self.fleet),
        )

    @property
    def database(self) -> Path:
        """The history file."""
        configured = self.fleet.history.path
        return Path(configured).expanduser() if configured else self.paths.database

    def open_store(self) -> Store:
        """Open the history as writer, or as reader of the one who writes. Blocks."""
        from store.open import open_store

        history = self.fleet.history
        settings = StoreSettings(
            memory_limit=f"{history.memory_mb}MB",
            raw_s=history.raw,
            minute_s=history.minute,
            hour_s=history.hour,
            group=history.group,
        )
        return open_store(self.database, settings=settings, want_writer=history.enabled)


def context_of(args: argparse.Namespace) -> Context:
    """Read the fleet file the arguments name; without any, hosts may come as URIs.

    Raises:
        ConfigError: The file is missing though it was named, or says something it may not.
    """
    paths = user_paths(args.config)
    uris = tuple(getattr(args, "uri", None) or ())
    named = args.config or os.environ.get("NOVACRON_CONFIG", "")
    if not paths.config.exists() and (uris or not named):
        return Context(paths, FleetFile(), uris)
    return Context(paths, load_fleet(paths.config), uris)


def _problem(what: str, fix: str) -> ConfigError:
    return ConfigError((Problem(what, "", fix, "config"),))
