"""What an interrupted job left behind, judged from the journal and fresh readings.

A console can die between any two steps. The journal says what was about to be done, the hosts say
what is; from both follows one sentence, whether the job is in truth done, and what can be offered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from console.policy.truth import Sighting, Whereabouts, doubled, where_sentence, whereabouts
from console.policy.verbs import Verb
from drivers.model.job import Action, Job, JobState, Step, StepRun
from drivers.model.vm import VmState

FINISH, UNDO, RETRY, DISMISS = "finish", "undo", "retry", "dismiss"
TAKE_OVER = "take-over"
RECOVER = "recover"

BROKEN = "post-copy failed"
"""libvirt's reason for a VM whose link broke after the switch to post-copy, on either host."""


@dataclass(frozen=True, slots=True)
class Left:
    """What was found on the hosts.

    Attributes:
        source: The VM on the plan's host.
        target: The VM on a migration's destination; the source again for other actions.
        running: A migration or block job of libvirt's runs on.
        known: False when the question after such a job was not answered.
        copies: Paths of volumes the job made that exist and that no domain names.
        old: Paths of volumes the plan deletes at its end that still exist.
    """

    source: Sighting
    target: Sighting
    running: bool = False
    known: bool = True
    copies: tuple[str, ...] = ()
    old: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict: a state, one sentence, what is offered, and whether the hosts were read."""

    state: JobState
    outcome: str
    followup: tuple[str, ...] = ()
    read: bool = True


def steps_of(job: Job, *verbs: Verb) -> tuple[Step, ...]:
    """The plan's steps of these verbs, in order."""
    return tuple(step for step in job.plan.steps if step.verb in verbs)


def begun(job: Job) -> bool:
    """True when any step that changes something was about to run."""
    reading = (Verb.PRECHECK, Verb.CHECK_OFF, Verb.ADOPT, Verb.TAKE_OVER)
    return any(r.state is not JobState.PENDING for r in job.steps if r.step.verb not in reading)


def first_open(job: Job) -> StepRun | None:
    """The step that was under way, or next."""
    return next((r for r in job.steps if r.state is not JobState.DONE), None)


def judge(job: Job, left: Left) -> Finding:
    """What became of a job whose console ended."""
    where = (left.source,) if left.source.host == left.target.host else (left.source, left.target)
    told = where_sentence(job.plan.vm_name, where)
    stopped = first_open(job)
    at = f"It was interrupted at: {stopped.step.text}. " if stopped else ""
    if not begun(job) and left.source.known:
        return _open(f"{at}Nothing had been changed; {told}.", RETRY, DISMISS)
    unknown = not left.source.known or not left.target.known or not left.known
    action = job.plan.request.action
    if unknown:
        offers = (FINISH, UNDO, DISMISS) if _has_undo(action) else (RETRY, DISMISS)
        words = f"{at}The truth is not known yet: {told}."
        return Finding(JobState.INTERRUPTED, words, offers, read=False)
    judges: dict[Action, Callable[[Job, Left, str, str], Finding]] = {
        Action.MIGRATE: _migration,
        Action.TIER: _tier,
        Action.DELETE: _deletion,
    }
    return judges.get(action, _lifecycle)(job, left, at, told)


def unjudged(job: Job) -> Job:
    """A job that goes on, or not, in a console that cannot be asked from here: it says so."""
    told = (
        f"Its console {job.owner} runs on another machine, which cannot be asked from here whether "
        "it lives. Look there first; if it is gone, take the job over."
    )
    return replace(job, outcome=told, followup=(TAKE_OVER,))


def _has_undo(action: Action) -> bool:
    return action in (Action.MIGRATE, Action.TIER)


def _open(outcome: str, *followup: str) -> Finding:
    return Finding(JobState.INTERRUPTED, outcome, followup)


def _done(told: str, extra: str = "") -> Finding:
    return Finding(JobState.DONE, f"It was finished although its console ended: {told}{extra}.")


def is_offline(job: Job) -> bool:
    """The job moves, or moved, a VM that is off."""
    return job.facts.get("mode") == "offline"


def forgets_source(job: Job) -> bool:
    """The job moves a running VM, and its source is to know it no more."""
    return not is_offline(job) and job.plan.request.options.get("keep_source") != "yes"


def _moved_off(job: Job, left: Left, at: str, told: str) -> Finding:
    """A VM that is off belongs to whoever knows it."""
    if left.target.vm is not None and left.source.vm is None:
        if steps_of(job, Verb.REMOVE_SOURCE) and left.old:
            rest = ", ".join(left.old)
            return _open(f"{at}It has arrived; {told}; still on the source: {rest}.",
                         FINISH, DISMISS)  # fmt: skip
        return _done(told)
    if left.target.vm is not None:
        new = job.facts.get("there") == "new"
        offers = (FINISH, UNDO, DISMISS) if new else (UNDO, DISMISS)
        return _open(f"{at}Both hosts know it; {told}.", *offers)
    if left.copies:
        told += "; partial copies: " + ", ".join(left.copies)
        return _open(f"{at}It has not moved; {told}.", UNDO, RETRY, DISMISS)
    return _open(f"{at}It has not moved; {told}.", RETRY, DISMISS)


