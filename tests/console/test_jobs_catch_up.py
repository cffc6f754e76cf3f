"""Whoever plans by what is shown when a job has ended plans by what that job did."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from console.policy.plans import make_plan
from console.policy.recovery import FINISH
from console.policy.verbs import Verb
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Job, JobState, Plan, Request
from drivers.model.vm import VmState
from tests.console.jobworld import UUID, Console, World, web1
from tests.console.test_jobs_survive import ended, plan_of, runner

ME = "me@:0:1"


class Sight:
    """A picture that changes only where it is told to look again, and what was shown at ends."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shown = world.snapshot()
        self.asked: list[tuple[set[str], bool]] = []
        self.at_end: dict[str, FleetSnapshot] = {}
        self.slow = asyncio.Event()
        self.slow.set()

    async def read_anew(self, hosts: Iterable[str], *, pools: bool) -> None:
        self.asked.append((set(hosts), pools))
        await self.slow.wait()
        self.shown = self.world.snapshot()

    def publish(self, jobs: tuple[Job, ...]) -> None:
        for job in jobs:
            if job.state.ended:
                self.at_end.setdefault(job.id, self.shown)


def again(sight: Sight, job: Job) -> Plan:
    """The same asked for once more, by what was shown when the job was told as ended."""
    shown = sight.at_end[job.id]
    return make_plan(shown, job.plan.request, now=sight.world.now, plan_id="plan2")


@pytest.mark.parametrize("way", ["cancelled", "failed"])
async def test_a_copy_that_was_cleaned_up_takes_no_name(way: str) -> None:
    """The picture showed the copy while it was made; once deleted, its name is free again."""
    world = web1()
    console = Console(world)
    sight = Sight(world)
    jobs = runner(console, ME, snapshot=lambda: sight.shown,
                  read_anew=sight.read_anew, publish=sight.publish)  # fmt: skip
    plan = plan_of(world, Action.MIGRATE, "kvm2")
    target = next(s.args["path"] for s in plan.steps if s.verb == Verb.CREATE_VOLUME)

    def looked(_number: int, name: str) -> None:
        if name == "migrate":
            sight.shown = world.snapshot()
            assert ("kvm2", target) in world.volumes
            if way == "cancelled":
                jobs._works[job_id].cancelled.set()
            else:
                console.at, console.mode = console.calls, "fail"

    console.on_call = looked
    job_id = await jobs.submit(plan)
    job = await ended(jobs, job_id)
    assert job.state.value == way
    assert ("kvm2", target) not in world.volumes
    assert sight.asked == [({"kvm1", "kvm2"}, True)]
    steps = [s.args["path"] for s in again(sight, job).steps if s.verb == Verb.CREATE_VOLUME]
    assert steps == [target]
    await jobs.stop()


@pytest.mark.parametrize(
    ("action", "target", "state", "pools"),
    [
        (Action.MIGRATE, "kvm2", VmState.RUNNING, True),
        (Action.TIER, "hot", VmState.RUNNING, True),
        (Action.TIER, "hot", VmState.OFF, True),
        (Action.DELETE, "", VmState.OFF, True),
        (Action.PAUSE, "", VmState.RUNNING, False),
        (Action.START, "", VmState.OFF, False),
        (Action.AUTOSTART_ON, "", VmState.OFF, False),
    ],
)
async def test_what_is_done_is_shown_before_it_is_told(
    action: Action, target: str, state: VmState, pools: bool
) -> None:
    """The same again is refused, or is nothing new: the picture knows that it is done."""
    world = web1(state)
    sight = Sight(world)
    jobs = runner(Console(world), ME, snapshot=lambda: sight.shown,
                  read_anew=sight.read_anew, publish=sight.publish)  # fmt: skip
    plan = make_plan(sight.shown, Request(action, UUID, target), now=world.now, plan_id="p")
    job = await ended(jobs, await jobs.submit(plan))
    assert job.state is JobState.DONE, job
    hosts = {"kvm1", "kvm2"} if action is Action.MIGRATE else {"kvm1"}
    assert sight.asked == [(hosts, pools)]
    assert sight.at_end[job.id].hosts == world.snapshot().hosts
    assert again(sight, job).refusal is not None
    await jobs.stop()


async def test_a_console_that_closes_meanwhile_journals_the_end() -> None:
    """What has ended is not left open for the next console because this one still looked."""
    world = web1()
    sight = Sight(world)
    sight.slow.clear()
    jobs = runner(Console(world), ME, snapshot=lambda: sight.shown, read_anew=sight.read_anew)
    job_id = await jobs.submit(plan_of(world, Action.MIGRATE, "kvm2"))
    async with asyncio.timeout(60):
        while not sight.asked:  # noqa: ASYNC110 - the world has no event to wait for
            await asyncio.sleep(0)
    assert not world.journal[job_id].state.ended
    await jobs.stop()
    assert world.journal[job_id].state is JobState.DONE
    assert FINISH in world.journal[job_id].followup
