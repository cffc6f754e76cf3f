"""Recorded series as a picture and a legend; ranges as people type them."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from drivers.model.fleet import FleetSnapshot
from drivers.model.history import HOST_METRICS, VM_METRICS, Series
from screens.chart import TONES, Axis, Curve, Picture, Stretch
from screens.columns import Cell, Column, Pen, Row
from screens.format import UNKNOWN, age, count, duration, milliseconds, percent, rate, size
from screens.render.states import age_cell

RANGES: tuple[tuple[str, float], ...] = (
    ("15m", 900.0),
    ("1h", 3600.0),
    ("6h", 21_600.0),
    ("24h", 86_400.0),
    ("7d", 604_800.0),
    ("30d", 2_592_000.0),
)
"""Ranges offered by a key, shortest first."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_WHEN = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
LEAST, ROOMY = 6, 9
"""Lines a chart needs, and lines from which it has room for all its ticks."""

RECORDED_S = 15.0
"""Longest time between two recorded samples of one thing, seconds."""

GAP = 1.6
"""Two points further apart than so many steps have a gap between them."""


class Wanted(NamedTuple):
    """One curve asked for: ``vm`` or ``host``, UUID or host name, metric."""

    kind: str
    ident: str
    metric: str


class LegendItem(NamedTuple):
    """A row of the legend.

    ``series`` is None until it arrives; ``live`` says that the range ends now.
    """

    number: int
    wanted: Wanted
    name: str
    series: Series | None
    drawn: str
    live: bool = True


def unit_of(metric: str) -> str:
    """The unit of a metric: ``%``, ``B``, ``B/s``, ``/s``, ``ms`` or nothing."""
    if metric in ("cpu", "steal", "delay", "iowait") or metric.startswith("psi"):
        return "%"
    if metric in ("mem_used", "rss", "swap_used"):
        return "B"
    for ending, unit in (("_bps", "B/s"), ("_iops", "/s"), ("_ms", "ms")):
        if metric.endswith(ending):
            return unit
    return ""


_WORDS: dict[str, Callable[[float | None], str]] = {
    "%": percent, "B": size, "B/s": rate, "/s": count, "ms": milliseconds,
}  # fmt: skip


def worded(value: float | None, unit: str) -> str:
    """A value with its unit."""
    if unit in _WORDS:
        return _WORDS[unit](value)
    return UNKNOWN if value is None else f"{value:.2f}"


def metrics_of(kind: str) -> tuple[str, ...]:
    """Metrics recorded of a VM or a host."""
    return VM_METRICS if kind == "vm" else HOST_METRICS


def stretches(series: Series, times: float = 1.0) -> tuple[Stretch, ...]:
    """The series cut where samples are missing: a gap is never bridged by a line.

    Args:
        times: What each value is multiplied by.
    """
    if not series.times:
        return ()
    longest = max(series.step_s, 1.0) * GAP
    found: list[Stretch] = []
    start = 0
    for place in range(1, len(series.times) + 1):
        at_end = place == len(series.times)
        if at_end or series.times[place] - series.times[place - 1] > longest:
            values = series.means[start:place]
            scaled = values if times == 1.0 else tuple(times * value for value in values)
            found.append(Stretch(series.times[start:place], scaled))
            start = place
    return tuple(found)


def axis(unit: str, peak: float) -> Axis:
    """A scale from zero to a round number above the peak, with five ticks."""
    if unit == "%" and peak > 40.0:
        top = 100.0 if peak <= 100.0 else math.ceil(peak / 50.0) * 50.0
    else:
        top = _round_up(peak, 1024.0 if unit.startswith("B") else 1000.0)
    return Axis(top, tuple((top * n / 4, worded(top * n / 4, unit)) for n in range(5)))


def _round_up(peak: float, base: float) -> float:
    if peak <= 0.0:
        return 1.0
    unit = base ** math.floor(math.log(peak, base)) if peak >= 1.0 else 1.0
    steps = (1, 2, 4, 8, 10, 20, 40, 80, 100, 200, 400, 800, base)
    if peak < 1.0:
        return next(n for n in (0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 1.0) if peak <= n)
    return next(float(n) for n in steps if peak <= n * unit) * unit


