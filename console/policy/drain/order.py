"""The order of moves under the caps, and whether one more may begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from drivers.model.operation import Limits, Move, MoveVerb


def in_waves(moves: Iterable[Move], limits: Limits) -> tuple[Move, ...]:
    """The moves with waves that keep the caps; an earlier one never waits for a later one."""
    waves: list[list[Move]] = []
    for move in moves:
        number = next(
            (n for n, wave in enumerate(waves) if not over_cap(move, wave, limits)), len(waves)
        )
        if number == len(waves):
            waves.append([])
        waves[number].append(replace(move, wave=number + 1))
    return tuple(move for wave in waves for move in wave)


def over_cap(move: Move, running: Iterable[Move], limits: Limits) -> str:
    """Which cap forbids that this move begins beside the running ones; empty when none does.

    Large guests count among themselves, and small ones fill what room is left beside them: no more
    large ones than ever share a link, and none of them waits for small ones that came later.
    """
    others = tuple(running)
    most = max(limits.per_host, limits.small_per_host), max(limits.per_link, limits.small_per_link)
    if is_small(move, limits):
        return _full(move, others, *most)
    large = [other for other in others if not is_small(other, limits)]
    return _full(move, large, limits.per_host, limits.per_link) or _full(move, others, *most)


def is_small(move: Move, limits: Limits) -> bool:
    """Whether a move waits for its hosts more than for the link."""
    light = move.verb is MoveVerb.MIGRATE and not move.copy_bytes
    return light and 0 < move.memory <= limits.small


def _full(move: Move, running: Iterable[Move], per_host: int, per_link: int) -> str:
    hosts: Counter[str] = Counter()
    links: Counter[tuple[str, str]] = Counter()
    for other in running:
        hosts.update({other.source, other.target})
        if other.verb is MoveVerb.MIGRATE:
            links[(other.source, other.target)] += 1
    for host in dict.fromkeys((move.source, move.target)):
        if hosts[host] >= per_host:
            return f"{per_host} moves at a time on {host}"
    link = (move.source, move.target)
    if move.verb is MoveVerb.MIGRATE and links[link] >= per_link:
        return f"{per_link} moves at a time from {move.source} to {move.target}"
    return ""
