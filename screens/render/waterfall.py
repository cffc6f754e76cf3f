"""Where a job's time went: its spans as bars one below the other."""

from __future__ import annotations

from textual.content import Content

from drivers.model.job import Job
from drivers.model.trace import Span
from screens.format import duration, fit, milliseconds
from screens.prose import BAD, DIM, HEAD, Para, para, say

_NAME = 34


def waterfall(job: Job, now: float, *, cells: int, plain: bool) -> list[Para]:
    """The trace of a job; nothing when it has none.

    Args:
        job: The job.
        now: Epoch seconds, for what still runs.
        cells: Width of the bars.
        plain: ASCII only.
    """
    if not job.trace or job.started_at is None:
        return []
    return span_lines(job.trace, job.started_at, job.ended_at or now, cells=cells, plain=plain)


def span_lines(
    spans: tuple[Span, ...], first: float, last: float, *, cells: int, plain: bool
) -> list[Para]:
    """Spans as bars on the time from ``first`` to ``last``, epoch seconds."""
    if not spans:
        return []
    end = max(last, first + 0.001)
    depths = _depths(spans)
    lines = [para("Where the time went", HEAD)]
    for span in spans:
        until = span.ended_at if span.ended_at is not None else end
        name = "  " * depths[span.id] + span.name
        if span.count > 1:
            name = f"{_fit_name(name, span.count)} x{span.count}"
        label = f"  {fit(name, _NAME, plain=plain)} {_took(until - span.started_at):>7} "
        before = until <= first
        drawn = "" if before else _bar(span.started_at, until, first, end, cells, plain)
        text = say(drawn, "$bad" if span.error else "$busy")
        lines.append(Para(text, Content.styled(label, BAD if span.error else DIM)))
        if span.error:
            lines.append(para(span.error, BAD, label=" " * (4 + 2 * depths[span.id])))
    return lines


def _fit_name(name: str, count: int) -> str:
    """A name cut so that its count still fits."""
    room = _NAME - len(f" x{count}")
    return name if len(name) <= room else name[:room]


def _depths(spans: tuple[Span, ...]) -> dict[int, int]:
    depths = {0: -1}
    for span in spans:
        depths[span.id] = depths.get(span.parent, -1) + 1
    return depths


def _took(seconds: float) -> str:
    return milliseconds(seconds * 1000) if seconds < 10 else duration(seconds)


def _bar(start: float, until: float, first: float, last: float, cells: int, plain: bool) -> str:
    """A bar at its place on the job's time, at least one cell long."""
    scale = cells / (last - first)
    left = min(cells - 1, max(0, int((start - first) * scale)))
    right = min(cells, max(left + 1, round((until - first) * scale)))
    return " " * left + ("=" if plain else "━") * (right - left)
