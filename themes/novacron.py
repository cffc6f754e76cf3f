"""The themes that come with the console."""

from __future__ import annotations

from textual.theme import Theme

from themes.palette import Palette, theme_of

DARK = Palette(
    name="novacron-dark", dark=True,
    background="#10151c", surface="#151b24", panel="#1c2430", foreground="#d5dde8",
    good="#6cc784", care="#e5b95c", bad="#f0716b", calm="#6cb2f0", busy="#b99af2",
    faint="#8591a3", stale="#a98a6c", cursor=("#2b3a4f", "#ffffff"),
    charts=("#6cb2f0", "#6cc784", "#e5b95c", "#f0716b", "#b99af2", "#5fc9c4"),
)  # fmt: skip

LIGHT = Palette(
    name="novacron-light", dark=False,
    background="#fafbfc", surface="#f0f3f6", panel="#e4e9ef", foreground="#1d2633",
    good="#1a7436", care="#8a5a00", bad="#b3261e", calm="#0b5cad", busy="#6b3fc0",
    faint="#5b6675", stale="#7a5230", cursor=("#cfe0f4", "#0d1520"),
    charts=("#0b5cad", "#1a7436", "#8a5a00", "#b3261e", "#6b3fc0", "#0a6b68"),
)  # fmt: skip

CONTRAST = Palette(
    name="novacron-contrast", dark=True,
    background="#000000", surface="#000000", panel="#1a1a1a", foreground="#ffffff",
    good="#00ff66", care="#ffe000", bad="#ff6b6b", calm="#66d9ff", busy="#ff9cff",
    faint="#d0d0d0", stale="#ffb066", cursor=("#ffffff", "#000000"),
    pick=("#003a8c", "#ffffff", "bold"),
    charts=("#66d9ff", "#00ff66", "#ffe000", "#ff6b6b", "#ff9cff", "#ffffff"),
)  # fmt: skip

# The terminal's own sixteen colours and its own background: right wherever those are readable.
SIXTEEN = Palette(
    name="novacron-16", dark=True, ansi=True,
    background="ansi_default", surface="ansi_default", panel="ansi_default",
    foreground="ansi_default",
    good="ansi_green", care="ansi_yellow", bad="ansi_bright_red", calm="ansi_bright_cyan",
    busy="ansi_bright_magenta", faint="ansi_cyan", stale="ansi_yellow",
    cursor=("ansi_white", "ansi_black"),
    pick=("ansi_default", "ansi_default", "bold underline"),
    charts=(
        "ansi_bright_cyan", "ansi_green", "ansi_yellow", "ansi_bright_red",
        "ansi_bright_magenta", "ansi_bright_blue",
    ),
    extra={
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "border": "ansi_cyan",
        "border-blurred": "ansi_white",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_white",
        "input-cursor-background": "ansi_white",
        "input-cursor-foreground": "ansi_black",
        "input-selection-background": "ansi_bright_blue",
        "input-selection-foreground": "ansi_black",
        "screen-selection-background": "ansi_bright_blue",
        "screen-selection-foreground": "ansi_black",
    },
)  # fmt: skip

THEMES: tuple[Theme, ...] = tuple(theme_of(p) for p in (DARK, LIGHT, CONTRAST, SIXTEEN))
"""Every theme of ours, the default first."""
