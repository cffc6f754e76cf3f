"""Numbers, ages and names as short text: pure functions from values to strings.

A value that is not known is shown as ``-`` (never as zero). Everything that came from a host goes
through ``clean`` before it is drawn: a name must not move the cursor or turn the line around.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

UNKNOWN = "-"

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = "_.:-=+*#"
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_UNITS = ("B", "K", "M", "G", "T", "P", "E")
_DROPPED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that steer a terminal or the writing direction instead of being read."""


@lru_cache(maxsize=16_384)
def clean(text: str) -> str:
    """One safe line: no control, bidirectional or zero-width characters, blanks for line ends."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_safe(char) for char in text)


def _safe(char: str) -> str:
    if char in "\n\t\r\v\f\u2028\u2029":
        return " "
    if "\ufe00" <= char <= "\ufe0f" or unicodedata.category(char) in _DROPPED:
        return ""
    return char


def clean_block(text: str) -> str:
    """Many safe lines: as ``clean``, keeping line ends; tabs become four blanks."""
    return "\n".join(clean(line.replace("\t", "    ")) for line in text.splitlines())


def ascii_only(text: str) -> str:
    """The same text with every character outside ASCII shown as ``?``."""
    return text if text.isascii() else "".join(c if c.isascii() else "?" for c in text)


def width_of(text: str) -> int:
    """Terminal cells the text takes (wide characters take two)."""
    return cell_len(text)


def fit(text: str, width: int, *, right: bool = False, plain: bool = False) -> str:
    """Exactly ``width`` cells: padded (on the left with ``right``), or cut with an ellipsis."""
    size = cell_len(text)
    if size <= width:
        gap = " " * (width - size)
        return gap + text if right else text + gap
    if width <= 0:
        return ""
    return set_cell_size(text, width - 1) + ("~" if plain else "…")


def _scaled(value: float, base: float, suffix: str) -> str:
    negative, size = value < 0, abs(value)
    unit = 0
    # 999.5 would print as 1000 and be a column too wide.
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size /= base
        unit += 1
    number = f"{size:.0f}" if unit == 0 or size >= 99.5 else f"{size:.1f}"
    return f"{'-' if negative else ''}{number}{_UNITS[unit]}{suffix}"


def size(value: float | None) -> str:
    """Bytes in powers of 1024, at most five cells: ``512B``, ``1.5G``, ``931G``."""
    return UNKNOWN if value is None else _scaled(value, 1024.0, "")


def rate(value: float | None) -> str:
    """Bytes a second, such as ``12.3M/s``."""
    return UNKNOWN if value is None else _scaled(value, 1024.0, "/s")


def count(value: float | None) -> str:
    """A plain number, such as IOPS: ``7``, ``950``, ``12.3k``, ``1.2M``."""
    if value is None:
        return UNKNOWN
    return _scaled(value, 1000.0, "").replace("K", "k").replace("B", "")


def percent(value: float | None, *, digits: int = 0) -> str:
    """Percent, such as ``7%``; shares below one but not zero keep one digit."""
    if value is None:
        return UNKNOWN
    if digits == 0 and 0.0 < abs(value) < 0.95:
        return f"{value:.1f}%"
    return f"{value:.{digits}f}%"


def share(part: float | None, whole: float | None) -> float | None:
    """``part`` of ``whole`` as a fraction, None when either is not known or the whole is zero."""
    return None if part is None or not whole else part / whole


def milliseconds(value: float | None) -> str:
    """Latency, such as ``0.42ms``, ``12ms`` or ``1.5s``."""
    if value is None:
        return UNKNOWN
    if value >= 1000.0:
        return f"{value / 1000.0:.1f}s"
    return f"{value:.2f}ms" if value < 9.995 else f"{value:.0f}ms"


def duration(seconds: float | None) -> str:
    """A span in its two largest units: ``42s``, ``3m12s``, ``4h05m``, ``12d03h``."""
    if seconds is None:
        return UNKNOWN
    total = max(0, int(seconds))
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m{total % 60:02d}s"
    if total < 86_400:
        return f"{total // 3600}h{total % 3600 // 60:02d}m"
    return f"{total // 86_400}d{total % 86_400 // 3600:02d}h"


def age(at: float | None, now: float) -> str:
    """How long ago in one unit: ``0s``, ``12s``, ``5m``, ``3h``, ``9d``; ``never`` for 0."""
    if not at:
        return "never"
    seconds = max(0, int(now - at))
    for limit, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= limit:
            return f"{seconds // limit}{unit}"
    return f"{seconds}s"


def bar(fraction: float | None, width: int, *, plain: bool = False) -> str:
    """A fill bar of ``width`` cells; blanks when the fraction is not known."""
    if fraction is None:
        return " " * width
    part = min(1.0, max(0.0, fraction))
    if plain:
        full = round(part * width)
        return "#" * full + "." * (width - full)
    eighths = round(part * width * 8)
    if part > 0 and eighths == 0:
        eighths = 1
    filled = "█" * (eighths // 8) + _EIGHTHS[eighths % 8]
    return filled + "░" * (width - len(filled))


def sparkline(
    values: Sequence[float | None],
    width: int,
    *,
    plain: bool = False,
    top: float | None = None,
) -> str:
    """The last ``width`` values as one line, newest at the right, gaps as blanks.

    Args:
        values: Oldest first; None is a gap.
        width: Cells.
        plain: Draw with ASCII characters.
        top: Value of a full cell; the largest shown value when None.
    """
    levels = _ASCII_LEVELS if plain else _BLOCKS
    shown = list(values[-width:]) if width > 0 else []
    known = [v for v in shown if v is not None]
    peak = top or max(known, default=0.0)
    cells = [" " if v is None else _level(v, peak, levels) for v in shown]
    return "".join(cells).rjust(width)


def _level(value: float, peak: float, levels: str) -> str:
    if peak <= 0 or value <= 0:
        return levels[0]
    return levels[min(len(levels) - 1, int(value / peak * len(levels)))]


def area(
    values: Sequence[float | None],
    width: int,
    height: int,
    *,
    plain: bool = False,
    top: float | None = None,
) -> list[str]:
    """A filled curve of several lines, the top line first; drawn as ``sparkline`` is."""
    levels = _ASCII_LEVELS if plain else _BLOCKS
    shown = list(values[-width:]) if width > 0 else []
    peak = top or max((v for v in shown if v is not None), default=0.0)
    lines = []
    for line in range(height - 1, -1, -1):
        cells = [_slice(value, peak, line, height, levels) for value in shown]
        lines.append("".join(cells).rjust(width))
    return lines


def _slice(value: float | None, peak: float, line: int, height: int, levels: str) -> str:
    if value is None:
        return " "
    part = min(1.0, max(0.0, value / peak)) if peak > 0 else 0.0
    steps = round(part * height * len(levels)) - line * len(levels)
    if steps <= 0:
        return levels[0] if line == 0 else " "
    return levels[min(len(levels), steps) - 1]


def plural(number: int, noun: str) -> str:
    """``1 disk``, ``2 disks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
