"""After a failure or a cancel: put things back, and say where the VM truly is."""

from __future__ import annotations

from dataclasses import dataclass

from console.jobs import offline, postcopy
from console.jobs.migrating import resume_if_paused, settle, verify
from console.jobs.tiering import disk_source, end_block_job
from console.jobs.volumes import drop_made
from console.jobs.work import Work
from console.policy.recovery import DISMISS, FINISH, RETRY, UNDO, begun, steps_of, tier_paths
from console.policy.truth import Whereabouts, where_sentence
from console.policy.verbs import Verb
from drivers.errors import DriverError
from drivers.model.job import Action, JobState, Step


@dataclass(frozen=True, slots=True)
class After:
    """How things stand once cleaned up; ``state`` overrides the job's own where it is set."""

    outcome: str
    followup: tuple[str, ...] = (RETRY, DISMISS)
    state: JobState | None = None


async def clean_up(work: Work) -> After:
    """Undo what a failed or cancelled job began, without deleting anything a domain names."""
    action = work.job.plan.request.action
    try:
        if action is Action.MIGRATE and begun(work.job):
            return await _migration(work)
        if action is Action.TIER and begun(work.job):
            return await _tier(work)
        seen = await work.see()
        return After(_sentence(where_sentence(work.name, (seen,))), work.offer or (RETRY, DISMISS))
    except DriverError as error:
        return After(
            f"It could not be cleaned up: {error.problem.what}.",
            (FINISH, UNDO, DISMISS),
            JobState.INTERRUPTED,
        )


async def _migration(work: Work) -> After:
    target = work.job.plan.request.target
    where, source, there = await settle(work, target)
    told = where_sentence(work.name, (source, there))
    work.tools.nudge(work.host)
    work.tools.nudge(target)
    if postcopy.is_broken(source, there):
        told = f"{told}; {postcopy.words(work, there)}"
        return After(_sentence(told), postcopy.offers(work, there), JobState.INTERRUPTED)
    if work.facts.get("mode") == offline.MODE:
        if offline.arrived(source, there):
            return await _arrived(work, target, told)
        if back := await offline.take_back(work, source, there):
            told = f"{work.name} stays on {work.host}, off; {back}"
    if where is Whereabouts.SOURCE or (where is Whereabouts.NOWHERE and source.vm is not None):
        if await resume_if_paused(work, source):
            told += "; the migration had left it paused, it is resumed"
        return _with_leftovers(work, told, await drop_made(work))
    if where is Whereabouts.TARGET:
        return await _arrived(work, target, told)
    open_end = (FINISH, UNDO, DISMISS)
    return After(_sentence(f"not settled: {told}"), open_end, JobState.INTERRUPTED)


async def _arrived(work: Work, target: str, told: str) -> After:
    """The VM is on the target although the call failed or was cancelled: is it whole there?"""
    try:
        note = await verify(work, Step(Verb.VERIFY_MIGRATION, "", args={"target": target}))
    except DriverError as error:
        return After(_sentence(f"{told}, but {error.problem.what}: {error.problem.proof}"))
    note = f"it had finished already: {note}"
    if doomed := steps_of(work.job, Verb.REMOVE_SOURCE):
        paths = ", ".join(step.args["path"] for step in doomed)
        told = _sentence(f"{note}; still on {work.host}: {paths}")
        return After(told, (FINISH, DISMISS), JobState.INTERRUPTED)
    return After(_sentence(note), rest_of(work), JobState.DONE)


def rest_of(work: Work) -> tuple[str, ...]:
    """A migration that copied disks leaves the old ones behind: finishing deletes them."""
    action, facts = work.job.plan.request.action, work.facts
    copied = any(made.host != work.host for made in work.made)
    removing = any(run.step.verb == Verb.REMOVE_SOURCE for run in work.job.steps)
    arrived = action is Action.MIGRATE and facts.get("verified") == "yes"
    return (FINISH, DISMISS) if arrived and copied and not removing else ()


async def _tier(work: Work) -> After:
    disk, old, _ = tier_paths(work.job)
    seen = await end_block_job(work, disk)
    source = disk_source(seen, disk)
    told = where_sentence(work.name, (seen,))
    work.tools.nudge(work.host)
    if not seen.known or not source:
        open_end = (FINISH, UNDO, DISMISS)
        return After(_sentence(f"not settled: {told}"), open_end, JobState.INTERRUPTED)
    told += f", with {disk} on {source}"
    if any(source == own.path for own in work.made):
        return After(
            _sentence(f"the disk has moved: {told}; the old {old} is kept"),
            (FINISH, DISMISS),
            JobState.INTERRUPTED,
        )
    return _with_leftovers(work, told, await drop_made(work))


def _with_leftovers(work: Work, told: str, dropped: tuple[str, ...]) -> After:
    sentence = _sentence("; ".join((told, *dropped)))
    if work.made:
        return After(sentence, (UNDO, RETRY, DISMISS), JobState.INTERRUPTED)
    return After(sentence, work.offer or (RETRY, DISMISS))


def _sentence(text: str) -> str:
    return f"{text}."
