"""Following a migration that a dead console left running."""

from __future__ import annotations

import asyncio

import pytest

from drivers.errors import Unreachable
from drivers.model.job import Action, JobState
from drivers.model.vm import VmState
from drivers.protocol import SlowReading
from tests.console.jobworld import UUID, Console, web1
from tests.console.jobworld_driver import WorldDriver
from tests.console.opsworld import until
from tests.console.test_jobs_survive import ended, plan_of, runner


@pytest.mark.parametrize(
    ("silent", "state"),
    [("kvm2", JobState.INTERRUPTED), ("", JobState.CANCELLED)],
    ids=["the target cannot be read", "both can be read"],
)
async def test_a_cancel_ends_it(
    silent: str, state: JobState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The migration is aborted; the job ends also when nobody can tell what the target runs."""
    world = web1(VmState.PAUSED)
    first = runner(Console(world), "me@:0:1")
    await first.submit(plan_of(world, Action.MIGRATE, "kvm2"))
    await until(lambda: UUID in world.moves)
    world.moves[UUID].ticks = -100_000
    await first.stop()
    second = runner(Console(world), "me@:0:2")
    (left,) = await second.recover()
    (plan,) = await second.followup(left.id, "finish")
    down: list[str] = []
    read_slow = WorldDriver.read_slow

    async def read(self: WorldDriver) -> SlowReading:
        if self.name in down:
            raise Unreachable("no answer")
        return await read_slow(self)

    monkeypatch.setattr(WorldDriver, "read_slow", read)
    job_id = await second.submit(plan)
    await until(lambda: any(j.id == job_id and j.progress for j in second.jobs))
    down += [silent]
    await second.cancel(job_id)
    async with asyncio.timeout(60):
        job = await ended(second, job_id)
    assert job.state is state, job.outcome
    assert not world.moves
    assert world.domains[("kvm1", UUID)].path == "/warm/web1.raw"
    assert ("undo" in job.followup) is (state is JobState.INTERRUPTED)
    await second.stop()


async def test_a_cancel_ends_it_while_the_source_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the migration still runs is not known then: the job stays open for the next look."""
    world = web1(VmState.PAUSED)
    first = runner(Console(world), "me@:0:1")
    await first.submit(plan_of(world, Action.MIGRATE, "kvm2"))
    await until(lambda: UUID in world.moves)
    world.moves[UUID].ticks = -100_000
    await first.stop()
    second = runner(Console(world), "me@:0:2")
    (left,) = await second.recover()
    (plan,) = await second.followup(left.id, "finish")
    job_id = await second.submit(plan)
    await until(lambda: any(j.id == job_id and j.progress for j in second.jobs))

    async def silent(_driver: WorldDriver, *_args: object) -> None:
        raise Unreachable("no answer")

    for call in ("job_progress", "read_slow", "abort_job"):
        monkeypatch.setattr(WorldDriver, call, silent)
    await second.cancel(job_id)
    async with asyncio.timeout(60):
        job = await ended(second, job_id)
    assert job.state is JobState.INTERRUPTED, job.outcome
    assert UUID in world.moves
    await second.stop()
