"""Believable load as pure functions of a key and an instant: nothing is replayed or remembered."""

from __future__ import annotations

import math
from dataclasses import dataclass

DAY_S = 86_400.0
MIB = 1 << 20
_MASK = (1 << 64) - 1


def mix(number: int) -> int:
    """A well-spread 64-bit hash of an integer (the finaliser of MurmurHash3)."""
    number &= _MASK
    number = ((number ^ (number >> 33)) * 0xFF51AFD7ED558CCD) & _MASK
    number = ((number ^ (number >> 33)) * 0xC4CEB9FE1A85EC53) & _MASK
    return number ^ (number >> 33)


def unit(key: int, salt: int = 0) -> float:
    """A number from 0 to 1 that belongs to ``key`` and ``salt``."""
    return mix(key + salt * 0x9E3779B97F4A7C15) / (_MASK + 1)


def noise(key: int, at: float, period_s: float) -> float:
    """Smooth noise from 0 to 1 with a new target every ``period_s`` seconds."""
    step, part = divmod(at / period_s, 1.0)
    here, there = unit(key, int(step)), unit(key, int(step) + 1)
    return here + (there - here) * part * part * (3.0 - 2.0 * part)


def daily(at: float, phase: float) -> float:
    """From 0 in the night to 1 at midday, ``phase`` days later than UTC."""
    return 0.5 - 0.5 * math.cos(2.0 * math.pi * (at / DAY_S - phase))


@dataclass(frozen=True, slots=True)
class Character:
    """How a simulated guest behaves.

    Attributes:
        key: Its own source of randomness.
        level: CPU share at night, percent of its vCPUs.
        swing: What midday adds to that, percent.
        phase: Its time zone, days.
        noisy: It has bursts that its neighbours feel.
        storage: How much it writes and reads next to an ordinary guest.
        traffic: How much it sends and receives next to an ordinary guest.
        dirty_bps: Bytes of memory it rewrites a second.
        deaf: It ignores a request to shut down.
    """

    key: int
    level: float
    swing: float
    phase: float
    noisy: bool = False
    storage: float = 1.0
    traffic: float = 1.0
    dirty_bps: float = 20.0 * MIB
    deaf: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """Live figures of one running guest at one instant; rates are bytes a second."""

    cpu_pct: float
    read_bps: float
    write_bps: float
    rx_bps: float
    tx_bps: float
    memory_share: float


def figures(guest: Character, at: float) -> Figures:
    """What a running guest does at ``at``."""
    key = guest.key
    wobble = noise(key, at, 7.0)
    slow = noise(key + 1, at, 600.0)
    cpu = guest.level + guest.swing * daily(at, guest.phase) * (0.6 + 0.4 * slow) + 6.0 * wobble
    if guest.noisy and noise(key + 2, at, 90.0) > 0.6:
        cpu = 80.0 + 20.0 * wobble
    cpu = round(min(100.0, cpu), 1)
    busy = cpu / 100.0
    read = guest.storage * MIB * busy * 6.0 * (0.3 + wobble)
    write = guest.storage * MIB * busy * 4.0 * (1.3 - wobble)
    rx = guest.traffic * MIB * busy * 3.0 * (0.5 + slow)
    return Figures(cpu, read, write, rx, rx * (0.4 + wobble), 0.35 + 0.4 * slow)


@dataclass(frozen=True, slots=True)
class Precopy:
    """How a pre-copy migration stands: bytes, iteration from 1, and whether it is through."""

    done: int
    remaining: int
    iteration: int
    finished: bool
    downtime_ms: float


def precopy(
    elapsed_s: float,
    memory: int,
    disks: int,
    rate_bps: float,
    dirty_bps: float,
    max_downtime_s: float = 0.3,
    first: int | None = None,
) -> Precopy:
    """State of a live migration ``elapsed_s`` after it began.

    Disks go first. Then each iteration sends what the guest rewrote during the one before; it is
    through once the rest fits into the allowed downtime, and never is where memory is rewritten
    faster than sent. ``first`` is what the first iteration sends, if that is not all memory.
    """
    sent = max(0.0, elapsed_s) * rate_bps
    if sent < disks:
        first = memory if first is None else first
        return Precopy(int(sent), int(first + disks - sent), 0, False, 0.0)
    left, rest, done = sent - disks, float(memory if first is None else first), float(disks)
    for iteration in range(1, 1000):
        if left < rest:
            return Precopy(int(done + left), int(rest - left), iteration, False, 0.0)
        left -= rest
        done += rest
        rest = min(float(memory), rest / rate_bps * dirty_bps)
        if rest / rate_bps <= max_downtime_s:
            downtime = 1000.0 * rest / rate_bps
            return Precopy(int(done + rest), 0, iteration + 1, True, downtime)
    return Precopy(int(done), int(rest), 1000, False, 0.0)
