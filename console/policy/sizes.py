"""Sizes and numbers in words, for the proofs of checks."""

from __future__ import annotations

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_words(count: int) -> str:
    """Bytes as people say them, in powers of 1024: ``96 MiB``, ``1.5 GiB``, ``512 bytes``."""
    value, unit = float(abs(count)), 0
    # 1023.95 would print as 1024.0 of the smaller unit.
    while value >= 1023.95 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    number = f"{value:.1f}".removesuffix(".0")
    return f"{'-' if count < 0 else ''}{number} {_UNITS[unit]}"


def count_words(number: int, noun: str) -> str:
    """``no VM``, ``1 VM``, ``2 VMs``."""
    return f"{number or 'no'} {noun}{'s' if number > 1 else ''}"
