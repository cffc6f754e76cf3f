"""What a person sees of jobs: ends, refusals, offers, and what other consoles do."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from console.jobs.meter import Meter
from console.jobs.owner import this_owner
from drivers.errors import Busy, Refused
from drivers.model.job import Action, JobState, Request
from drivers.model.vm import JobProgress, VmState
from tests.console.jobworld import UUID, Console, Domain, World, web1
from tests.console.test_jobs_survive import ended, plan_of, runner

ME = "me@:0:1"


async def run(world: World, action: Action, target: str = "", owner: str = ME):
    console = Console(world)
    jobs = runner(console, owner)
    job = await ended(jobs, await jobs.submit(plan_of(world, action, target)))
    return jobs, job


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        (Action.START, VmState.OFF, VmState.RUNNING),
        (Action.SHUTDOWN, VmState.RUNNING, VmState.OFF),
        (Action.PAUSE, VmState.RUNNING, VmState.PAUSED),
        (Action.RESUME, VmState.PAUSED, VmState.RUNNING),
        (Action.FORCE_OFF, VmState.RUNNING, VmState.OFF),
        (Action.REBOOT, VmState.RUNNING, VmState.RUNNING),
    ],
)
async def test_lifecycle_ends_with_the_state_read_back(action, before, after):
    """DONE means that the host was read again, and the outcome says the state."""
    world = web1(before)
    jobs, job = await run(world, action)
    assert job.state is JobState.DONE
    assert world.domains[("kvm1", UUID)].state is after
    assert job.outcome == f"web1 is {after.value}, read from kvm1."
    await jobs.stop()


async def test_a_guest_that_does_not_obey_leads_to_force_off():
    """After the wait the job fails, offers force-off, and that plan powers the VM off."""
    world = web1()
    world.obeys = False
    jobs, job = await run(world, Action.SHUTDOWN)
    assert job.state is JobState.FAILED
    assert "did not power down within 60 s" in job.problem.what
    assert job.followup[0] == "force-off"
    (plan,) = await jobs.followup(job.id, "force-off")
    forced = await ended(jobs, await jobs.submit(plan))
    assert forced.state is JobState.DONE
    assert world.domains[("kvm1", UUID)].state is VmState.OFF
    await jobs.stop()


async def test_one_job_a_vm():
    """A second job of the same VM is refused while the first runs."""
    world = web1()
    jobs = runner(Console(world), ME)
    first = await jobs.submit(plan_of(world, Action.TIER, "hot"))
    with pytest.raises(Busy):
        await jobs.submit(plan_of(world, Action.PAUSE, ""))
    assert (await ended(jobs, first)).state is JobState.DONE
    await jobs.stop()


async def test_a_refused_plan_never_becomes_a_job():
    """What the preview refused cannot be run."""
    world = web1()
    jobs = runner(Console(world), ME)
    with pytest.raises(Refused, match="already running"):
        await jobs.submit(plan_of(world, Action.START, ""))
    assert jobs.jobs == ()
    await jobs.stop()


async def test_each_step_is_durable_before_it_acts():
    """The journal is written before every call that changes something."""
    world = web1()
    console = Console(world)
    jobs = runner(console, ME)
    await ended(jobs, await jobs.submit(plan_of(world, Action.TIER, "hot")))
    changing = {"create_volume", "block_copy", "block_pivot", "delete_volume"}
    reading = {"read_slow", "find_volume", "xml", "block_job", "needs"}
    for number, name in enumerate(console.log):
        if name in changing:
            earlier = [n for n in console.log[:number] if n not in reading]
            assert earlier[-1] == "put_job", (name, console.log[:number])
    await jobs.stop()


async def test_a_live_consoles_job_is_shown_and_not_touched():
    """Another console that lives keeps its job, and its VM is busy for us."""
    world = web1()
    (_, job) = await run(world, Action.TIER, "hot")
    theirs = replace(job, id="theirs", state=JobState.RUNNING, owner=f"you@{this_host()}")
    world.journal = {"theirs": theirs}
    jobs = runner(Console(world), ME)
    assert await jobs.recover() == (theirs,)
    assert world.journal["theirs"] == theirs
    with pytest.raises(Busy, match="already under way"):
        await jobs.submit(plan_of(world, Action.PAUSE, ""))
    await jobs.stop()


def this_host() -> str:
    return this_owner().rpartition("@")[2]


async def test_dismiss_ends_the_offers():
    """A dismissed job offers nothing more, durably."""
    world = web1()
    world.obeys = False
    jobs, job = await run(world, Action.SHUTDOWN)
    assert await jobs.followup(job.id, "dismiss") == ()
    assert world.journal[job.id].followup == ()
    with pytest.raises(Refused):
        await jobs.followup(job.id, "dismiss")
    await jobs.stop()


async def test_deleting_removes_only_the_chosen_volume():
    """The definition goes, the chosen disk goes, another VM's disk stays."""
    world = web1(VmState.OFF)
    world.volumes[("kvm1", "/warm/other.raw")] = "data"
    console = Console(world)
    jobs = runner(console, ME)
    plan = plan_of(world, Action.DELETE, "")
    assert plan.refusal is None
    request = Request(Action.DELETE, UUID, "", {"volumes": "/warm/web1.raw"})
    plan = replace_request(world, request)
    job = await ended(jobs, await jobs.submit(plan))
    assert job.state is JobState.DONE
    assert list(world.volumes) == [("kvm1", "/warm/other.raw")]
    assert world.damage == []
    await jobs.stop()


