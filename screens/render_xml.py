"""XML as coloured lines, with what was searched for marked."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from textual.content import Content, Span

from screens.format import ascii_only, clean_block

_PARTS = re.compile(
    r"""(?P<faint><!--.*?-->)
      | (?P<calm></?[\w:.-]+|/?>|<\?[\w:.-]+|\?>)
      | (?P<busy>[\w:.-]+)(?==['"])
      | (?P<good>(?<==)(?:'[^'<]*'|"[^"<]*"))""",
    re.VERBOSE | re.DOTALL,
)
"""Comments, tags, attribute names and values; each group is named by the tone it is drawn in."""

TOO_LONG = 400_000
"""Characters beyond which a definition is shown without colours: painting would be felt."""


class Found(NamedTuple):
    """The lines as wrapped, and the numbers of those that match."""

    lines: tuple[Content, ...]
    places: tuple[int, ...]


@lru_cache(maxsize=4)
def coloured(text: str) -> tuple[Content, ...]:
    """The text's lines, safe and highlighted."""
    safe = clean_block(text)
    if len(safe) > TOO_LONG:
        return tuple(Content(line) for line in safe.split("\n"))
    spans = [Span(m.start(), m.end(), f"${m.lastgroup}") for m in _PARTS.finditer(safe)]
    return tuple(Content(safe).add_spans(spans).split("\n", allow_blank=True))


@lru_cache(maxsize=4)
def wrapped(text: str, width: int) -> tuple[Content, ...]:
    """The highlighted lines cut to ``width`` cells, as they run when it is 0."""
    lines = coloured(text)
    if width <= 0:
        return lines
    folded: list[Content] = []
    for line in lines:
        folded.extend(line.fold(width) if line.cell_length > width else [line])
    return tuple(folded)


def search(text: str, wanted: str, width: int) -> Found:
    """Lines of the text, and which of them contain ``wanted``, ignoring case."""
    lines = wrapped(text, width)
    if not wanted:
        return Found(lines, ())
    needle = wanted.casefold()
    hits = tuple(n for n, line in enumerate(lines) if needle in line.plain.casefold())
    return Found(lines, hits)


def paint(found: Found, wanted: str, current: int | None, *, plain: bool) -> Content:
    """All lines, matches marked, the current one underlined too."""
    lines = list(found.lines)
    if wanted:
        pattern = re.compile(re.escape(wanted), re.IGNORECASE)
        for place in found.places:
            style = "bold reverse underline" if place == current else "reverse"
            lines[place] = lines[place].highlight_regex(pattern, style=style)
    if plain:
        lines = [
            line if line.plain.isascii() else Content(ascii_only(line.plain)) for line in lines
        ]
    return Content("\n").join(lines)
