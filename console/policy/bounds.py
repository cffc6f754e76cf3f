"""How much is done at a time, so that neither a host nor a site keeps the others waiting."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    jobs_per_host: int = 6
    moves_per_host: int = 2
    moves_per_link: int = 2
    moves_per_site: int = 8
    moves: int = 16
    connects_per_site: int = 32
    connects: int = 64


BOUNDS = Bounds()
"""What holds where nothing is configured."""
