"""The order of a table's rows, kept without sorting a long list at every reading."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from screens.columns import Column, Order, Row, in_order

LONG = 2000
"""Rows from which sorting is worth avoiding: below it takes no time that anybody notices."""
RESORT_S = 1.0
"""A long list settles into its new order at most this often; its figures are always the newest."""


class Ranking:
    """Sorts rows; a long list whose rows are still the same ones keeps its order for a second.

    Args:
        monotonic: Seconds of a clock that never goes back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._sorted_at = float("-inf")
        self._order = Order()
        self.rows: list[Row] = []
        self.index: dict[str, int] = {}

    def arrange(self, rows: Sequence[Row], columns: Sequence[Column], order: Order) -> None:
        """Take in new rows; ``rows`` and ``index`` (key to place) hold the result."""
        if len(rows) >= LONG and self._settled(order):
            newest = {row.key: row for row in rows}
            if newest.keys() == self.index.keys():
                self.rows = [newest[key] for key in self.index]
                return
        self.rows = in_order(rows, columns, order)
        self.index = {row.key: place for place, row in enumerate(self.rows)}
        self._order = order
        self._sorted_at = self._monotonic()

    def renew(self, changed: Sequence[Row], order: Order) -> bool:
        """Put newer rows in the places of their keys; False when all must be arranged anew."""
        if len(self.rows) < LONG or not self._settled(order):
            return False
        if not all(row.key in self.index for row in changed):
            return False
        for row in changed:
            self.rows[self.index[row.key]] = row
        return True

    def _settled(self, order: Order) -> bool:
        return order == self._order and self._monotonic() - self._sorted_at < RESORT_S
