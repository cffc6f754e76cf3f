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
    """One curve: its number in the legend (from 1), its stretches, and its axis."""

    number: int
    stretches: tuple[Stretch, ...]
    right: bool = False


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
        left: Scale at the left.
        right: Scale at the right, None without curves of a second unit.
        plain: ASCII only.
        marks: A mark of its own for each curve instead of braille: told apart without colour.
    """

    since: float = 0.0
    until: float = 1.0
    curves: tuple[Curve, ...] = ()
    times: tuple[tuple[float, str], ...] = ()
    left: Axis = Axis(1.0, ())
    right: Axis | None = None
    plain: bool = False
    marks: bool = False


class Chart(Widget):
    """Shows a picture, as large as it is."""

    DEFAULT_CSS = """
    Chart { height: 1fr; width: 1fr; text-wrap: nowrap; }
    """

    picture: reactive[Picture | None] = reactive(None)
    """What is drawn; None draws nothing."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as in every widget
        super().__init__(id=id)
        self._drawn: tuple[Picture | None, Size] | None = None
        self._content = Content.empty()
        self._busy = False

    def watch_picture(self) -> None:
        """Draw what changed."""
        self._wake()

    def on_resize(self) -> None:
        """Draw as large as there is room now."""
        self._wake()

    def _wake(self) -> None:
        if not self._busy and self.is_mounted and self._drawn != (self.picture, self.content_size):
            self._busy = True
            self.run_worker(self._catch_up(), group="draw")

    async def _catch_up(self) -> None:
        """Draw in a thread, one at a time: plotext keeps one figure and takes its time."""
        try:
            while self._drawn != (wanted := (self.picture, self.content_size)):
                picture, size = wanted
                content = await asyncio.to_thread(draw, picture, size.width, size.height)
                self._drawn, self._content = wanted, content
                self.refresh()
        finally:
            self._busy = False

    def render(self) -> Content:
        """What was drawn last."""
        return self._content


def draw(picture: Picture | None, width: int, height: int) -> Content:
    """A picture as styled text; empty where there is no room for axes."""
    if picture is None or width < 24 or height < 5:
        return Content.empty()
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, height)
    plotext.theme("clear")
    plotext.xlim(picture.since, picture.until)
    plotext.xticks([at for at, _ in picture.times], [label for _, label in picture.times])
    _scale(picture.left, "left")
    if picture.right is not None:
        _scale(picture.right, "right")
    for curve in picture.curves:
        _curve(curve, picture)
    if not any(curve.stretches for curve in picture.curves):
        # Without any data plotext draws no axes; a point outside the frame gives them.
        plotext.plot([picture.since], [-picture.left.top], marker=" ")
    text = plotext.build()
    plotext.clear_figure()
    return _styled(text.translate(_PLAIN_FRAME) if picture.plain else text)


def _scale(axis: Axis, side: str) -> None:
    plotext.ylim(0, axis.top, yside=side)
    values, labels = [v for v, _ in axis.ticks], [label for _, label in axis.ticks]
    plotext.yticks(values, labels, yside=side)


def _curve(curve: Curve, picture: Picture) -> None:
    side = "right" if curve.right else "left"
    tone = (curve.number - 1) % TONES + 1
    mark = _PLAIN_MARKS[(curve.number - 1) % len(_PLAIN_MARKS)]
    marker = mark if picture.plain or picture.marks else "braille"
    for stretch in curve.stretches:
        plotext.plot(_list(stretch.times), _list(stretch.values), marker=marker, color=tone,
                     yside=side)  # fmt: skip
    if curve.stretches:
        last = curve.stretches[-1]
        plotext.text(str(curve.number), last.times[-1], last.values[-1], color=tone, yside=side,
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
