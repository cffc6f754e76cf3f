"""Giving VMs to hosts: good guesses first, and a complete search where they fail.

A drain only empties one host and only fills the others, so whatever fits at the end fits at every
step on the way, in any order: what is searched is the assignment alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from console.policy.drain.rooms import Bin, Need
from drivers.model.operation import Outlook

BUDGET = 100_000
"""Trials of one VM on one host before the complete search is cut short."""


@dataclass(frozen=True, slots=True)
class Item:
    """VMs that must go to one and the same host; usually just one."""

    uuids: tuple[str, ...]
    memory: int
    vcpus: int


_SMALL = 400
"""Items times hosts up to which every pair is asked before the search begins."""

Accept = Callable[[Item, str], tuple[Need, ...] | None]
"""What each of an item's VMs takes of a host; None when one of them cannot run there at all."""

Rank = Callable[[Item, str], int]
"""Lower is a better target."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Item number to host. ``outlook`` says whether all have a place, or surely cannot have."""

    places: Mapping[int, str]
    outlook: Outlook


def assign(
    items: Sequence[Item], bins: Mapping[str, Bin], accept: Accept, rank: Rank, budget: int = BUDGET
) -> Assignment:
    """Place as many items as can be; ``bins`` is not changed.

    Returns:
        POSSIBLE: all are placed. IMPOSSIBLE: the search was complete and no assignment places
        more. NOT_PROVEN: it was cut short.
    """
    best: Mapping[int, str] = {}
    for spread in (True, False):
        found = _greedy(items, bins, accept, rank, spread=spread)
        if len(found) > len(best):
            best = found
        if len(best) == len(items):
            return Assignment(best, Outlook.POSSIBLE)
    search = _Search(items, bins, accept, best, budget)
    if not any(search.alone(items[i]) for i in range(len(items)) if i not in best):
        return Assignment(best, Outlook.IMPOSSIBLE)
    search.run()
    if len(search.best) == len(items):
        return Assignment(search.best, Outlook.POSSIBLE)
    outlook = Outlook.IMPOSSIBLE if search.complete else Outlook.NOT_PROVEN
    return Assignment(search.best, outlook)


def put(bin_: Bin, needs: Sequence[Need]) -> bool:
    """Take all of it or nothing."""
    taken: list[Need] = []
    for need in needs:
        if bin_.refuses(need):
            for back in taken:
                bin_.untake(back)
            return False
        bin_.take(need)
        taken.append(need)
    return True


def _greedy(
    items: Sequence[Item], bins: Mapping[str, Bin], accept: Accept, rank: Rank, *, spread: bool
) -> dict[int, str]:
    """Largest first, into the emptiest host (``spread``) or the fullest that has room."""
    rooms = {name: bin_.copy() for name, bin_ in bins.items()}
    given = dict.fromkeys(bins, 0)
    places: dict[int, str] = {}

    def order_of(name: str) -> tuple[float, int, int]:
        """Hosts that are about as empty take turns: what they have free moves by itself."""
        free = rooms[name].memory or 0
        if not spread:
            return 0.0, 0, free
        return -round(free / (bins[name].size or 1), 1), given[name], -free

    for index in _by_size(items):
        item = items[index]
        order = sorted(
            (rank(item, name), order_of(name), name) for name, room in rooms.items()
            if (room.memory or 0) >= item.memory
        )  # fmt: skip
        for _, _, name in order:
            needs = accept(item, name)
            if needs is not None and put(rooms[name], needs):
                places[index] = name
                given[name] += 1
                break
    return places


def _by_size(items: Sequence[Item]) -> list[int]:
    return sorted(range(len(items)), key=lambda i: (-items[i].memory, -items[i].vcpus, i))


class _Search:
    """Depth first over every assignment, leaving an item out last; bounded by what is placed."""

    def __init__(
        self,
        items: Sequence[Item],
        bins: Mapping[str, Bin],
        accept: Accept,
        best: Mapping[int, str],
        budget: int,
    ) -> None:
        self._items = items
        self._rooms = {name: bin_.copy() for name, bin_ in bins.items()}
        self._accept = accept
        self._left = budget
        self._places: dict[int, str] = {}
        self._small = len(items) * len(bins) <= _SMALL
        self.best = dict(best)
        self.complete = True

    def run(self) -> None:
        """Search until all are placed, nothing is left to try, or the budget is spent."""
        order = _by_size(self._items)
        if self._small:
            options = {i: self._options(self._items[i]) for i in order}
            order = sorted((i for i in order if options[i]), key=lambda i: options[i])
        self._descend(order, 0)

    def alone(self, item: Item) -> bool:
        """Whether it has a place when it is the only one to move."""
        return any(self._room_for(item, name) for name in self._rooms)

    def _options(self, item: Item) -> int:
        return sum(self._room_for(item, name) for name in self._rooms)

    def _room_for(self, item: Item, name: str) -> bool:
        needs = self._accept(item, name)
        if needs is None or not put(self._rooms[name], needs):
            return False
        for need in needs:
            self._rooms[name].untake(need)
        return True

    def _descend(self, order: list[int], depth: int) -> bool:
        """True when nothing better can be found, or nothing more may be tried."""
        if len(self._places) > len(self.best):
            self.best = dict(self._places)
        most = len(self._places) + len(order) - depth
        if most <= len(self.best):
            return len(self.best) == len(order)
        index = order[depth]
        tried: set[tuple[object, ...]] = set()
        for name, room in self._rooms.items():
            if self._left <= 0:
                self.complete = False
                return True
            self._left -= 1
            needs = self._accept(self._items[index], name)
            if needs is None:
                continue
            alike = self._alike(order[depth:], name)
            if alike in tried or not put(room, needs):
                continue
            tried.add(alike)
            self._places[index] = name
            ended = self._descend(order, depth + 1)
            del self._places[index]
            for need in needs:
                room.untake(need)
            if ended:
                return True
        return self._descend(order, depth + 1)

    def _alike(self, rest: list[int], name: str) -> tuple[object, ...]:
        """Equal for two hosts that are as good as each other for all that is still to place."""
        if not self._small:
            return (name,)
        return (self._rooms[name].key(), *(self._accept(self._items[i], name) for i in rest))
