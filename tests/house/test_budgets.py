"""Sizes that keep the house readable."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("console", "drivers", "screens", "store", "themes")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    """At most 400 lines a file and 50 a function."""
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


def test_style_sheets_are_short() -> None:
    """At most 120 lines for a screen."""
    assert all(p.read_text().count("\n") <= 120 for p in (ROOT / "screens").rglob("*.tcss"))


def test_the_app_is_thin() -> None:
    """The App class decides nothing, so it needs few lines."""
    tree = ast.parse((ROOT / "console" / "app.py").read_text())
    app = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "NovaCronApp")
    assert (app.end_lineno or 0) - app.lineno <= 300


def test_colour_lives_in_the_themes_alone() -> None:
    """No hexadecimal colour in a screen or its style sheet."""
    for path in [*(ROOT / "screens").rglob("*.py"), *(ROOT / "screens").rglob("*.tcss")]:
        assert not re.search(r"#[0-9a-fA-F]{6}\b", path.read_text()), path
