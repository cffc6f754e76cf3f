"""A tier move that takes hours: short silences, a cancel, and writes by somebody else."""

from __future__ import annotations

import asyncio

import pytest

from drivers.errors import Busy, DriverError, TimedOut, Unreachable
from drivers.model.job import Action, JobState
from drivers.model.vm import VmState
from drivers.protocol import BlockJob
from tests.console.jobworld import UUID, Console, web1
from tests.console.jobworld_driver import WorldDriver
from tests.console.test_jobs_survive import check, ended, plan_of, runner

ME = "me@:0:1"
OLD = ("kvm1", "/warm/web1.raw")


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


async def test_a_cancel_ends_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading both disks takes long: it is shown, and a cancel ends the reading itself."""
    world = web1(VmState.OFF)
    ends: list[str] = []

    async def endless(_self: WorldDriver, path: str) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append(path)
        return ""

    monkeypatch.setattr(WorldDriver, "checksum", endless)
    jobs = runner(Console(world), ME)
    job_id = await jobs.submit(plan_of(world, Action.TIER, "hot"))
    async with asyncio.timeout(60):
        while not any(j.progress and "original" in j.progress.phase for j in jobs.jobs):  # noqa: ASYNC110
            await asyncio.sleep(0)
    await jobs.cancel(job_id)
    assert (await ended(jobs, job_id)).state is JobState.CANCELLED
    assert ends == ["/warm/web1.raw"]
    assert list(world.volumes) == [OLD]
    check(world)
    await jobs.stop()


@pytest.mark.parametrize("dated", [True, False], ids=["a file", "a block device"])
async def test_what_was_written_after_the_comparison_is_not_left_behind(*, dated: bool) -> None:
    """Somebody started and stopped the VM meanwhile: it keeps the disk with what it wrote."""
    world = web1(VmState.OFF)
    console = Console(world)
    seen = _writes(console, before="find_volume", after=2, dated=dated)
    jobs = runner(console, ME)
    job = await ended(jobs, await jobs.submit(plan_of(world, Action.TIER, "hot")))
    assert seen == ["written"]
    assert job.state is JobState.FAILED
    assert job.problem is not None
    assert "out of date" in job.problem.what
    assert world.domains[("kvm1", UUID)].path == OLD[1]
    assert world.volumes[OLD] == "newer"
    await jobs.stop()


@pytest.mark.parametrize("dated", [True, False], ids=["a file", "a block device"])
async def test_an_old_volume_written_to_until_the_end_is_not_deleted(*, dated: bool) -> None:
    """The last look is just before it would go: it is kept, and the job says so."""
    world = web1(VmState.OFF)
    console = Console(world)
    seen = _writes(console, before="repoint_disk", after=0, dated=dated)
    jobs = runner(console, ME)
    job = await ended(jobs, await jobs.submit(plan_of(world, Action.TIER, "hot")))
    assert seen == ["written"]
    assert job.state is JobState.INTERRUPTED
    assert job.problem is not None
    assert "was written to after it was copied" in job.problem.what
    assert world.volumes[OLD] == "newer"
    await jobs.stop()


def _writes(console: Console, *, before: str, after: int, dated: bool) -> list[str]:
    """Write to the old volume at a call that comes after so many checksums of both volumes."""
    world, seen = console.world, list[str]()
    if dated:
        world.written[OLD] = "100.5"

    def write(_number: int, name: str) -> None:
        if not seen and name == before and console.log.count("checksum") >= after:
            seen.append("written")
            world.volumes[OLD] = "newer"
            if dated:
                world.written[OLD] = "101.5"

    console.on_call = write
    return seen
