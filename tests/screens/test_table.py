"""The table: cursor and marks stay on their rows, only changed cells are repainted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style
from textual.app import App, ComposeResult
from textual.geometry import Region

from screens.columns import Cell, Column, Order, Pen, Row, cell_of, in_order, lay_out
from screens.painter import GUTTER, Line, line_of, paint_line
from screens.table import LineTable

COLUMNS = (
    Column("name", "NAME", 20, min_width=8, grow=1, letter="N"),
    Column("cpu", "CPU", 5, right=True, letter="C", descending=True,
           sort=lambda item: float(item[1]) if item[1] != "-" else None),
    Column("note", "NOTE", 30, priority=5),
)  # fmt: skip


def make_rows(count: int) -> list[Row]:
    return [Row(f"k{n}", (f"vm{n}", str(n % 50), "idle")) for n in range(count)]


class TableApp(App[None]):
    """One table; ``heard`` keeps its messages, ``painted`` the regions it refreshed."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    def compose(self) -> ComposeResult:
        yield LineTable(COLUMNS, placeholder="Nothing here")

    def on_line_table_row_selected(self, event: LineTable.RowSelected) -> None:
        self.heard.append(event.key)

    @property
    def table(self) -> LineTable:
        return self.query_one(LineTable)


def text_of(table: LineTable, y: int) -> str:
    return table.render_line(y).text.rstrip()


async def test_cursor_and_marks_follow_their_rows_when_the_order_changes() -> None:
    """Sorting by CPU must not move the cursor onto another VM."""
    app = TableApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.table.set_rows(make_rows(100))
        await pilot.press("j", "j", "j", "space", "k", "C")
        assert app.table.cursor_key == "k3"
        assert app.table.marked == ("k3",)
        assert app.table.order == Order("cpu", True)
        assert "CPU▼" in text_of(app.table, 0)
        await pilot.press("C")
        assert app.table.order == Order("cpu", False)


async def test_a_vanished_row_leaves_the_cursor_in_place() -> None:
    """When the VM under the cursor goes, the next one is under it, and its mark is gone."""
    app = TableApp()
    async with app.run_test(size=(80, 20)) as pilot:
        app.table.set_rows(make_rows(10))
        await pilot.press("j", "j", "space", "k")
        app.table.set_rows([row for row in make_rows(10) if row.key != "k2"])
        assert app.table.cursor_key == "k3"
        assert app.table.marked == ()


async def test_keys_move_as_fingers_expect() -> None:
    """g, G, Ctrl-d, Ctrl-u and the arrows move; Enter opens."""
    app = TableApp()
    async with app.run_test(size=(80, 21)) as pilot:
        app.table.set_rows(make_rows(1000))
        await pilot.press("G")
        assert app.table.cursor_key == "k999"
        assert "vm999" in text_of(app.table, 20)
        await pilot.press("ctrl+u", "up")
        assert app.table.cursor_key == "k988"
        await pilot.press("g", "ctrl+d", "pagedown", "enter")
        assert app.heard == ["k30"]


async def test_a_range_is_marked_and_cleared() -> None:
    """Space, down, Ctrl-Space marks all between; Ctrl-backslash clears."""
    app = TableApp()
    async with app.run_test(size=(80, 21)) as pilot:
        app.table.set_rows(make_rows(20))
        await pilot.press("j", "space", "j", "j", "ctrl+@")
        assert app.table.marked == ("k1", "k2", "k3", "k4")
        assert app.table.chosen == app.table.marked
        await pilot.press("ctrl+backslash")
        assert app.table.marked == ()
        assert app.table.chosen == ("k4",)


async def test_the_mouse_selects_sorts_and_opens() -> None:
    """A click moves the cursor, a double click opens, a click on a title sorts."""
    app = TableApp()
    async with app.run_test(size=(80, 21)) as pilot:
        app.table.set_rows(make_rows(50))
        await pilot.click(LineTable, offset=(6, 5))
        assert app.table.cursor_key == "k4"
        await pilot.click(LineTable, offset=(6, 6), times=2)
        assert app.heard == ["k5"]
        await pilot.click(LineTable, offset=(4, 0))
        assert app.table.order == Order("name")


