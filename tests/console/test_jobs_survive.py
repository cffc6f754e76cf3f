"""Whatever fails or dies at whatever call: the VM ends on exactly one intact disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from console.jobs.runner import JobRunner
from console.policy.plans import make_plan
from drivers.errors import DriverError
from drivers.model.job import Action, Job, JobState, Plan, Request
from drivers.model.vm import VmState
from tests.console.jobworld import UUID, Console, Killed, MemoryStore, World, nothing_to_read, web1
from tests.console.jobworld_driver import WorldDriver

LIVE = (Action.TIER, "hot", VmState.RUNNING)
COLD = (Action.TIER, "hot", VmState.OFF)
MANAGED = (Action.MIGRATE, "kvm2", VmState.RUNNING)
P2P = (Action.MIGRATE, "kvm2", VmState.PAUSED)
OFFLINE = (Action.MIGRATE, "kvm2", VmState.OFF)
SCENARIOS = [LIVE, COLD, MANAGED, P2P, OFFLINE]
NAMES = [
    "live tier move", "cold tier move", "managed migration", "p2p migration of a paused VM",
    "migration of a VM that is off",
]  # fmt: skip
CALLS = 50
"""More calls than any of the scenarios makes."""


def runner(console: Console, owner: str, **given: object) -> JobRunner:
    drivers = {name: WorldDriver(console, name) for name in ("kvm1", "kvm2")}
    store = given.pop("store", None) or MemoryStore(console)
    return JobRunner(
        drivers,  # type: ignore[arg-type]
        store,  # type: ignore[arg-type]
        snapshot=given.pop("snapshot", console.world.snapshot),  # type: ignore[arg-type]
        publish=given.pop("publish", lambda _jobs: None),  # type: ignore[arg-type]
        on_events=lambda _events: None,
        nudge=lambda _host: None,
        read_anew=given.pop("read_anew", nothing_to_read),  # type: ignore[arg-type]
        clock=lambda: console.world.now,
        owner=owner,
        sleep=console.sleep,
        **given,  # type: ignore[arg-type]
    )


def plan_of(world: World, action: Action, target: str) -> Plan:
    modes = {VmState.PAUSED: "p2p", VmState.OFF: "auto"}
    mode = modes.get(world.domains[("kvm1", UUID)].state, "managed")
    options = {"mode": mode} if action is Action.MIGRATE else {}
    request = Request(action, UUID, target, options)
    return make_plan(world.snapshot(), request, now=world.now, plan_id="plan1")


async def ended(jobs: JobRunner, job_id: str) -> Job:
    """Wait for the end of a job, or for the console's death."""
    async with asyncio.timeout(60):
        while True:
            job = next(j for j in jobs.jobs if j.id == job_id)
            if job.state.ended or not jobs._tasks.get(job_id):
                return job
            await asyncio.sleep(0)


async def settled(jobs: JobRunner, job_id: str) -> None:
    """Wait until a job offers nothing more."""
    async with asyncio.timeout(60):
        while next(j for j in jobs.jobs if j.id == job_id).followup:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def run(console: Console, plan: Plan, owner: str = "me@nowhere.invalid.:0:1") -> Job | None:
    jobs = runner(console, owner)
    try:
        job_id = await jobs.submit(plan)
        job = await ended(jobs, job_id)
    except (Killed, DriverError):
        job = None
    if not console.dead:
        await jobs.stop()
    return job


def check(world: World) -> None:
    assert world.damage == []
    assert world.intact() == ""


@pytest.mark.parametrize(("action", "target", "state"), SCENARIOS, ids=NAMES)
async def test_an_undisturbed_job_is_done_and_verified(action, target, state):
    """The job ends DONE with one sentence about how things stand."""
    world = web1(state)
    console = Console(world)
    job = await run(console, plan_of(world, action, target))
    assert job is not None
    assert job.state is JobState.DONE, (job.problem, job.outcome)
    assert job.outcome
    assert console.calls < CALLS, console.log
    check(world)
    ((host, _), domain), *_ = world.domains.items()
    arrived = ("kvm1", "/hot/web1.raw") if action is Action.TIER else ("kvm2", "/warm/web1.raw")
    assert (host, domain.path) == arrived
    assert domain.state is state