def time_ticks(since: float, until: float, number: int) -> tuple[tuple[float, str], ...]:
    """Evenly spread ticks; the labels are as fine as the range needs."""
    span = until - since
    form = "%H:%M:%S" if span <= 600 else "%H:%M" if span <= 86_400 else "%d %b %H:%M"
    if span > 3 * 86_400:
        form = "%d %b"
    places = [since + span * (n + 0.5) / number for n in range(number)]
    return tuple((at, time.strftime(form, time.localtime(at))) for at in places)


class Canvas(NamedTuple):
    """What the curves are drawn on: the range, the room in cells, and how.

    ``plain`` draws in ASCII, ``marks`` tells curves apart without colour.
    """

    since: float
    until: float
    width: int
    height: int
    plain: bool = False
    marks: bool = False

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Ticks of the time axis, as many as there is room for."""
        return time_ticks(self.since, self.until, max(2, min(8, self.width // 20)))


def pictures(items: Sequence[LegendItem], canvas: Canvas) -> tuple[Picture, ...]:
    """One chart a unit, one under the other over the same time; where that is too narrow, one
    chart in which every curve fills its own scale, as the legend tells it."""
    scales = scales_of(items)
    if not is_stacked(scales, canvas.height):
        curves = tuple(
            Curve(item.number, stretches(item.series, 100.0 / scales[_unit(item)].top))
            for item in items
            if item.series is not None
        )
        return (_picture(curves, axis("%", 100.0), canvas, canvas.ticks),)
    labels = max((len(label) for one in scales.values() for _, label in one.ticks), default=0)
    drawn = []
    for number, (unit, scale) in enumerate(scales.items(), 1):
        curves = tuple(
            Curve(item.number, stretches(item.series))
            for item in items
            if item.series is not None and _unit(item) == unit
        )
        few = scale.ticks if canvas.height // len(scales) >= ROOMY else scale.ticks[::2]
        aligned = Axis(scale.top, tuple((at, label.rjust(labels)) for at, label in few))
        ticks = canvas.ticks if number == len(scales) else ()
        drawn.append(_picture(curves, aligned, canvas, ticks))
    return tuple(drawn) or (_picture((), Axis(1.0, ()), canvas, canvas.ticks),)


def _picture(
    curves: tuple[Curve, ...], scale: Axis, canvas: Canvas, ticks: tuple[tuple[float, str], ...]
) -> Picture:
    return Picture(
        canvas.since, canvas.until, curves, ticks, scale, plain=canvas.plain, marks=canvas.marks
    )


def is_stacked(scales: Mapping[str, Axis], height: int) -> bool:
    """Whether each unit can have a chart of its own."""
    return len(scales) < 2 or height // len(scales) >= LEAST


def scales_of(items: Sequence[LegendItem]) -> dict[str, Axis]:
    """The scale of each unit, in the order in which the units appear."""
    peaks: dict[str, float] = {}
    for item in items:
        means = item.series.means if item.series is not None else ()
        peaks[_unit(item)] = max([peaks.get(_unit(item), 0.0), *means])
    return {unit: axis(unit, peak) for unit, peak in peaks.items()}


def _unit(item: LegendItem) -> str:
    return unit_of(item.wanted.metric)


def legend(
    wanted: Sequence[Wanted],
    series: Sequence[Series],
    names: dict[tuple[str, str], str],
    height: int,
    *,
    live: bool = True,
) -> list[LegendItem]:
    """One row a curve, in the order they were picked.

    Args:
        height: Lines of the chart.
        live: The range ends now.
    """
    found = {(s.query.kind, s.query.ident, s.query.metric): s for s in series}
    items = [
        LegendItem(number, one, names.get((one.kind, one.ident), one.ident), found.get(one), "")
        for number, one in enumerate(wanted, 1)
    ]
    scales = scales_of(items)
    lead = "0 to" if is_stacked(scales, height) else "100% ="
    tops = {unit: worded(scale.top, unit) for unit, scale in scales.items()}
    return [item._replace(drawn=f"{lead} {tops[_unit(item)]}", live=live) for item in items]


def _figure(pick: Callable[[Series], float]) -> Callable[[LegendItem, Pen], Cell]:
    def render(item: LegendItem, _pen: Pen) -> Cell:
        series = item.series
        if series is None or not series.means:
            return Cell(UNKNOWN, "faint")
        return Cell(worded(pick(series), unit_of(item.wanted.metric)))

    return render


def _age(item: LegendItem, pen: Pen) -> Cell:
    """How old the last point is; ``!`` behind it where one more should have been recorded."""
    series = item.series
    if series is None or not series.times:
        return Cell("loading" if series is None else "none", "busy" if series is None else "care")
    if not item.live:
        return Cell(age(series.times[-1], pen.now), "faint")
    return age_cell(series.times[-1], max(series.step_s, RECORDED_S), pen.now)


def _tone(item: LegendItem) -> str:
    return f"chart-{(item.number - 1) % TONES + 1}"


def _source(item: LegendItem, _pen: Pen) -> Cell:
    if item.series is None:
        return Cell("loading", "busy")
    if not item.series.means:
        return Cell("nothing recorded", "care")
    return Cell(f"{item.series.source}, {duration(item.series.step_s)} a point", "faint")


def legend_columns() -> tuple[Column, ...]:
    """Columns of the legend."""
    return (
        Column("number", "NO", 2, lambda i, _p: Cell(str(i.number), _tone(i), bold=True),
               right=True),
        Column("name", "OF", 20, lambda i, _p: Cell(i.name), min_width=12, grow=1),
        Column("metric", "METRIC", 11, lambda i, _p: Cell(i.wanted.metric, _tone(i))),
        Column("last", "LAST", 7, _figure(lambda s: s.means[-1]), right=True),
        Column("age", "AGE", 6, _age, right=True),
        Column("least", "LEAST", 7, _figure(lambda s: min(s.means)), right=True, priority=3),
        Column("mean", "MEAN", 7, _figure(lambda s: sum(s.means) / len(s.means)), right=True,
               priority=2),
        Column("peak", "PEAK", 7, _figure(lambda s: max(s.maxima or s.means)), right=True,
               priority=1),
        Column("scale", "SCALE", 12, lambda i, _p: Cell(i.drawn, "faint"), priority=1),
        Column("source", "RESOLUTION", 20, _source, priority=4),
    )  # fmt: skip


def legend_rows(items: Sequence[LegendItem]) -> list[Row]:
    """Rows of the legend."""
    return [Row("/".join(item.wanted), item) for item in items]


def known_names(
    snapshot: FleetSnapshot, recorded: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str], str]:
    """(kind, identity) to name: what was ever recorded, under today's names where they live."""
    names = {(kind, ident): name for kind, ident, name in recorded}
    names |= {("host", host.name): host.name for host in snapshot.hosts}
    return names | {("vm", vm.uuid): vm.name for vm in snapshot.vms()}