async def test_only_the_changed_cell_is_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One figure of 10,000 rows changes: one cell goes to the terminal."""
    app = TableApp()
    async with app.run_test(size=(80, 40)) as pilot:
        rows = make_rows(10_000)
        app.table.set_rows(rows)
        await pilot.pause()
        painted: list[Region] = []
        monkeypatch.setattr(app.table, "refresh", lambda *regions, **_: painted.extend(regions))
        app.table.set_rows(list(rows))
        assert painted == []
        rows[3] = Row("k3", ("vm3", "99", "idle"))
        rows[9000] = Row("k9000", ("vm9000", "99", "idle"))
        app.table.set_rows(rows)
        assert len(painted) == 1
        assert (painted[0].y, painted[0].width, painted[0].height) == (4, 5, 1)


async def test_any_size_of_terminal_is_survived() -> None:
    """Shrinking to nothing and back loses neither cursor nor content."""
    app = TableApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.set_rows(make_rows(100))
        await pilot.press("G")
        for size in ((1, 1), (2, 1), (1, 24), (10, 3), (200, 60), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.press("k")
        assert app.table.cursor_key == "k93"


def test_unimportant_columns_vanish_first() -> None:
    """At 80 cells the note is there, at 30 it is not, and the name never goes."""
    wide = [slot.column.id for slot in lay_out(COLUMNS, 80, GUTTER)]
    narrow = [slot.column.id for slot in lay_out(COLUMNS, 30, GUTTER)]
    assert wide == ["name", "cpu", "note"]
    assert narrow == ["name", "cpu"]
    assert [slot.column.id for slot in lay_out(COLUMNS, 3, GUTTER)] == ["name"]


@given(st.integers(0, 300))
def test_columns_never_overlap_nor_leave_the_table(width: int) -> None:
    """Whatever the width, columns stand one after another inside it."""
    edge = GUTTER
    for slot in lay_out(COLUMNS, width, GUTTER):
        assert slot.start >= edge
        edge = slot.start + slot.width
        assert edge <= max(width, GUTTER)


def test_unknown_values_sort_last_either_way() -> None:
    """A VM without a figure is never on top."""
    rows = [Row("a", ("a", "-", "")), Row("b", ("b", "5", "")), Row("c", ("c", "9", ""))]
    up = [row.key for row in in_order(rows, COLUMNS, Order("cpu"))]
    down = [row.key for row in in_order(rows, COLUMNS, Order("cpu", True))]
    assert (up, down) == (["b", "c", "a"], ["c", "b", "a"])


def test_names_sort_as_people_count() -> None:
    """web2 stands before web10."""
    rows = [Row(name, (name, "1", "")) for name in ("web10", "Web2", "web1")]
    ordered = in_order(rows, COLUMNS, Order("name"))
    assert [row.key for row in ordered] == ["web1", "Web2", "web10"]


@given(st.text(max_size=60), st.booleans())
def test_no_name_can_break_a_line(name: str, ascii_only: bool) -> None:
    """Markup, control, wide, combining and right-to-left text stay inside their cell."""
    pen, slots = Pen(0.0, ascii_only), lay_out(COLUMNS, 60, GUTTER)
    line: Line = line_of(Row("k", (name, Cell("5", "care"), "x")), slots, pen, True, False)
    strip = paint_line(line, slots, pen, lambda _cell, _line: Style())
    assert strip.cell_length == slots[-1].start + slots[-1].width
    assert strip.text.isprintable() or not any(ord(c) < 32 or ord(c) == 127 for c in strip.text)
    assert not ascii_only or strip.text.isascii()
    assert cell_of(slots[0], (name,), pen).text == name
