"""Events as rows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from drivers.model.event import Event, EventKind, Severity
from drivers.model.fleet import FleetSnapshot
from screens.columns import Cell, Column, Pen, Row, natural
from screens.filtering import Filter
from screens.format import UNKNOWN, age
from screens.paging import Pages
from screens.prose import CODE, DIM, HEAD, WARN, Para, block, para

_WORDS = {Severity.INFO: ("info", "faint"), Severity.WARN: ("WARN", "care"),
          Severity.ERROR: ("ERROR", "bad")}  # fmt: skip
_RANKS = (Severity.INFO, Severity.WARN, Severity.ERROR)


class EventItem(NamedTuple):
    """An event with the VM's name today, if it has another one now."""

    event: Event
    vm_name: str = ""


def event_columns(*, vm: bool = True) -> tuple[Column, ...]:
    """Columns of an event table; without ``vm`` for the events of one VM."""
    named = Column("vm", "VM", 16, lambda i, _p: Cell(i.vm_name), lambda i: natural(i.vm_name),
                   min_width=8, priority=2, letter="V")  # fmt: skip
    return (
        Column("time", "TIME", 10, _clock, lambda i: i.event.at, letter="T", descending=True),
        Column("age", "AGO", 5, lambda i, p: Cell(age(i.event.at, p.now), "faint"),
               lambda i: -i.event.at, right=True, priority=4),
        Column("severity", "LEVEL", 5, _severity, lambda i: _RANKS.index(i.event.severity),
               letter="S", descending=True),
        Column("kind", "KIND", 10, lambda i, _p: Cell(i.event.kind.value, "faint"), priority=3,
               letter="K"),
        Column("host", "HOST", 12, lambda i, _p: Cell(i.event.host or "console"), min_width=7,
               priority=1, letter="H"),
        *((named,) if vm else ()),
        Column("text", "WHAT", 30, lambda i, _p: Cell(i.event.text), min_width=30, grow=2),
        Column("detail", "DETAIL", 24, lambda i, _p: Cell(i.event.detail, "faint"), min_width=14,
               grow=1, priority=5),
    )  # fmt: skip


def _clock(item: EventItem, pen: Pen) -> Cell:
    return Cell(moment(item.event.at, pen.now))


def moment(at: float, now: float) -> str:
    """The time of day of what happened today, else its day and hour, in eight or nine cells."""
    then = time.localtime(at)
    today = time.localtime(now)[:3] == then[:3]
    return time.strftime("%H:%M:%S" if today else "%d %b %Hh", then)


def end_text(pages: Pages) -> list[Para]:
    """What is said at the last event of the list: whether there are older ones."""
    if pages.asked is not None:
        return [para("Reading older events from the history...", CODE)]
    if pages.failed:
        return [para("Older events could not be read; p tries again.", WARN)]
    if pages.ended:
        return [para("Nothing older is recorded.", DIM)]
    return [para("p reads older events from the history.", DIM)]


def _severity(item: EventItem, _pen: Pen) -> Cell:
    word, tone = _WORDS[item.event.severity]
    return Cell(word, tone, bold=item.event.severity is not Severity.INFO)


def event_rows(events: Iterable[Event], snapshot: FleetSnapshot) -> list[Row]:
    """One row an event, in the order given; equal events keep apart."""
    events = list(events)
    nameless = {event.vm for event in events if event.vm and not event.vm_name}
    names = {v.uuid: v.name for v in snapshot.vms() if v.uuid in nameless} if nameless else {}
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for event in events:
        base = f"{event.at}/{event.host}/{event.vm}/{event.text}"
        number = seen[base] = seen.get(base, 0) + 1
        rows.append(Row(f"{base}/{number}", EventItem(event, event.vm_name or names.get(event.vm,
                        event.vm[:8]))))  # fmt: skip
    return rows


def picked(
    events: Sequence[Event],
    wanted: Filter,
    *,
    about: str = "",
    least: Severity = Severity.INFO,
    kind: EventKind | None = None,
) -> list[Event]:
    """Events of a VM (UUID) or host, of a kind, so severe, that pass the filter; newest first."""
    floor = _RANKS.index(least)
    found = [
        event
        for event in events
        if (not about or about in (event.vm, event.host))
        and _RANKS.index(event.severity) >= floor
        and kind in (None, event.kind)
        and wanted.passes(event_words(event))
    ]
    return sorted(found, key=lambda event: event.at, reverse=True)


def event_words(event: Event) -> str:
    """What a filter looks at."""
    words = (event.severity, event.kind, event.host, event.vm_name, event.text, event.detail)
    return " ".join(words)


def event_text(event: Event, now: float) -> list[Para]:
    """One event in full."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.at))
    word, tone = _WORDS[event.severity]
    about = f"{event.vm_name or event.vm} on " if event.vm else ""
    lines = [
        para(f"{when}, {age(event.at, now)} ago", label=f"{word:<6}", label_style=f"bold ${tone}"),
        para(f"{about}{event.host or 'this console'}: {event.text}", HEAD),
    ]
    if event.detail:
        lines += block(event.detail)
    if event.vm:
        lines.append(para(event.vm or UNKNOWN, DIM, label="UUID ", label_style=DIM))
    return lines
