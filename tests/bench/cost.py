"""Client CPU and wall time of work that is repeated, rivals taking turns."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.table import Beside, paired_ratio

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of one sweep, a value for each round."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


def beside(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Beside:
    """A rival's median, and the ratio of the rounds measured together."""
    return Beside(name, statistics.median(theirs), paired_ratio(ours, theirs))


def children_cpu() -> float:
    """Seconds of CPU that the ``ssh`` children of this process have used, in ticks of 10 ms."""
    ticks = 0
    me = str(os.getpid())
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            head, _, tail = (folder / "stat").read_text().rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        fields = tail.split()
        if fields[1] == me and head.endswith("(ssh"):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def compare(works: Mapping[str, Work], rounds: int, batch: int) -> dict[str, Cost]:
    """Measure every work in every round, each round in another order.

    Args:
        works: What to repeat, by name.
        rounds: How often each is measured.
        batch: How often it is done a round; ticks of child processes are coarse.
    """
    costs = {name: Cost() for name in works}
    names = list(works)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            work = works[name]
            before = children_cpu()
            began, used = time.perf_counter(), time.process_time()
            for _ in range(batch):
                await work()
            used = time.process_time() - used
            costs[name].wall.append((time.perf_counter() - began) * 1000 / batch)
            costs[name].cpu.append((used + children_cpu() - before) * 1000 / batch)
    return costs
