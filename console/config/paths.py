"""Where NovaCron keeps things, by the XDG base directory rules."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import PlatformDirs


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders and files of one user.

    Attributes:
        config: The fleet file.
        settings: Choices made in the console (theme), kept across starts.
        data: Folder of the recorded history.
        cache: Folder of things that can be made again.
        pictures: Folder of saved screens: the user's own for pictures where there is one.
    """

    config: Path
    settings: Path
    data: Path
    cache: Path
    pictures: Path

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.data / "history.duckdb"


def user_paths(config: str | None = None) -> Paths:
    """Paths for this user; ``config`` (``--config``) wins over ``NOVACRON_CONFIG`` over XDG."""
    dirs = PlatformDirs("novacron", appauthor=False)
    chosen = config or os.environ.get("NOVACRON_CONFIG", "")
    own = Path(dirs.user_pictures_dir)
    default = Path(dirs.user_config_dir) / "fleet.toml"
    return Paths(
        config=Path(chosen).expanduser() if chosen else default,
        settings=Path(dirs.user_config_dir) / "settings.json",
        data=Path(dirs.user_data_dir),
        cache=Path(dirs.user_cache_dir),
        pictures=own if own.is_dir() else Path(dirs.user_data_dir) / "pictures",
    )
