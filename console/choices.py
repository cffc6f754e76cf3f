"""Choices made in the console that outlive it: a small JSON file beside the fleet file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

Keep = Callable[[str, str], None]


SIXTEEN = "novacron-16"
"""The theme of the terminal's own sixteen colours."""


def usual_theme(environ: Mapping[str, str]) -> str:
    """The theme for a terminal of sixteen colours or fewer; empty where it has more.

    Approximated there, the colours of the other themes fall together: good and plain look alike.
    """
    term = environ.get("TERM", "")
    few = term in ("linux", "ansi") or term.startswith("vt") or term.endswith("-16color")
    return SIXTEEN if few and not environ.get("COLORTERM") else ""


def read_choices(path: Path) -> dict[str, str]:
    """What was kept; nothing where the file is missing or unreadable."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {str(k): v for k, v in data.items() if isinstance(v, str)}


def keeper(path: Path) -> Keep:
    """A function that keeps one choice beside the others; a read-only folder keeps none."""

    def keep(name: str, value: str) -> None:
        choices = {**read_choices(path), name: value}
        temporary = path.with_name(path.name + ".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps(choices, indent=2) + "\n", encoding="utf-8")
            temporary.replace(path)
        except OSError:
            return

    return keep
