"""The line over a list: how many of how many, and what narrows it."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from screens.filtering import Filter
from screens.format import clean, plural
from screens.prose import put


class Caption(Static):
    """One faint line; an unchanged one sends nothing to the terminal."""

    DEFAULT_CSS = """
    Caption { height: 1; color: $faint; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__(id="caption", markup=False)

    def count(self, shown: int, total: int, noun: str, narrowed: Filter, *more: str) -> None:
        """Say how many there are.

        Args:
            shown: Rows that pass.
            total: Rows there are.
            noun: What one row is.
            narrowed: The filter; what is wrong with it is said too.
            more: Other things worth saying.
        """
        all_of = plural(total, noun)
        parts = [all_of if shown == total else f"{shown} of {all_of}"]
        if narrowed.text:
            wrong = f" ({narrowed.error})" if narrowed.error else ""
            parts.append(f"filter {clean(narrowed.text)}{wrong}")
        put(self, Content(" " + "  ".join([*parts, *more])))
