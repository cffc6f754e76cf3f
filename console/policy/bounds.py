"""How much is done at a time, so that neither a host nor a site keeps the others waiting."""

from __future__ import annotations

from dataclasses import dataclass

USUAL_BPS = 1e9 / 8
"""Bytes a second of a link of 1 Gbit/s, where nothing is configured or measured."""

SMALL_S = 2.0
"""Seconds in which a link carries the memory of a guest that counts as small: its move waits for
hosts more than for the link."""

SMALL_AT_ONCE = 8
"""Moves of small guests at a time on one host."""


def small_bytes(link_bps: float | None) -> int:
    """Bytes of memory up to which a guest counts as small on a link of so many bytes a second."""
    return int(SMALL_S * (link_bps or USUAL_BPS))


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one console.

    Attributes:
        jobs_per_host: Jobs at a time on one host that move nothing; starting many guests at once
            is what makes a host stall.
        moves_per_host: Migrations and disk copies at a time that leave or enter one host.
        moves_per_link: Migrations at a time from one host to one other.
        moves_per_site: Migrations and disk copies at a time that leave or enter one site.
        moves: Migrations and disk copies at a time in all.
        connects_per_site: Connections opened at a time to hosts of one site.
        connects: Connections opened at a time in all; a site that opens none is never kept waiting.
        small: Bytes of memory up to which a guest counts as small.
        small_per_host: Moves at a time on one host while the one that begins is of a small guest.
        small_per_link: The same from one host to one other.
    """

    jobs_per_host: int = 6
    moves_per_host: int = 2
    moves_per_link: int = 2
    moves_per_site: int = 8
    moves: int = 16
    connects_per_site: int = 32
    connects: int = 64
    small: int = small_bytes(None)
    small_per_host: int = SMALL_AT_ONCE
    small_per_link: int = SMALL_AT_ONCE


BOUNDS = Bounds()
"""What holds where nothing is configured."""
