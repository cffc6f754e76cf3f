"""What a table says; ``control`` is the table, for ``@on`` selectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from screens.table import LineTable


class Said(Message, namespace="line_table"):
    """Something a table says."""

    def __init__(self, table: LineTable) -> None:
        super().__init__()
        self.table = table

    @property
    def control(self) -> LineTable:
        """The table."""
        return self.table


class RowHighlighted(Said, namespace="line_table"):
    """The cursor is on another row; ``key`` is None when there is none."""

    def __init__(self, table: LineTable, key: str | None) -> None:
        super().__init__(table)
        self.key = key


class RowSelected(Said, namespace="line_table"):
    """A row was opened by Enter or a double click."""

    def __init__(self, table: LineTable, key: str) -> None:
        super().__init__(table)
        self.key = key


class MarksChanged(Said, namespace="line_table"):
    """Other rows are marked now."""


class OrderChanged(Said, namespace="line_table"):
    """The rows are sorted another way."""
