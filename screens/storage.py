"""Storage: pools by host and tier, and the volumes of the one under the cursor."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from drivers.model.fleet import FleetSnapshot
from screens.base import FleetScreen, View
from screens.binding import bind
from screens.columns import Pen
from screens.format import bar, percent, size
from screens.messages import RefreshRequested, VmOpened
from screens.prose import Prose, put
from screens.render_storage import (
    PoolItem,
    TierSum,
    Usage,
    VolumeItem,
    pool_columns,
    pool_rows,
    pool_text,
    totals,
    volume_columns,
    volume_rows,
    wanted_pools,
)
from screens.table import LineTable


class StorageScreen(FleetScreen):
    """Enter goes from a pool to its volumes, and from a volume to the VM that uses it."""

    CSS_PATH = "storage.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("storage.refresh", "ctrl+r", "read_again", "Read again",
             "Read the pools of this host again"),
    ]  # fmt: skip

    heading = "Storage"
    footer = ("table.open", "screen.filter", "storage.refresh", "screen.back")
    filterable = True

    def __init__(self) -> None:
        super().__init__()
        self._usage = Usage(FleetSnapshot())

    def compose(self) -> ComposeResult:
        """Totals a tier, pools, one pool in words, its volumes."""
        yield Static(id="tiers", markup=False)
        yield LineTable(pool_columns(), id="pools", placeholder="no pools known yet")
        yield Prose(id="pool")
        yield LineTable(volume_columns(), id="volumes", placeholder="no volumes")

    def show_view(self, view: View) -> None:
        """The pools as they stand."""
        if self._usage.snapshot is not view.snapshot:
            self._usage = Usage(view.snapshot)
        rows = pool_rows(view.snapshot, self._usage, view.now)
        put(self.query_one("#tiers", Static), self._tiers(totals(rows)))
        kept = wanted_pools(rows, self.filter, problems_only=view.problems_only)
        table = self.query_one("#pools", LineTable)
        table.placeholder = "no pool passes" if rows else "no pools known yet"
        table.set_rows(kept, Pen(view.now, view.ascii))
        self._show_pool()

    def _tiers(self, sums: list[TierSum]) -> Content:
        """A sum that holds stale figures has ``~`` before it."""
        parts, cells = [], 8 if self.size.width >= 100 else 5
        for tier, used, whole, fresh in sums:
            part = used / whole if whole else 0.0
            tone = f"$tier-{tier}" if tier in ("hot", "warm", "cold") else "$faint"
            filled = bar(part, cells, plain=self.view.ascii)
            told = f" {filled} {'' if fresh else '~'}{percent(100 * part)} of {size(whole)}"
            body = Content(told) if fresh else Content.styled(told, "$stale")
            parts.append(Content.styled(tier, f"bold {tone}") + body)
        return Content("   ").join(parts)

    def _show_pool(self) -> None:
        item = self.query_one("#pools", LineTable).cursor_item
        pool = item if isinstance(item, PoolItem) else None
        self.query_one("#pool", Prose).paras = tuple(pool_text(pool, self.view.now))
        rows = volume_rows(pool.pool, self._usage) if pool is not None else []
        pen = Pen(self.view.now, self.view.ascii)
        volumes = self.query_one("#volumes", LineTable)
        volumes.set_class(pool is not None and not pool.fresh, "-stale")
        volumes.set_rows(rows, pen)

    def on_line_table_row_highlighted(self, event: LineTable.RowHighlighted) -> None:
        """Another pool: its volumes."""
        if event.table.id == "pools":
            self._show_pool()

    def on_line_table_row_selected(self, event: LineTable.RowSelected) -> None:
        """From the pool to its volumes, from the volume to its VM."""
        if event.table.id == "pools":
            self.query_one("#volumes", LineTable).focus()
            return
        item = event.table.cursor_item
        if isinstance(item, VolumeItem) and item.uuids:
            self.post_message(VmOpened(item.uuids[0]))
        else:
            self.notify("No VM is known to use this volume.", markup=False)

    def action_back(self) -> None:
        """From the volumes back to the pools; else as on every screen."""
        if self.query_one("#volumes", LineTable).has_focus:
            self.query_one("#pools", LineTable).focus()
        else:
            super().action_back()

    def action_read_again(self) -> None:
        """Ask for a fresh reading of the pool's host."""
        item = self.query_one("#pools", LineTable).cursor_item
        self.post_message(RefreshRequested(item.pool.host if isinstance(item, PoolItem) else ""))
