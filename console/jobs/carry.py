"""Carrying out one job: each step journaled before it acts and after, the end verified."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from console.jobs.cleanup import After, clean_up, rest_of
from console.jobs.steps import HANDLERS
from console.jobs.tracing import tracing
from console.jobs.work import Work
from console.policy.failures import Scene, explain
from console.policy.recovery import FINISH, RECOVER, RETRY
from console.policy.verbs import Verb
from console.policy.virsh import retry_line
from drivers.errors import Cancelled, DriverError, Failed
from drivers.model.event import Event, EventKind, Severity
from drivers.model.job import Action, Job, JobState, StepRun
from drivers.model.problem import Problem

Tell = Callable[[tuple[Event, ...]], None]


async def carry_out(work: Work, tell: Tell) -> None:
    """Run all steps of a job; ends with the job DONE, FAILED, CANCELLED or INTERRUPTED.

    An end that cannot be journaled is shown and told all the same; the next console, which finds
    the job unfinished, reads the truth from the hosts.
    """
    job, now = work.job, work.now()
    work.trace.add("plan shown and confirmed", job.plan.made_at, job.created_at)
    work.trace.add("waited for a turn", job.created_at, now)
    with tracing(work.trace):
        await _carry(work, tell)


async def _carry(work: Work, tell: Tell) -> None:
    index = 0
    try:
        work.check_cancel()
        await _write(work, state=JobState.RUNNING, started_at=work.now())
        tell((_event(work, "begun"),))
        for index, run in enumerate(work.job.steps):
            await _step(work, index, state=JobState.RUNNING, started_at=work.now())
            with work.trace.span(run.step.verb):
                note = await HANDLERS[run.step.verb](work, run.step)
            await _step(work, index, state=JobState.DONE, ended_at=work.now(), note=note)
    except DriverError as error:
        await _fail(work, index, error, tell)
        return
    except Exception as error:  # noqa: BLE001 - the worker's edge: a defect must not lose the VM
        defect = Failed("the console itself failed", proof=f"{type(error).__name__}: {error}")
        await _fail(work, index, defect, tell)
        return
    notes = [run.note for run in work.job.steps if run.note and run.step.verb in _TELLING]
    outcome = "; ".join(notes) or (work.job.steps[-1].note if work.job.steps else "")
    outcome += "."
    await _catch_up(work)
    tell((_event(work, "done", detail=outcome),))
    await _end(work, tell, JobState.DONE, outcome=outcome, followup=rest_of(work))


_TELLING = frozenset(
    {
        "take-over",
        "wait-state",
        "check-autostart",
        "verify-gone",
        "verify-migration",
        "verify-disk",
        "remove-old",
        "remove-source",
        "delete-volume",
        "abort-migration",
        "abort-copy",
        "drop-volume",
    }
)
"""Verbs whose notes say how things stand afterwards."""


async def _fail(work: Work, index: int, error: DriverError, tell: Tell) -> None:
    cancelled = isinstance(error, Cancelled)
    state = JobState.CANCELLED if cancelled else JobState.FAILED
    if cancelled and work.leaving:
        state = JobState.INTERRUPTED
    request = work.job.plan.request
    target = request.target if request.action is Action.MIGRATE else work.host
    with work.trace.span("clean up"):
        after = await clean_up(work)
    scene = Scene(work.name, work.host, target, _again(work, after))
    problem = None if cancelled else explain(error.problem, scene)
    await _catch_up(work)
    if after.state is JobState.DONE:
        problem, state = None, JobState.DONE
    tell((_event(work, after.state or state, after.outcome, problem),))
    runs = list(work.job.steps)
    if index < len(runs) and runs[index].state is not JobState.DONE:
        note = error.problem.what
        runs[index] = replace(runs[index], state=state, ended_at=work.now(), note=note)
    await _end(
        work,
        tell,
        after.state or state,
        outcome=after.outcome,
        problem=problem,
        steps=tuple(runs),
        followup=_offers(after, cancelled=cancelled and not work.leaving),
    )


def _again(work: Work, after: After) -> str:
    """The command that tries again; empty where nothing that is offered would."""
    if RECOVER in after.followup:
        return f"novacron jobs recover {work.job.id}"
    if after.state is JobState.INTERRUPTED and RETRY not in after.followup:
        return f"novacron jobs finish {work.job.id}" if FINISH in after.followup else ""
    return retry_line(work.job.plan.request, work.name)


_WITH_VOLUMES = frozenset({Action.MIGRATE, Action.TIER, Action.DELETE})
_WITHOUT = frozenset({Verb.PRECHECK, Verb.MIGRATE, Verb.VERIFY_MIGRATION})
"""All that a migration is made of whose disks both hosts reach."""


def _touches_volumes(job: Job) -> bool:
    """Whether pools may hold something else afterwards, and must be read too."""
    plain = all(run.step.verb in _WITHOUT for run in job.steps)
    return job.plan.request.action in _WITH_VOLUMES and not plain


async def _catch_up(work: Work) -> None:
    """Let the snapshot show what was done, before anybody who waits for the end plans by it."""
    if work.leaving:
        return
    request = work.job.plan.request
    hosts = {work.host, *(made.host for made in work.made)}
    if request.action is Action.MIGRATE:
        hosts.add(request.target)
    try:
        with work.trace.span("read the hosts anew"):
            await work.tools.read_anew(hosts, pools=_touches_volumes(work.job))
    except asyncio.CancelledError:
        return  # the console closes, and plans no more: what has ended is journaled as ended


def _offers(after: After, *, cancelled: bool) -> tuple[str, ...]:
    """A job that was cancelled and is settled needs no more asking."""
    return () if cancelled and after.state is None else after.followup


async def _step(work: Work, index: int, **changes: object) -> None:
    runs = list(work.job.steps)
    runs[index] = _changed(runs[index], changes)
    await _write(work, steps=tuple(runs), progress=None)


def _changed(run: StepRun, changes: dict[str, object]) -> StepRun:
    return replace(run, **changes)  # type: ignore[arg-type]


async def _write(work: Work, **changes: object) -> None:
    job = replace(work.job, trace=work.trace.spans, **changes)  # type: ignore[arg-type]
    await work.tools.journal.write(job)


async def _end(work: Work, tell: Tell, state: JobState, **changes: object) -> None:
    done: dict[str, object] = {"state": state, "ended_at": work.now(), "progress": None, **changes}
    job = replace(work.job, trace=work.trace.spans, **done)  # type: ignore[arg-type]
    try:
        await work.tools.journal.write(job)
    except Failed as error:
        work.tools.journal.show(job)
        tell((_event(work, "", problem=error.problem),))


def _event(work: Work, what: str, detail: str = "", problem: Problem | None = None) -> Event:
    bad = problem is not None
    return Event(
        work.now(),
        EventKind.ACTION,
        work.host,
        f"{work.job.plan.title}: {problem.what if problem else what}",
        work.uuid,
        work.name,
        detail,
        severity=Severity.ERROR if bad else Severity.INFO,
    )
