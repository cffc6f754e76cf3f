"""Curves over time in one widget, drawn by plotext: the only place that imports it.

Drawing costs milliseconds and kilobytes on the wire, so it happens when the curves or the size
change and never on a tick of the clock, and in a thread, so that keys are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

import plotext
from textual.content import Content, Span
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

_ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")
_PLAIN_FRAME = str.maketrans("─│┌┐└┘├┤┬┴┼", "-|++++++" + "+++")
_PLAIN_MARKS = "*+xo#@"
TONES = 6
"""Curve colours a theme has: ``$chart-1`` to ``$chart-6``."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Points without a gap between them; a curve is one or more of these."""

    times: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve: its number in the legend (from 1) and its stretches."""

    number: int
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale: where it ends and its (value, label) ticks."""

    top: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """All that a chart shows.

    Attributes:
        since: Left edge, epoch seconds.
        until: Right edge.
        times: (epoch seconds, label) ticks of the time axis.
        scale: Of the values, at the left.
        plain: ASCII only.
        marks: A mark of its own for each curve instead of braille: told apart without colour.
    """

    since: float = 0.0
    until: float = 1.0
    curves: tuple[Curve, ...] = ()
    times: tuple[tuple[float, str], ...] = ()
    scale: Axis = Axis(1.0, ())
    plain: bool = False
    marks: bool = False


class Chart(Widget):
    """Shows a picture, as large as it is."""

    DEFAULT_CSS = """
    Chart { height: 1fr; width: 1fr; text-wrap: nowrap; }
    """

    pictures: reactive[tuple[Picture, ...]] = reactive(())
    """What is drawn, one under the other in equal parts of the height."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in every widget
        super().__init__(id=id)
        self._drawn: tuple[tuple[Picture, ...], Size] | None = None
        self._content = Content.empty()
        self._busy = False

    def watch_pictures(self) -> None:
        """Draw what changed."""
        self._wake()

    def on_resize(self) -> None:
        """Draw as large as there is room now."""
        self._wake()

    def _wake(self) -> None:
        if not self._busy and self.is_mounted and self._drawn != (self.pictures, self.content_size):
            self._busy = True
            self.run_worker(self._catch_up(), group="draw")

    async def _catch_up(self) -> None:
        """Draw in a thread, one at a time: plotext keeps one figure and takes its time."""
        try:
            while self._drawn != (wanted := (self.pictures, self.content_size)):
                pictures, size = wanted
                content = await asyncio.to_thread(stacked, pictures, size.width, size.height)
                self._drawn, self._content = wanted, content
                self.refresh()
        finally:
            self._busy = False

    def render(self) -> Content:
        """What was drawn last."""
        return self._content


def stacked(pictures: Sequence[Picture], width: int, height: int) -> Content:
    """Pictures one under the other; what does not divide goes to the first."""
    if not pictures:
        return Content.empty()
    each = height // len(pictures)
    heights = [height - each * (len(pictures) - 1), *[each] * (len(pictures) - 1)]
    parts = (draw(one, width, lines) for one, lines in zip(pictures, heights, strict=True))
    return Content("\n").join(parts)


def draw(picture: Picture, width: int, height: int) -> Content:
    """A picture as styled text; empty where there is no room for axes."""
    if width < 24 or height < 5:
        return Content.empty()
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, height)
    plotext.theme("clear")
    plotext.xlim(picture.since, picture.until)
    plotext.xticks([at for at, _ in picture.times], [label for _, label in picture.times])
    plotext.ylim(0, picture.scale.top)
    ticks = picture.scale.ticks
    plotext.yticks([value for value, _ in ticks], [label for _, label in ticks])
    for curve in picture.curves:
        _curve(curve, picture)
    if not any(curve.stretches for curve in picture.curves):
        # Without any data plotext draws no axes; a point outside the frame gives them.
        plotext.plot([picture.since], [-picture.scale.top], marker=" ")
    text = plotext.build()
    plotext.clear_figure()
    return _styled(text.translate(_PLAIN_FRAME) if picture.plain else text)


def _curve(curve: Curve, picture: Picture) -> None:
    tone = (curve.number - 1) % TONES + 1
    mark = _PLAIN_MARKS[(curve.number - 1) % len(_PLAIN_MARKS)]
    marker = mark if picture.plain or picture.marks else "braille"
    for stretch in curve.stretches:
        times, values = _list(stretch.times), _list(stretch.values)
        plotext.plot(times, values, marker=marker, color=tone)
    if curve.stretches:
        last = curve.stretches[-1]
        plotext.text(str(curve.number), last.times[-1], last.values[-1], color=tone,
                     alignment="right")  # fmt: skip


def _list(values: Sequence[float]) -> list[float]:
    # plotext draws a lone point only when it is there twice.
    return [*values] if len(values) > 1 else [*values, *values]


def _styled(text: str) -> Content:
    """Plotext's escapes, with its colour numbers, as text in the theme's curve colours."""
    plain: list[str] = []
    spans: list[Span] = []
    place, at, tone = 0, 0, ""
    for match in [*_ESCAPE.finditer(text), None]:
        piece = text[at : match.start() if match else len(text)]
        if piece and tone:
            spans.append(Span(place, place + len(piece), tone))
        plain.append(piece)
        place += len(piece)
        if match is not None:
            at = match.end()
            code = match[1]
            tone = f"$chart-{code.rsplit(';', 1)[-1]}" if code.startswith("38;5;") else ""
    return Content("".join(plain)).add_spans(spans).rstrip()
