"""The filter of lists, in k9s's grammar: regex, ``!`` inverse, ``-l`` tag, ``-f`` fuzzy."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter. ``error`` says why it cannot be used; then it lets everything pass."""

    text: str = ""
    test: Callable[[str, Sequence[str]], bool] | None = None
    error: str = ""

    def __bool__(self) -> bool:
        return self.test is not None

    def passes(self, text: str, tags: Sequence[str] = ()) -> bool:
        """Whether a row with this searchable text and these tags is shown."""
        return self.test is None or self.test(text, tags)


def parse_filter(text: str) -> Filter:
    """Understand what was typed after ``/``.

    ``web.*1`` is a regular expression anywhere in the row's text, ignoring case; ``!web`` shows
    the rows that do not match; ``-l prod`` or ``-l tier=gold,prod`` wants all these tags;
    ``-f wb1`` wants the letters in that order.
    """
    wanted = text.strip()
    if wanted.startswith("-l"):
        return _by_tags(text, wanted[2:])
    if wanted.startswith("-f"):
        return _fuzzy(text, wanted[2:].strip())
    inverse = wanted.startswith("!")
    pattern = wanted[1:].strip() if inverse else wanted
    if not pattern:
        return Filter(text)
    try:
        found = re.compile(pattern, re.IGNORECASE).search
    except re.error as error:
        return Filter(text, error=f"not a regular expression: {error}")
    if inverse:
        return Filter(text, lambda row, _tags: found(row) is None)
    return Filter(text, lambda row, _tags: found(row) is not None)


def _by_tags(text: str, listed: str) -> Filter:
    wanted = [tag.strip().casefold() for tag in listed.split(",") if tag.strip()]
    if not wanted:
        return Filter(text)
    return Filter(text, lambda _row, tags: set(wanted) <= {tag.casefold() for tag in tags})


def _fuzzy(text: str, letters: str) -> Filter:
    if not letters:
        return Filter(text)
    joined = ".*?".join(re.escape(letter) for letter in letters)
    found = re.compile(joined, re.IGNORECASE).search
    return Filter(text, lambda row, _tags: found(row) is not None)
