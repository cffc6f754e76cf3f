"""One line a key: every binding has an id (for remapping), a label and a sentence for the help."""

from __future__ import annotations

from textual.binding import Binding


def bind(ident: str, keys: str, action: str, label: str, tooltip: str) -> Binding:
    """A binding; a screen's ``footer`` says which of them stand in its last line."""
    return Binding(keys, action, label, id=ident, tooltip=tooltip)
