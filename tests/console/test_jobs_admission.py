"""Which plans become jobs: those that still stand, alone on their VM, in whichever console."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from console.jobs.admission import Changed
from console.jobs.owner import this_owner
from drivers.errors import Busy, DriverError, Refused
from drivers.model.audit import Deed
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Check, Confirm, Job, JobState, Plan, Request, Verdict
from drivers.model.vm import VmState
from store.api import StoreError
from tests.console.jobworld import UUID, Console, Domain, MemoryStore, World, web1
from tests.console.test_jobs_audit import finished
from tests.console.test_jobs_survive import ended, plan_of, runner, settled

ME = "me@:0:1"
FAR = f"you@far.invalid:7:1:{'0' * 12}:{'0' * 8}:1"


async def refusal(world: World, plan: Plan) -> Refused:
    """Submit a plan that must be refused; nothing may reach journal or hosts."""
    console = Console(world)
    jobs = runner(console, ME)
    before = dict(world.journal)
    with pytest.raises(Refused) as told:
        await jobs.submit(plan)
    await jobs.stop()
    assert world.journal == before
    assert "put_job" not in console.log
    return told.value


def other_path(world: World) -> None:
    world.domains[("kvm1", UUID)].path = "/cold/web1.raw"
    world.volumes[("kvm1", "/cold/web1.raw")] = world.volumes.pop(("kvm1", "/warm/web1.raw"))


def taken_name(world: World) -> None:
    world.volumes[("kvm1", "/hot/web1.raw")] = "theirs"


def moved_away(world: World) -> None:
    world.domains[("kvm2", UUID)] = world.domains.pop(("kvm1", UUID))
    world.volumes[("kvm2", "/warm/web1.raw")] = "data"


def stopped(world: World) -> None:
    world.domains[("kvm1", UUID)].state = VmState.OFF


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (other_path, "old_path /cold/web1.raw, not /warm/web1.raw"),
        (taken_name, "/hot/web1-2.raw"),
        (moved_away, "web1 is on kvm2 now, not on kvm1"),
        (stopped, "instead of"),
    ],
)
async def test_a_preview_that_is_not_true_any_more_does_not_run(change, told):
    """Since it was shown the disk, the free name, the host or the state has changed."""
    world = web1()
    plan = plan_of(world, Action.TIER, "hot")
    change(world)
    refused = await refusal(world, plan)
    assert isinstance(refused, Changed)
    assert refused.problem.code == "changed"
    assert told in refused.problem.proof
    assert "fresh preview" in refused.problem.fix
    assert world.damage == []


async def test_what_is_refused_now_does_not_run_and_says_why():
    """The VM was started meanwhile: the preview of its start ends with that reason."""
    world = web1(VmState.OFF)
    plan = plan_of(world, Action.START, "")
    world.domains[("kvm1", UUID)].state = VmState.RUNNING
    refused = await refusal(world, plan)
    assert "not possible any more: web1 is already running" in refused.problem.what


async def test_a_deletion_keeps_every_word_of_its_preview():
    """A disk that was attached meanwhile was never shown: nothing is deleted."""
    world = web1(VmState.OFF)
    plan = plan_of(world, Action.DELETE, "")
    other_path(world)
    refused = await refusal(world, plan)
    assert "now: vda /cold/web1.raw: kept" in refused.problem.proof


async def test_an_old_preview_rests_on_the_same_checks():
    """After a minute a new warning stops it; before, or without one, it runs as shown."""
    for age, stops in ((59.0, False), (61.0, True)):
        world = web1()
        plan = plan_of(world, Action.TIER, "hot")
        warned = Check("space left", Verdict.WARN, "it may fill up")

        async def planner(
            _requests: tuple[Request, ...], plan: Plan = plan, warned: Check = warned
        ) -> tuple[Plan, ...]:
            return (replace(plan, checks=(*plan.checks, warned)),)

        world.now += age
        jobs = runner(Console(world), ME, planner=planner)
        if stops:
            with pytest.raises(Changed, match="is not what its preview showed 61 s ago") as told:
                await jobs.submit(plan)
            assert told.value.problem.proof == "space left: it may fill up"
        else:
            assert (await ended(jobs, await jobs.submit(plan))).state is JobState.DONE
        await jobs.stop()


async def interrupted(world: World, owner: str = "me@:0:9") -> Job:
    """A tier move whose console was killed when the copy had begun."""
    console = Console(world)
    jobs = runner(console, owner)
    console.mode = "kill"

    def on_call(number: int, name: str) -> None:
        if name == "block_job":
            console.at = number

    console.on_call = on_call
    job_id = await jobs.submit(plan_of(world, Action.TIER, "hot"))
    await ended(jobs, job_id)
    assert console.dead
    return world.journal[job_id]


async def test_only_one_of_two_consoles_finishes_a_job():
    """Both offer it; the second to agree is told that it has been settled meanwhile."""
    world = web1()
    await interrupted(world)
    first, second = runner(Console(world), "me@:0:1"), runner(Console(world), "me@:0:2")
    (left,), (same,) = await first.recover(), await second.recover()
    assert left.id == same.id
    choice = "finish" if "finish" in left.followup else "undo"
    (plan,), (late,) = [await jobs.followup(left.id, choice) for jobs in (first, second)]
    assert (await ended(first, await first.submit(plan))).state is JobState.DONE
    await settled(first, left.id)
    with pytest.raises(Changed, match="settled meanwhile"):
        await second.submit(late)
    await first.stop()
    await second.stop()


async def test_two_consoles_that_begin_at_once_make_one_job():
    """Both have looked and seen nobody: the write of the second is refused and told of."""
    world = web1()
    plan = plan_of(world, Action.TIER, "hot")
    two = [runner(Console(world), f"me@{socket.gethostname()}:{n}:1") for n in (1, 2)]
    told = await asyncio.gather(*(jobs.submit(plan) for jobs in two), return_exceptions=True)
    (lost,) = [error for error in told if isinstance(error, DriverError)]
    assert isinstance(lost, Busy)
    (won,) = [(jobs, ident) for jobs, ident in zip(two, told, strict=True)
              if isinstance(ident, str)]  # fmt: skip
    await finished(*won)
    assert world.journal[won[1]].state is JobState.DONE
    assert len(world.journal) == 1
    deeds = [(entry.deed, entry.job) for entry in world.ledger]
    for job_id in {job_id for _, job_id in deeds}:
        assert [deed for deed, job in deeds if job == job_id] == [Deed.BEGUN, Deed.ENDED]
    for jobs in two:
        await jobs.stop()


class MemberStore(MemoryStore):
    """The journal of somebody else, who lets a group read."""

    def put_job(self, job: Job, beside: object = None) -> None:
        raise StoreError("only the user whose history this is may run jobs on it", code="forbidden")


async def test_a_member_of_the_group_sees_jobs_and_begins_none():
    """What a dead console left is shown with who may settle it, and a plan is refused at once."""
    world = web1()
    await interrupted(world)
    console = Console(world)
    jobs = runner(console, ME, store=MemberStore(console))
    (left,) = await jobs.recover()
    assert left.followup == ()
    assert "only the user whose history this is" in left.outcome
    world.mirrors.clear()
    with pytest.raises(Refused, match="only the user whose history this is"):
        await jobs.submit(plan_of(world, Action.PAUSE, ""))
    assert not world.damage
    await jobs.stop()


async def test_a_job_of_another_machine_is_taken_over_by_name():
    """It is shown with the reason, hinders its VM, and a typed plan makes it one to settle."""
    world = web1()
    left = await interrupted(world)
    world.journal[left.id] = replace(left, owner=FAR)
    jobs = runner(Console(world), ME)
    (shown,) = await jobs.recover()
    assert (shown.state, shown.followup) == (JobState.RUNNING, ("take-over",))
    assert "runs on another machine" in shown.outcome
    assert world.journal[left.id].followup == ()
    with pytest.raises(Busy, match="already under way"):
        await jobs.submit(plan_of(world, Action.PAUSE, ""))
    (plan,) = await jobs.followup(left.id, "take-over")
    assert (plan.confirm, plan.vm_name) == (Confirm.TYPED, "web1")
    assert any("two consoles act on web1" in line for line in plan.effects)
    assert world.mirrors
    took = await ended(jobs, await jobs.submit(plan))
    assert took.state is JobState.DONE, took
    assert world.mirrors
    judged = next(j for j in jobs.jobs if j.id == left.id)
    assert judged.state is JobState.INTERRUPTED
    assert {"finish", "undo"} <= set(judged.followup)
    (undo,) = await jobs.followup(left.id, "undo")
    assert (await ended(jobs, await jobs.submit(undo))).state is JobState.DONE
    assert world.intact() == ""
    assert world.domains[("kvm1", UUID)].path == "/warm/web1.raw"
    with pytest.raises(Changed, match="settled meanwhile"):
        await jobs.submit(plan)
    await jobs.stop()


async def test_a_live_console_on_this_machine_is_not_taken_over():
    """What can be asked needs no typed word: its job is shown and left alone."""
    world = web1()
    left = await interrupted(world)
    world.journal[left.id] = replace(left, owner=this_owner())
    jobs = runner(Console(world), ME)
    (shown,) = await jobs.recover()
    assert shown.followup == ()
    await jobs.stop()


async def test_the_picture_may_show_a_twin():
    """A copy of the VM on another host is no news to the plan that was made beside it."""
    world = web1(VmState.OFF)
    world.domains[("kvm2", UUID)] = Domain("web1", VmState.OFF, "/warm/web1.raw")
    seen: FleetSnapshot = world.snapshot()
    vm = seen.vm(UUID)
    assert vm is not None
    jobs = runner(Console(world), ME)
    job = await ended(jobs, await jobs.submit(plan_of(world, Action.START, "")))
    assert job.state is JobState.DONE
    assert sum(d.state.active for d in world.domains.values()) == 1
    await jobs.stop()
