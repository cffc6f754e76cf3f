"""Which theme a first start takes, by what the terminal says of itself."""

from __future__ import annotations

import pytest

from console.choices import SIXTEEN, usual_theme
from themes import THEMES


@pytest.mark.parametrize(
    ("environ", "theme"),
    [
        ({"TERM": "linux"}, SIXTEEN),
        ({"TERM": "vt220"}, SIXTEEN),
        ({"TERM": "xterm-16color"}, SIXTEEN),
        ({"TERM": "linux", "COLORTERM": "truecolor"}, ""),
        ({"TERM": "xterm-256color"}, ""),
        ({"TERM": "tmux-256color"}, ""),
        ({}, ""),
    ],
)
def test_few_colours_take_the_theme_of_sixteen(environ: dict[str, str], theme: str) -> None:
    """Only where the terminal has no more; what a person chose comes before."""
    assert usual_theme(environ) == theme


def test_that_theme_is_there() -> None:
    """By the name that the console asks for."""
    assert SIXTEEN in {theme.name for theme in THEMES}