def replace_request(world: World, request: Request):
    from console.policy.plans import make_plan

    return make_plan(world.snapshot(), request, now=world.now, plan_id="p")


async def test_a_vm_started_since_the_preview_is_not_deleted():
    """Nobody has seen it start; the fresh reading of the first step stops it."""
    world = web1(VmState.OFF)
    plan = plan_of(world, Action.DELETE, "")
    world.freeze()
    world.domains[("kvm1", UUID)].state = VmState.RUNNING
    jobs = runner(Console(world), ME)
    job = await ended(jobs, await jobs.submit(plan))
    assert job.state is JobState.FAILED
    assert ("kvm1", UUID) in world.domains
    await jobs.stop()


async def test_a_disk_is_kept_when_its_own_vm_runs_on_it_elsewhere():
    """Another tool has just moved the VM and left its definition here: its disk stays."""
    world = web1(VmState.OFF)
    request = Request(Action.DELETE, UUID, "", {"volumes": "/warm/web1.raw"})
    plan = replace_request(world, request)
    assert plan.refusal is None
    world.freeze()
    world.domains[("kvm2", UUID)] = Domain("web1", VmState.RUNNING, "/warm/web1.raw")
    jobs = runner(Console(world), ME)
    job_id = await jobs.submit(plan)
    world.frozen = None
    job = await ended(jobs, job_id)
    assert job.state is JobState.FAILED
    assert ("kvm1", "/warm/web1.raw") in world.volumes
    assert job.problem is not None
    assert "web1 on kvm2" in job.problem.proof
    await jobs.stop()


async def test_a_file_made_by_somebody_else_meanwhile_is_not_deleted():
    """The name was free when looked at and taken when copied: the other's file stays."""
    world = web1(VmState.OFF)
    console = Console(world)
    theirs = ("kvm1", "/hot/web1.raw")

    def on_call(_n: int, name: str) -> None:
        if name == "clone_volume":
            world.volumes[theirs] = "theirs"

    console.on_call = on_call
    jobs = runner(console, ME)
    job = await ended(jobs, await jobs.submit(plan_of(world, Action.TIER, "hot")))
    assert job.state is JobState.FAILED
    assert world.volumes.get(theirs) == "theirs"
    assert job.facts.get("made") == "[]"
    await jobs.stop()


@pytest.mark.parametrize(
    ("action", "state"), [(Action.START, VmState.OFF), (Action.RESUME, VmState.PAUSED)]
)
async def test_a_vm_that_runs_elsewhere_since_the_preview_never_runs_twice(action, state):
    """Another tool has moved the VM while the job began: it is not run here as well."""
    world = web1(state)
    plan = plan_of(world, action, "")
    assert plan.refusal is None
    world.freeze()
    world.domains[("kvm2", UUID)] = Domain("web1", VmState.RUNNING, "/warm/web1.raw")
    jobs = runner(Console(world), ME)
    job_id = await jobs.submit(plan)
    world.frozen = None
    job = await ended(jobs, job_id)
    assert job.state is JobState.FAILED
    assert job.problem is not None
    assert "runs on kvm2" in job.problem.what
    assert world.domains[("kvm1", UUID)].state is state
    await jobs.stop()


async def test_closing_leaves_a_peer_to_peer_migration_running():
    """stop() ends the console's part alone; the next console finds the VM arrived."""
    world = web1(VmState.PAUSED)
    console = Console(world)
    jobs = runner(console, ME)
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    def on_call(_n: int, name: str) -> None:
        if name == "migrate":
            loop.call_soon_threadsafe(begun.set)

    console.on_call = on_call
    await jobs.submit(plan_of(world, Action.MIGRATE, "kvm2"))
    await begun.wait()
    await jobs.stop()
    for _ in range(4):
        world.tick(1)
    assert ("kvm2", UUID) in world.domains
    later = runner(Console(world), "me@:0:2")
    (job,) = await later.recover()
    assert job.state is JobState.DONE
    assert "web1 is paused on kvm2 and nowhere else" in job.outcome
    await later.stop()


def test_the_meter_smooths_and_warns_of_a_stall():
    """Rate and remaining time settle; a minute without progress is said in words."""
    meter = Meter(0.0)
    told = [meter.update(JobProgress("copy", float(t), done=100 * t, total=1000)) for t in range(5)]
    assert told[-1].rate_bps == pytest.approx(100.0)
    assert told[-1].eta_s == pytest.approx(6.0)
    stalled = meter.update(JobProgress("copy", 70.0, done=400, total=1000))
    assert "no progress for 66 s" in stalled.note


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (True, "its guest agent answers"),
        (False, "its guest agent does NOT answer"),
        (None, "guest not tested: no agent"),
    ],
)
async def test_after_a_migration_the_guest_itself_is_asked(agent, words):
    """What could not be tested says so; a silent agent does not undo what arrived."""
    world = web1()
    world.agent = agent
    _, job = await run(world, Action.MIGRATE, "kvm2")
    assert job.state is JobState.DONE, job
    assert words in job.outcome


@pytest.mark.parametrize(("seconds", "times"), [(0.0, 5), (5.0, 3)])
async def test_an_agent_that_hangs_does_not_hold_the_job(seconds, times):
    """One that has not connected yet is asked again; one that is there and mute, not for long."""
    world = web1()
    world.agent, world.agent_s = False, seconds
    _, job = await run(world, Action.MIGRATE, "kvm2")
    assert job.state is JobState.DONE, job
    assert "its guest agent does NOT answer" in job.outcome
    assert world.agent_asked == times
