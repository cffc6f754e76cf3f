"""From a handful of colours to a Textual theme with every variable the screens use."""

from __future__ import annotations

from dataclasses import dataclass, field

from textual.theme import Theme


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme.

    Attributes:
        good: Runs, is up, has passed.
        care: Paused, degraded, wants attention.
        bad: Crashed, down, failed.
        calm: Information, links, the focus.
        busy: On its way: connecting, stopping, migrating.
        faint: Off, unimportant, labels.
        stale: Values that are older than they should be.
        cursor: Background and foreground of the row under the cursor.
        pick: The same of a line whose words keep their colours, and its style; None for the
            cursor's, where those can be read on it.
        charts: Colours of curves, in the order they are given out.
    """

    name: str
    dark: bool
    background: str
    surface: str
    panel: str
    foreground: str
    good: str
    care: str
    bad: str
    calm: str
    busy: str
    faint: str
    stale: str
    cursor: tuple[str, str]
    charts: tuple[str, str, str, str, str, str]
    pick: tuple[str, str, str] | None = None
    ansi: bool = False
    extra: dict[str, str] = field(default_factory=dict)


def theme_of(palette: Palette) -> Theme:
    """The Textual theme of a palette."""
    return Theme(
        name=palette.name,
        primary=palette.calm,
        secondary=palette.busy,
        warning=palette.care,
        error=palette.bad,
        success=palette.good,
        accent=palette.calm,
        foreground=palette.foreground,
        background=palette.background,
        surface=palette.surface,
        panel=palette.panel,
        dark=palette.dark,
        ansi=palette.ansi,
        variables={**semantic(palette), **palette.extra},
    )


def semantic(palette: Palette) -> dict[str, str]:
    """Variables by meaning: states of VMs, hosts and jobs, freshness, tiers and curves."""
    good, care, bad = palette.good, palette.care, palette.bad
    busy, faint, calm = palette.busy, palette.faint, palette.calm
    names = {
        "vm-running": good, "vm-blocked": good, "vm-paused": care, "vm-stopping": busy,
        "vm-off": faint, "vm-crashed": bad, "vm-suspended": care, "vm-unknown": palette.stale,
        "host-up": good, "host-connecting": busy, "host-degraded": care, "host-down": bad,
        "host-decision": care, "host-stale": palette.stale,
        "job-pending": faint, "job-running": busy, "job-done": good, "job-failed": bad,
        "job-cancelled": care, "job-interrupted": care,
        "tier-hot": bad, "tier-warm": care, "tier-cold": calm, "tier-none": faint,
        "good": good, "care": care, "bad": bad, "calm": calm, "busy": busy, "faint": faint,
        "stale": palette.stale, "badge": care, "load": calm,
        "block-cursor-background": palette.cursor[0],
        "block-cursor-foreground": palette.cursor[1],
    }  # fmt: skip
    pick = palette.pick or (*palette.cursor, "bold")
    ways = zip(("pick-background", "pick-foreground", "pick-style"), pick, strict=True)
    charts = {f"chart-{n}": colour for n, colour in enumerate(palette.charts, 1)}
    return names | charts | dict(ways)
