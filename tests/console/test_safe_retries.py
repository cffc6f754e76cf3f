"""What is tried again by itself: connections and readings, with back-off and jitter; no deed ever.

The connection's own back-off is tested with its breaker, a step's end by what the hosts say.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from console.poller.lanes import JITTER, SLOWEST
from drivers.errors import DriverError, Failed
from drivers.model.job import JobState
from tests.console.fakes import FakeDriver, failing
from tests.console.jobworld import Console, web1
from tests.console.pollerworld import watching
from tests.console.test_jobs_audit import finished
from tests.console.test_jobs_survive import COLD, LIVE, MANAGED, plan_of, runner
from tests.console.virtual import simulate

DEEDS = frozenset(
    {"migrate", "block_copy", "block_pivot", "repoint_disk", "clone_volume", "create_volume"}
)
"""Calls that change something for good; to put things back is another matter."""


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_reading_that_fails_comes_again_later_and_later_with_jitter(chance: float) -> None:
    async def work() -> list[float]:
        driver = FakeDriver("a", slow_s=10.0)
        driver.on_slow = failing(Failed("libvirtd is restarting"))
        async with watching(driver, chance=chance):
            await asyncio.sleep(400)
        return driver.slow_reads

    reads = simulate(work())
    gaps = [b - a for a, b in pairwise(reads)]
    spread = 1.0 - JITTER * chance
    assert gaps[1] > gaps[0]
    assert gaps[-1] == pytest.approx(10.0 * SLOWEST * spread, rel=0.02)


@pytest.mark.parametrize("mode", ["fail", "timeout", "lose-answer"])
@pytest.mark.parametrize("job", [MANAGED, LIVE, COLD], ids=["migrate", "live tier", "cold tier"])
async def test_no_step_that_acted_is_tried_again_by_itself(mode: str, job: tuple) -> None:
    """Whichever call fails or loses its answer, each deed is done once or not at all."""
    action, target, state = job
    ends = set()
    for at in range(1, 60):
        world = web1(state) if state is not None else web1()
        console = Console(world, at, mode)
        jobs = runner(console, "me@here:1:1")
        try:
            job_id = await jobs.submit(plan_of(world, action, target))
        except DriverError:  # it never began
            await jobs.stop()
            continue
        await finished(jobs, job_id)
        await jobs.stop()
        done = Counter(name for name in console.log if name in DEEDS)
        assert max(done.values(), default=0) <= 1, (at, done)
        ends.add(world.journal[job_id].state)
    assert JobState.DONE in ends
    assert ends & {JobState.FAILED, JobState.INTERRUPTED}
