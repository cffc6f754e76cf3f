"""A migration under way: the verdict, what is to be expected, what can be pulled."""

from __future__ import annotations

from textual.content import Content

from drivers.model.migration import Lever, LeverOption, Outlook, Pace
from drivers.model.vm import JobProgress
from screens.format import duration, milliseconds, sparkline
from screens.prose import DIM, HEAD, say

_TONES = {
    Pace.STARTING: "$busy",
    Pace.CONVERGING: "bold $good",
    Pace.SLOW: "bold $care",
    Pace.NOT_CONVERGING: "bold $bad",
    Pace.STALLED: "bold $bad",
}

KEYS = {
    Lever.BANDWIDTH: ("b", "Raise bandwidth"),
    Lever.DOWNTIME: ("d", "Allow a longer pause"),
    Lever.THROTTLE: ("t", "Throttle the guest"),
    Lever.POST_COPY: ("p", "Switch to post-copy"),
    Lever.PAUSE: ("z", "Pause to finish"),
    Lever.CANCEL: ("x", "Cancel"),
}
"""Key and words of each lever."""

HOLD_S = 5.0
"""Figures further apart than this many seconds have a gap between them."""

HARSH = frozenset({Lever.POST_COPY, Lever.PAUSE, Lever.CANCEL})
"""Levers that the guest feels: asked twice."""


def cockpit_text(progress: JobProgress, *, cells: int, plain: bool) -> list[Content]:
    """Verdict with reason, ETA as a band, implied downtime, and the course of what remains."""
    outlook = progress.outlook
    if outlook is None:
        return []
    tone = _TONES[outlook.pace]
    lines = [say(outlook.pace.upper(), tone) + say(f"  {outlook.reason}")]
    told = [text for text in (band(outlook), _pause(outlook)) if text]
    if told:
        lines.append(say("  ".join(told), HEAD))
    if len(progress.trail) > 1:
        drawn = sparkline(spread(progress.trail, cells), cells, plain=plain)
        lines.append(say("remaining ", DIM) + Content.styled(drawn, "$busy"))
    return lines


def band(outlook: Outlook) -> str:
    """When it will be over, at best and at worst."""
    if outlook.eta_s is None:
        return ""
    best, worst = outlook.eta_s
    if worst is None:
        never = outlook.pace is Pace.NOT_CONVERGING
        return "ETA never, as it goes" if never else f"ETA {duration(best)} or more"
    if duration(best) == duration(worst):
        return f"ETA {duration(best)}"
    return f"ETA {duration(best)} to {duration(worst)}"


def _pause(outlook: Outlook) -> str:
    if outlook.implied_downtime_ms is None:
        return ""
    return f"switched now, it would pause {milliseconds(outlook.implied_downtime_ms)}"


def spread(trail: tuple[tuple[float, float], ...], cells: int) -> list[float | None]:
    """One value a cell over the trail's time; a time without figures stays a gap."""
    first, last = trail[0][0], trail[-1][0]
    if last <= first or cells < 1:
        return [trail[-1][1]]
    values: list[float | None] = [None] * cells
    before, place = trail[0], 0
    for at, left in trail:
        here = min(cells - 1, int((at - first) / (last - first) * cells))
        if at - before[0] <= HOLD_S:
            values[place + 1 : here] = [before[1]] * max(0, here - place - 1)
        values[here] = left
        before, place = (at, left), here
    return values


def lever_line(option: LeverOption) -> tuple[str, str, str]:
    """Key, words, and what it would do or why it cannot."""
    key, words = KEYS[option.lever]
    return key, words, option.blocked or option.effect
