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
    """Which cap forbids that this move begins beside the running ones; empty when none does."""
    hosts: Counter[str] = Counter()
    links: Counter[tuple[str, str]] = Counter()
    for other in running:
        hosts.update({other.source, other.target})
        if other.verb is MoveVerb.MIGRATE:
            links[(other.source, other.target)] += 1
    for host in dict.fromkeys((move.source, move.target)):
        if hosts[host] >= limits.per_host:
            return f"{limits.per_host} moves at a time on {host}"
    link = (move.source, move.target)
    if move.verb is MoveVerb.MIGRATE and links[link] >= limits.per_link:
        return f"{limits.per_link} moves at a time from {move.source} to {move.target}"
    return ""