@pytest.mark.parametrize("mode", ["fail", "timeout", "lose-answer"])
@pytest.mark.parametrize(("action", "target", "state"), SCENARIOS, ids=NAMES)
async def test_any_failing_call_leaves_the_vm_whole(action, target, state, mode):
    """One call fails or loses its answer: no disk is harmed and no partial copy is forgotten."""
    for number in range(1, CALLS):
        world = web1(state)
        console = Console(world, number, mode)
        job = await run(console, plan_of(world, action, target))
        if job is None:
            continue
        assert job.state.ended
        check(world)
        host, domain = next((h, d) for (h, _), d in world.domains.items())
        assert domain.state is state, (number, console.log)
        spare = {p for p in world.volumes if p != (host, domain.path)}
        if job.state in (JobState.FAILED, JobState.CANCELLED):
            kept = {p for p in spare if p[1] in job.outcome}
            assert spare == kept, (number, console.log, job.outcome)


def cancel_at(jobs: JobRunner, number: int) -> Callable[[int, str], None]:
    """Press cancel from the given call on, as soon as the job is there."""
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.Future[None]] = []

    async def press() -> None:
        while not any(not job.state.ended for job in jobs.jobs):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await jobs.cancel(jobs.jobs[0].id)

    def on_call(count: int, _name: str) -> None:
        if count == number:
            loop.call_soon_threadsafe(lambda: waiting.append(loop.create_task(press())))

    return on_call


@pytest.mark.parametrize(("action", "target", "state"), SCENARIOS, ids=NAMES)
async def test_cancel_at_any_call_stays_on_the_old_disk_or_finishes(action, target, state):
    """A cancel either comes in time, and nothing is left over, or the job is done."""
    for number in range(1, CALLS):
        world = web1(state)
        console = Console(world)
        jobs = runner(console, "me@nowhere.invalid.:0:1")
        plan = plan_of(world, action, target)
        console.on_call = cancel_at(jobs, number)
        job = await ended(jobs, await jobs.submit(plan))
        await jobs.stop()
        check(world)
        assert job.state in (JobState.CANCELLED, JobState.DONE, JobState.INTERRUPTED), job
        if job.state is JobState.CANCELLED:
            assert list(world.volumes) == [("kvm1", "/warm/web1.raw")], (number, console.log)


@pytest.mark.parametrize("choice", ["finish", "undo"])
@pytest.mark.parametrize("mode", ["kill", "kill-after"])
@pytest.mark.parametrize(("action", "target", "state"), SCENARIOS, ids=NAMES)
async def test_kill_at_any_call_is_taken_up_by_the_next_console(
    action, target, state, mode, choice
):
    """After kill -9 the next start tells the truth and finishes or undoes; nothing is lost."""
    taken: list[int] = []
    for number in range(1, CALLS):
        world = web1(state)
        console = Console(world, number, mode)
        await run(console, plan_of(world, action, target), owner="me@:0:1")
        check_no_damage(world)
        if not console.dead:
            continue
        second = Console(world)
        jobs = runner(second, "me@nowhere.invalid.:0:2")
        (*found,) = await jobs.recover()
        for job in found:
            assert job.state in (JobState.INTERRUPTED, JobState.DONE), (number, job)
            assert job.outcome
            if choice in job.followup:
                (plan,) = await jobs.followup(job.id, choice)
                if plan.refusal is None:
                    after = await ended(jobs, await jobs.submit(plan))
                    assert after.state is JobState.DONE, (number, console.log, after)
                    taken.append(number)
                    if choice == "undo":
                        assert world.domains[("kvm1", UUID)].state is state
                        assert list(world.volumes) == [("kvm1", "/warm/web1.raw")]
                    await settled(jobs, job.id)
        await jobs.stop()
        world.tick(1)
        world.tick(1)
        world.tick(1)
        check(world)
    assert taken or (action, choice) == (Action.MIGRATE, "finish")


def check_no_damage(world: World) -> None:
    assert world.damage == []
