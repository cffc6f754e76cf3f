"""The pre-flight matrix as rows and text: VMs down, hosts across, proof and fix below."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from drivers.model.job import Verdict
from drivers.model.matrix import WORST_FIRST, Cell, Matrix
from drivers.model.matrix import Row as VmRow
from screens import columns
from screens.columns import Column, Pen
from screens.filtering import Filter
from screens.format import age, clean, plural, width_of
from screens.prose import BAD, BLANK, DIM, GOOD, HEAD, WARN, Para, para
from screens.render_plan import check_text

CELL = 14
"""Width of one host's column: a sign, the longest word, and the brackets of the chosen one."""

_NAMES = (8, 15)
"""Least and usual width of the VMs' names; a wide terminal gives them a quarter of itself."""

_FROM = 8

OLD_S = 60.0
"""Seconds after which an answer is called stale: memory and rates are others by then."""

_SIGNS = {
    Verdict.OK: ("✓", "+"),
    Verdict.WARN: ("!", "!"),
    Verdict.BLOCKED: ("✗", "x"),
    Verdict.NOT_TESTED: ("?", "?"),
}
_TONES = {Verdict.OK: "good", Verdict.WARN: "care", Verdict.BLOCKED: "bad",
          Verdict.NOT_TESTED: "faint"}  # fmt: skip
_STYLES = {Verdict.OK: GOOD, Verdict.WARN: WARN, Verdict.BLOCKED: BAD, Verdict.NOT_TESTED: DIM}


def place_arg(uuids: Sequence[str], hosts: Sequence[str] = ()) -> str:
    """VMs and hosts (none: all) as the argument of the screen's place."""
    return f"{','.join(uuids)}@{','.join(hosts)}"


def of_place(arg: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """VMs and hosts of a place's argument."""
    uuids, _, hosts = arg.partition("@")
    return _parts(uuids), _parts(hosts)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def names_width(matrix: Matrix, width: int) -> int:
    """Cells for the VMs' names: as many as the longest takes, within reason."""
    longest = max((width_of(clean(row.vm)) for row in matrix.rows), default=0)
    return max(_NAMES[0], min(longest, max(_NAMES[1], width // 4)))


def room_for(width: int, names: int) -> int:
    """How many hosts' columns fit beside the names into ``width`` cells; one at least."""
    return max(1, (width - names - _FROM - 5) // (CELL + 1))


def window(chosen: int, first: int, room: int, total: int) -> int:
    """The first host's column shown, moved as little as the chosen one needs to be in sight."""
    lowest = max(0, chosen - room + 1)
    return max(0, min(max(first, lowest), chosen, total - room))


def matrix_columns(
    matrix: Matrix, first: int, room: int, chosen: int, names: int
) -> tuple[Column, ...]:
    """Name, host, and the hosts in sight; the chosen one stands in brackets."""
    shown = range(first, min(first + room, len(matrix.targets)))
    return (
        Column("vm", "VM", names, lambda row, _pen: row.vm, min_width=_NAMES[0]),
        Column("from", "ON", _FROM, lambda row, _pen: row.host, min_width=5),
        *(_target_column(matrix.targets[n], n, n == chosen) for n in shown),
    )


def _target_column(name: str, number: int, chosen: bool) -> Column:
    def render(row: VmRow, pen: Pen) -> columns.Cell:
        cell = row.cells[number]
        words = cell_words(cell, plain=pen.ascii)
        tone = "faint" if cell.here else _TONES[cell.verdict]
        bad = cell.verdict is Verdict.BLOCKED
        return columns.Cell(f"[{words}]" if chosen else f" {words}", tone, bold=bad)

    title = f"[{clean(name)}]" if chosen else f" {clean(name)}"
    return Column(f"to-{number}", title, CELL, render)


def cell_words(cell: Cell, *, plain: bool) -> str:
    """Sign and word: readable without colour, and in ASCII."""
    if cell.here:
        return "- here"
    return f"{_SIGNS[cell.verdict][plain]} {cell.verdict.value}"


def matrix_rows(matrix: Matrix, wanted: Filter) -> list[columns.Row]:
    """One row a VM that passes the filter."""
    return [
        columns.Row(row.uuid, row)
        for row in matrix.rows
        if wanted.passes(f"{row.vm} {row.host} {' '.join(c.verdict for c in row.cells)}")
    ]


def caption(matrix: Matrix | None, now: float, first: int, room: int) -> Content:
    """How many cells are what, when that was found, and which hosts are in sight."""
    if matrix is None:
        return Content(" Asking the hosts; dirty rates are measured for a second...")
    total = len(matrix.targets)
    line = Content(f" {plural(len(matrix.rows), 'VM')} x {plural(total, 'host')}")
    if room < total:
        line += Content(f" ({first + 1}-{min(first + room, total)} shown)")
    old, found = now - matrix.at > OLD_S, f"  found {age(matrix.at, now)} ago"
    line += Content.styled(f"{found}: STALE", "bold $stale") if old else Content.styled(found, DIM)
    for verdict in reversed(WORST_FIRST):
        if count := matrix.count(verdict):
            line += Content("  ") + Content.styled(f"{count} {verdict.value}", _STYLES[verdict])
    return line


def cell_text(row: VmRow | None, cell: Cell | None) -> list[Para]:
    """All checks of one cell, the worst first, each with proof and fix."""
    if row is None or cell is None:
        return []
    title = f"{row.vm} on {row.host or '?'} to {cell.target}"
    if cell.fit is None:
        return [para(f"{row.vm} is on {cell.target} now.", HEAD)]
    word = cell.verdict.value.upper() if cell.verdict is Verdict.BLOCKED else cell.verdict.value
    lines = [para(word, _STYLES[cell.verdict], label=f"{clean(title)}: ", label_style=HEAD)]
    if cell.fit.fits:
        lines.append(para("Enter plans this migration and shows the plan first.", DIM))
    lines.append(BLANK)
    ranked = sorted(
        cell.fit.reasons,
        key=lambda check: (WORST_FIRST.index(check.verdict), check.name != "duration"),
    )
    return lines + [line for check in ranked for line in check_text(check)]
