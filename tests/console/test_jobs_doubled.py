"""A VM that both hosts run, as the link broke at the end of its migration: one is ended."""

from __future__ import annotations

import pytest

from console.jobs.arrived import HELD_S, Stale
from console.policy.recovery import DISMISS, FINISH
from console.policy.truth import Sighting
from drivers.errors import DriverError, Refused
from drivers.model.job import JobState
from drivers.model.vm import Vm, VmState
from tests.console.jobworld import UUID, Console, World, web1
from tests.console.test_jobs_forget import move
from tests.console.test_jobs_survive import CALLS, check, ended, run, runner, settled


def broken() -> World:
    """Each migration ends with its target's answer lost."""
    world = web1()
    world.loses_end = True
    return world


async def test_the_older_copy_is_forced_off_at_once() -> None:
    """The job is done, as the VM has arrived, and tells what that may have cost."""
    world = broken()
    job = await run(Console(world), move(world))
    assert job is not None
    assert job.state is JobState.DONE, (job.problem, job.outcome)
    assert "the older copy there, which it had woken, was forced off; check its file" in job.outcome
    assert world.domains[("kvm2", UUID)].state is VmState.RUNNING
    check(world)


@pytest.mark.parametrize("mode", ["kill", "kill-after"])
async def test_the_next_console_ends_it(mode: str) -> None:
    """Killed at any call: what is offered says what it forces off, and does so."""
    finished = 0
    for number in range(1, CALLS):
        world = broken()
        console = Console(world, number, mode)
        await run(console, move(world), owner="me@:0:1")
        while world.moves:
            world.tick(1)
        if not console.dead or ("kvm2", UUID) not in world.domains:
            continue
        jobs = runner(Console(world), "me@nowhere.invalid.:0:2")
        for job in await jobs.recover():
            if ("kvm1", UUID) not in world.domains:
                continue
            assert job.followup == (FINISH, DISMISS), (number, job.outcome)
            (plan,) = await jobs.followup(job.id, FINISH)
            assert plan.refusal is None
            done = await ended(jobs, await jobs.submit(plan))
            assert done.state is JobState.DONE, (number, done.problem, done.outcome)
            await settled(jobs, job.id)
            said = " ".join(plan.effects)
            assert ("FORCED OFF" in said) is ("Both hosts run it" in job.outcome), number
            finished += "FORCED OFF" in said
        await jobs.stop()
        check(world)
    assert finished


class _Host:
    """Tells whether a migration runs, and counts what is forced off."""

    def __init__(self, progress: object) -> None:
        self.progress, self.destroyed = progress, 0

    async def job_progress(self, _uuid: str) -> object:
        if isinstance(self.progress, DriverError):
            raise self.progress
        return self.progress

    async def destroy(self, _uuid: str) -> None:
        self.destroyed += 1


class _Work:
    """A job between kvm1 and kvm2 whose second look may show something else."""

    host, uuid, name = "kvm1", UUID, "web1"

    def __init__(self, source: Sighting, there: Sighting, progress: object) -> None:
        self._seen = {"kvm1": source, "kvm2": there}
        self._host = _Host(progress)
        self.tools, self.time = self, 0.0

    def now(self) -> float:
        return self.time

    def driver(self) -> _Host:
        return self._host

    async def see(self, host: str = "kvm1") -> Sighting:
        return self._seen[host]

    async def remember(self, **_facts: str) -> None:
        """Journal nothing."""

    def nudge(self, _host: str) -> None:
        """Poll nothing."""


def seen(host: str, reason: str, state: VmState = VmState.RUNNING) -> Sighting:
    return Sighting(host, Vm(UUID, "web1", host, state, reason))


HELD = seen("kvm1", "migrating", VmState.PAUSED)
WOKEN_LATE = seen("kvm1", "unpaused")
COMING_BACK = Refused("migration statistics are available only on the source host")
"""What libvirt answers for a guest that comes in: it too is paused there, and said to migrate."""

WOKEN, ARRIVED = seen("kvm1", "migration cancelled"), seen("kvm2", "migrated here")


@pytest.mark.parametrize(
    ("source", "again", "there", "progress", "destroyed"),
    [
        (WOKEN, WOKEN, ARRIVED, None, 1),
        (WOKEN, WOKEN, ARRIVED, object(), 0),
        (WOKEN, seen("kvm1", "migrated away", VmState.OFF), ARRIVED, None, 0),
        (WOKEN, Sighting("kvm1", known=False), ARRIVED, None, 0),
        (seen("kvm1", "migrating", VmState.PAUSED), WOKEN, ARRIVED, None, 0),
        (seen("kvm1", "booted"), seen("kvm1", "booted"), ARRIVED, None, 0),
        (WOKEN, WOKEN, seen("kvm2", "booted"), None, 0),
        (WOKEN, WOKEN, seen("kvm2", "migrating", VmState.PAUSED), None, 0),
    ],
)
async def test_nothing_is_forced_off_without_proof(source, again, there, progress, destroyed):
    """Both hosts' own reasons, read twice, and no migration that is still under way."""
    work = _Work(again, there, progress)
    await Stale(work).end(source, there)  # type: ignore[arg-type]
    assert work.driver().destroyed == destroyed


@pytest.mark.parametrize(
    ("between", "progress", "waits", "destroyed"),
    [
        (HELD, None, HELD_S, 1),
        (HELD, None, HELD_S - 1, 0),
        (HELD, object(), HELD_S, 0),
        (HELD, COMING_BACK, HELD_S, 0),
        (WOKEN_LATE, None, HELD_S, 0),
        (Sighting("kvm1", known=False), None, HELD_S, 0),
    ],
)
async def test_a_source_that_stands_still_for_good_is_ended(between, progress, waits, destroyed):
    """A daemon that died as the migration ended left it paused: the end of others is a moment."""
    work = _Work(HELD, ARRIVED, progress)
    stale = Stale(work)  # type: ignore[arg-type]
    await stale.end(HELD, ARRIVED)
    assert work.driver().destroyed == 0
    await stale.end(between, ARRIVED)
    work.time = waits
    await stale.end(HELD, ARRIVED)
    assert work.driver().destroyed == destroyed
