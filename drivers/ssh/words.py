"""Text that came from a server or a file: made harmless before a person sees it."""

from __future__ import annotations

import math

_DIGITS = 20
"""Digits of the largest number in 64 bits; no counter of a kernel is wider."""


def clean(text: str, limit: int = 2000) -> str:
    """``text`` without control characters (line breaks stay), at most ``limit`` characters."""
    kept = (c if c == "\n" or c.isprintable() else " " for c in text.replace("\r\n", "\n"))
    return "".join(kept).strip()[:limit]


def one_line(text: str, limit: int = 300) -> str:
    """``clean`` text folded into one line."""
    return " ".join(clean(text, limit).split())


def is_count(word: str) -> bool:
    """Whether ``word`` is a count in ASCII digits, as a kernel prints them: ``int`` takes it.

    ``str.isdigit`` alone is also true for ``¹``, and ``int`` refuses thousands of digits.
    """
    return word.isascii() and word.isdigit() and len(word) <= _DIGITS


def finite(word: str) -> float:
    """``word`` as a number.

    Raises:
        ValueError: It is none, or ``nan`` or ``inf``, which no kernel prints.
    """
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word} is no finite number")
    return number


def address(host: str, port: int) -> str:
    """``host:port`` for people, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
