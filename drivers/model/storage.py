"""Storage pools, their volumes and their tiers, and virtual networks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.model.problem import Problem


class Tier(StrEnum):
    """Where data lives by how soon it is wanted; NONE is a pool no tier was given to."""

    HOT = "hot"
    WARM = "warm"
    COLD = "cold"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Volume:
    """One storage volume. ``used_by`` holds the UUIDs of the domains that name its path.

    ``written`` is when a single file was last written to, in the host's words; it is empty for
    other kinds, and in readings of whole pools.
    """

    name: str
    path: str
    pool: str
    host: str
    format: str = ""
    capacity: int = 0
    allocation: int = 0
    used_by: tuple[str, ...] = ()
    written: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """One storage pool of one host; sizes are bytes, ``at`` is when libvirt told them."""

    name: str
    host: str
    uuid: str = ""
    kind: str = "dir"
    tier: Tier = Tier.NONE
    active: bool = True
    autostart: bool = False
    path: str = ""
    capacity: int = 0
    allocation: int = 0
    available: int = 0
    volumes: tuple[Volume, ...] = ()
    at: float = 0.0
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """One libvirt network or host bridge that a guest can be plugged into."""

    name: str
    host: str
    bridge: str = ""
    active: bool = True
    forward: str = ""
