"""What the interface is started with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from console.config.paths import user_paths

_NO_KEYS: Mapping[str, str] = MappingProxyType({})


def _keep_nothing(_name: str, _value: str) -> None:
    """A session whose choices end with it."""


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Choices of configuration, command line and earlier sessions.

    Attributes:
        fleet: Name shown in the header.
        theme: A theme's name; an unknown one falls back to the default.
        ascii: Draw with ASCII characters only.
        keys: Binding id to keys, comma-separated, such as ``{"app.quit": "ctrl+q"}``.
        keep: Remembers a choice across starts: (``theme`` or ``ascii``, value).
        save_to: Folder that saved screens go to.
        profiles: Migration profiles of the fleet file, name to options.
    """

    fleet: str = "fleet"
    theme: str = "novacron-dark"
    ascii: bool = False
    keys: Mapping[str, str] = field(default_factory=lambda: _NO_KEYS)
    keep: Callable[[str, str], None] = _keep_nothing
    save_to: Path = field(default_factory=lambda: user_paths().pictures)
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
