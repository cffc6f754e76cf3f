"""A tier move that takes hours: short silences, a cancel, and writes by somebody else."""

from __future__ import annotations

import pytest

from drivers.errors import Busy, DriverError, TimedOut, Unreachable
from drivers.model.job import Action, JobState
from drivers.protocol import BlockJob
from tests.console.jobworld import Console, web1
from tests.console.jobworld_driver import WorldDriver
from tests.console.test_jobs_survive import check, ended, plan_of, runner

ME = "me@:0:1"


@pytest.mark.parametrize("silence", [TimedOut, Unreachable, Busy])
@pytest.mark.parametrize(("seconds", "state"), [(40, JobState.DONE), (80, JobState.FAILED)])
async def test_a_copy_outlives_a_short_silence(
    silence: type[DriverError], seconds: int, state: JobState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that is silent for less than a minute does not end a copy of hours."""
    world = web1()
    began, answer = world.now, WorldDriver.block_job

    async def silent(self: WorldDriver, uuid: str, disk: str) -> BlockJob | None:
        if world.now < began + seconds:
            raise silence("no answer")
        return await answer(self, uuid, disk)

    monkeypatch.setattr(WorldDriver, "block_job", silent)
    jobs = runner(Console(world), ME)
    job = await ended(jobs, await jobs.submit(plan_of(world, Action.TIER, "hot")))
    assert (job.state is JobState.DONE) is (state is JobState.DONE), job.problem
    check(world)
    await jobs.stop()
