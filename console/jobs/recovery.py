"""Reading what an ended console left behind on the hosts."""

from __future__ import annotations

from dataclasses import replace

from console.jobs.work import Made, Tools, made_of
from console.policy.recovery import Left, judge, steps_of, tier_paths
from console.policy.usage import names_path
from console.policy.verbs import Verb
from drivers.errors import DriverError
from drivers.model.job import Action, Job, JobState, StepRun


async def read_left(tools: Tools, job: Job) -> Left:
    """What the hosts say now of an interrupted job; never raises."""
    plan = job.plan
    target = plan.request.target if plan.request.action is Action.MIGRATE else plan.host
    source = await tools.reader.sight(plan.host, plan.request.uuid)
    there = source if target == plan.host else await tools.reader.sight(target, plan.request.uuid)
    try:
        running = source.active and await _runs(tools, job)
        copies = tuple([m.path for m in made_of(job.facts) if await _idle(tools, m)])
        old = tuple([path for path in _doomed(job) if await _exists(tools, plan.host, path)])
    except DriverError:
        return Left(source, there, known=False)
    return Left(source, there, running, True, copies, old)


async def _runs(tools: Tools, job: Job) -> bool:
    driver, uuid = tools.drivers[job.plan.host], job.plan.request.uuid
    if job.plan.request.action is Action.MIGRATE:
        return await driver.job_progress(uuid) is not None
    if job.plan.request.action is Action.TIER:
        return await driver.block_job(uuid, tier_paths(job)[0]) is not None
    return False


async def _idle(tools: Tools, made: Made) -> bool:
    """True for a volume that exists and that no domain of its host names."""
    if not await _exists(tools, made.host, made.path):
        return False
    reading = await tools.reader.read(made.host)
    return not any(names_path(vm, made.path) for vm in reading.vms)


async def _exists(tools: Tools, host: str, path: str) -> bool:
    driver = tools.drivers.get(host)
    return driver is not None and await driver.find_volume(path) is not None


async def judge_left(tools: Tools, job: Job) -> Job:
    """Read the hosts, journal what became of a job whose console ended, and show it.

    Raises:
        Failed: The journal cannot be written.
    """
    finding = judge(job, await read_left(tools, job))
    judged = replace(
        job,
        state=finding.state,
        steps=tuple(_stopped(run, finding.state) for run in job.steps),
        outcome=finding.outcome,
        followup=finding.followup,
        facts={**job.facts, "unread": "" if finding.read else "yes"},
        ended_at=job.ended_at or tools.clock(),
        progress=None,
    )
    if judged != job:
        await tools.journal.write(judged)
    else:
        tools.journal.show(job)
    return judged


def _stopped(run: StepRun, state: JobState) -> StepRun:
    if run.state is JobState.RUNNING:
        return replace(run, state=state)
    return run


def _doomed(job: Job) -> tuple[str, ...]:
    last = steps_of(job, Verb.REMOVE_OLD, Verb.REMOVE_SOURCE, Verb.DELETE_VOLUME)
    return tuple(step.args["path"] for step in last)