def _migration(job: Job, left: Left, at: str, told: str) -> Finding:
    if is_offline(job) and not left.source.active and not left.target.active:
        return _moved_off(job, left, at, told)
    where = whereabouts(left.source, left.target)
    if any(s.vm is not None and s.vm.reason == BROKEN for s in (left.source, left.target)):
        if left.target.absent:
            words = f"{at}Its process on {left.target.host} ended after the switch to post-copy"
            lost = "the memory that was only there is gone: force it off and start it again"
            return _open(f"{words}; {told}; {lost}.", Action.FORCE_OFF.value, DISMISS)
        words = f"{at}The link broke after the switch to post-copy"
        return _open(
            f"{words}; {told}; neither host alone has all of its memory.", RECOVER, DISMISS
        )
    if doubled(left.source, left.target) and not left.running:
        words = f"{at}Both hosts run it, as the end of the migration was lost; {told}"
        return _open(f"{words}; the copy on {left.source.host} is the older.", FINISH, DISMISS)
    if left.running or where is Whereabouts.BOTH:
        return _open(f"{at}The migration still runs; {told}.", FINISH, UNDO, DISMISS)
    if where is Whereabouts.TARGET:
        if steps_of(job, Verb.REMOVE_SOURCE) and left.old:
            rest = ", ".join(left.old)
            return _open(f"{at}It has arrived; {told}; still on the source: {rest}.",
                         FINISH, DISMISS)  # fmt: skip
        if left.source.vm is not None and forgets_source(job):
            words = f"{at}It has arrived; {told}; {left.source.host} still knows it"
            return _open(f"{words}, and could start it a second time.", FINISH, DISMISS)
        return _done(told)
    paused = left.source.vm is not None and left.source.vm.state is VmState.PAUSED
    if paused and job.facts.get("was") != "paused":
        told += "; the interruption left it paused"
        return _open(f"{at}The migration has ended; {told}.", UNDO, RETRY, DISMISS)
    if left.copies:
        told += "; partial copies: " + ", ".join(left.copies)
        return _open(f"{at}The migration has ended; {told}.", UNDO, RETRY, DISMISS)
    return _open(f"{at}The migration has ended without a trace; {told}.", RETRY, DISMISS)


def _tier(job: Job, left: Left, at: str, told: str) -> Finding:
    disk, old, new = tier_paths(job)
    vm = left.source.vm
    now = next((d.source for d in vm.disks if d.target == disk), "") if vm else ""
    told = f"{told}, with {disk} on {now or 'nothing known'}"
    if left.running:
        return _open(f"{at}The copy still runs; {told}.", FINISH, UNDO, DISMISS)
    if now and now == new:
        if old in left.old:
            return _open(f"{at}The disk has moved; {told}; the old {old} is still there.",
                         FINISH, DISMISS)  # fmt: skip
        return _done(told)
    if now == old and left.copies:
        told += "; partial copy: " + ", ".join(left.copies)
        return _open(f"{at}The disk has not moved; {told}.", UNDO, FINISH, DISMISS)
    return _open(f"{at}The disk has not moved and nothing is left over; {told}.", RETRY, DISMISS)


def tier_paths(job: Job) -> tuple[str, str, str]:
    """(disk, old path, new path) of a tier move; the journal's new path wins over the plan's."""
    verify = steps_of(job, Verb.VERIFY_DISK)
    args = verify[-1].args if verify else {}
    disk = args.get("disk", "")
    made = {m["disk"]: m["path"] for m in json.loads(job.facts.get("made", "[]"))}
    return disk, args.get("old_path", ""), made.get(disk) or args.get("path", "")


def _deletion(_job: Job, left: Left, at: str, told: str) -> Finding:
    if left.source.vm is not None:
        return _open(f"{at}It is not deleted; {told}.", RETRY, DISMISS)
    if left.old:
        rest = ", ".join(left.old)
        return _open(f"{at}The definition is gone; chosen but still there: {rest}.",
                     FINISH, DISMISS)  # fmt: skip
    return _done(told)


def _lifecycle(job: Job, left: Left, at: str, told: str) -> Finding:
    action, vm = job.plan.request.action, left.source.vm
    if action in (Action.AUTOSTART_ON, Action.AUTOSTART_OFF):
        if vm is not None and vm.autostart is (action is Action.AUTOSTART_ON):
            return _done(told, f"; autostart is {'on' if vm.autostart else 'off'}")
        return _open(f"{at}{told}.", RETRY, DISMISS)
    wait = steps_of(job, Verb.WAIT_STATE)
    wanted = wait[-1].args["states"].split(",") if wait else []
    state = vm.state.value if vm else VmState.OFF.value
    if state in wanted:
        return _done(told)
    if action is Action.SHUTDOWN:
        told += "; its guest was asked to power down and may still do so"
        return _open(f"{at}{told}.", Action.FORCE_OFF.value, RETRY, DISMISS)
    return _open(f"{at}{told}.", RETRY, DISMISS)