def span_words(span: float) -> str:
    """A range as it is offered, else as a duration."""
    return next((name for name, known in RANGES if abs(known - span) < 1), duration(span))


def date_words(at: float) -> str:
    """A moment to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


class BadRange(ValueError):
    """What was typed is not a range; the text says what would be."""


def parse_range(text: str, now: float) -> tuple[float, float | None]:
    """A range as typed: when it starts and ends; the end is None when it moves with the clock.

    ``2h`` ago till now, ``2026-11-20 14:00`` till now, ``14:00`` today, and ``A..B`` for both.

    Raises:
        BadRange: It cannot be understood, or ends before it starts.
    """
    first, dots, last = text.partition("..")
    since = _moment(first.strip(), now)
    until = _moment(last.strip(), now) if dots and last.strip() else None
    if (until if until is not None else now) <= since:
        raise BadRange("the range ends before it starts")
    return since, until


def _moment(text: str, now: float) -> float:
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])(?:\s+ago)?", text)
    if ago:
        return now - float(ago[1]) * _UNITS[ago[2]]
    for form in _WHEN:
        try:
            return time.mktime(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
    clock = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
    if clock:
        day = time.localtime(now)
        at = time.mktime((*day[:3], int(clock[1]), int(clock[2]), 0, 0, 0, -1))
        return at if at <= now else at - 86_400.0
    raise BadRange("type 90m, 2h, 7d, 14:00, 2026-11-20 14:00, or two of these with .. between")
