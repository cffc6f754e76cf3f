"""One line a key: every binding has an id (for remapping), a label and a sentence for the help."""

from __future__ import annotations

from textual.binding import Binding


def bind(
    ident: str, keys: str, action: str, label: str, tooltip: str, *, show: bool = False
) -> Binding:
    """A binding; ``show`` puts it into the footer."""
    return Binding(keys, action, label, id=ident, tooltip=tooltip, show=show)
