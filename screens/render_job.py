"""Jobs, and operations beside them, as rows; a job in full: progress, steps, problems, offers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual.content import Content

from drivers.model.job import Job, JobState, StepRun
from drivers.model.migration import PACKED
from drivers.model.operation import Operation
from drivers.model.vm import JobProgress
from screens.columns import Cell, Column, Pen, natural
from screens.format import UNKNOWN, age, bar, clean, duration, milliseconds, percent, rate, size
from screens.prose import BLANK, DIM, HEAD, Para, block, para, say
from screens.render.cockpit import band, cockpit_text
from screens.render.operations import (
    operation_bar,
    operation_count,
    operation_next,
    operation_offers,
    operation_share,
    operation_state,
    operation_title,
    operation_took,
)
from screens.render.waterfall import waterfall
from screens.render_plan import check_text, problem_text, virsh_text

QUIET_S = 10.0
"""A running job without news for so long says so: progress must not look alive when it is not."""

FOLLOWUPS: dict[str, tuple[str, str, str]] = {
    "force-off": ("f", "Force off", "Pull the plug: unsaved data is lost; asks again first"),
    "finish": ("i", "Finish", "Do the steps that are left"),
    "undo": ("u", "Undo", "Put things back as they were before the job"),
    "retry": ("r", "Retry", "Plan the same again"),
    "recover": ("v", "Recover", "Let the migration go on where its link broke"),
    "take-over": ("t", "Take over", "Count its console as gone; asks for the VM's name first"),
    "dismiss": ("d", "Dismiss", "Leave things as they are and close the job"),
}
"""What an ended job may offer: key in the menu, words, and what it does."""


LEFT = "Delete the unused copies that it left behind"
"""What is left to finish of a job that is done."""


Task = Job | Operation


def followup_words(choice: str, task: Task | None = None) -> tuple[str, str, str]:
    """Key, words and tip of a choice; one we do not know gets its own name."""
    key, words, tip = FOLLOWUPS.get(choice, (choice[:1], choice.capitalize(), ""))
    done = isinstance(task, Operation) or (task is not None and task.state is JobState.DONE)
    return key, words, LEFT if choice == "finish" and done else tip


def done_share(progress: JobProgress | None) -> float | None:
    """Share done, 0 to 1; None when it cannot be known."""
    if progress is None or not progress.total:
        return None
    done = progress.done
    if done is None and progress.remaining is not None:
        done = progress.total - progress.remaining
    elif done is not None:
        done = round(done * progress.packing)
    return None if done is None else min(1.0, max(0.0, done / progress.total))


def figure_words(progress: JobProgress, now: float) -> str:
    """``43%  112M/s  ETA 12s``, as far as known; else the phase, and how long there was no news."""
    part, outlook = done_share(progress), progress.outlook
    eta = "" if progress.eta_s is None else f"ETA {duration(progress.eta_s)}"
    quiet = now - progress.at
    words = (
        percent(100 * part) if part is not None else progress.phase,
        f"no news for {duration(quiet)}" if quiet > QUIET_S else "",
        "" if progress.rate_bps is None else rate(progress.rate_bps),
        eta if outlook is None else band(outlook),
    )
    return "  ".join(word for word in words if word)


def progress_text(progress: JobProgress, now: float, *, cells: int, plain: bool) -> list[Content]:
    """Phase and bar, then the figures that are known."""
    part = done_share(progress)
    line = say(progress.phase, "bold $busy") + Content("  ")
    if part is not None:
        line += Content.styled(bar(part, cells, plain=plain), "$busy")
        line += Content(f" {percent(100 * part)}")
    started = progress.started_at
    if started:
        line += say(f"  {duration(now - started)} so far")
    if progress.eta_s is not None and progress.outlook is None:
        line += say(f"  ETA {duration(progress.eta_s)}", HEAD)
    lines = [line]
    told = "  ".join(_figures(progress))
    if told:
        lines.append(say(told))
    lines += cockpit_text(progress, cells=cells, plain=plain)
    if now - progress.at > QUIET_S:
        lines.append(say(f"no news for {duration(now - progress.at)}", "bold $stale"))
    if progress.note:
        lines.append(say(progress.note, DIM))
    return lines


def _figures(progress: JobProgress) -> list[str]:
    known = []
    if progress.done is not None or progress.total is not None:
        known.append(f"{size(progress.done)} of {size(progress.total)}")
    if progress.remaining is not None:
        known.append(f"{size(progress.remaining)} left")
    if progress.rate_bps is not None:
        known.append(rate(progress.rate_bps))
    if progress.packing >= PACKED:
        known.append(f"compressed {progress.packing:.1f} to 1")
    if progress.dirty_bps is not None:
        known.append(f"dirtied {rate(progress.dirty_bps)}")
    if progress.iteration is not None:
        known.append(f"pass {progress.iteration}")
    if progress.downtime_ms is not None:
        known.append(f"downtime {milliseconds(progress.downtime_ms)}")
    if progress.throttle:
        known.append(f"throttled {progress.throttle}%")
    return known


def job_columns(
    below: Callable[[str], bool] = lambda _job: False,
    keeps: Callable[[str], bool] = lambda _operation: False,
    *,
    counted: bool = False,
) -> tuple[Column, ...]:
    """Columns of a table of jobs and operations.

    Args:
        below: Whether the job of an id is shown as part of an operation.
        keeps: Whether jobs of the operation of an id keep old copies.
        counted: How far an operation is stands there in numbers instead of as a bar.
    """
    drawn = _count if counted else _bar
    return (
        Column("state", "STATE", 11, lambda t, _p: _state(t), lambda t: t.state.value),
        Column("title", "JOB", 36, lambda t, _p: _name(t, below), lambda t: natural(task_title(t)),
               min_width=28, grow=2, letter="N"),
        Column("progress", "PROGRESS", 16, drawn, _share, min_width=16, letter="P",
               descending=True),
        Column("left", "ETA", 6, _eta, _eta_s, right=True, priority=2),
        Column("took", "TOOK", 7, lambda t, p: Cell(duration(_took(t, p.now))),
               lambda t: _took(t, t.ended_at or 0.0), right=True, priority=3, letter="T",
               descending=True),
        Column("age", "AGE", 5, lambda t, p: Cell(age(t.created_at, p.now), "faint"),
               lambda t: -t.created_at, right=True, priority=4, letter="A"),
        Column("next", "WHAT NEXT", 30, lambda t, _p: _next(t, keeps), min_width=12, grow=1,
               priority=1),
    )  # fmt: skip


def _state(task: Task) -> Cell:
    return state_cell(task.state) if isinstance(task, Job) else operation_state(task)


def _name(task: Task, below: Callable[[str], bool]) -> Cell:
    if isinstance(task, Job):
        return Cell(f"  {title_of(task)}" if below(task.id) else title_of(task))
    return Cell(task_title(task), bold=True)


def task_title(task: Task) -> str:
    """What a job or an operation does."""
    return title_of(task) if isinstance(task, Job) else operation_title(task)


def offers_of(task: Task, *, keeps: bool = False) -> tuple[str, ...]:
    """What an ended job, or an operation that failed for good or keeps old copies, offers."""
    return task.followup if isinstance(task, Job) else operation_offers(task, keeps=keeps)


def _share(task: Task) -> float | None:
    return done_share(task.progress) if isinstance(task, Job) else operation_share(task)


def _took(task: Task, now: float) -> float | None:
    return took(task, now) if isinstance(task, Job) else operation_took(task, now)


def state_cell(state: JobState) -> Cell:
    """A job's or a step's state as a word."""
    alarming = state in (JobState.FAILED, JobState.INTERRUPTED)
    return Cell(state.value, f"job-{state.value}", bold=alarming)


def title_of(job: Job) -> str:
    """What the job does."""
    return job.plan.title or f"{job.plan.request.action.value} {job.plan.vm_name}"


def took(job: Job, now: float) -> float | None:
    """Seconds it ran, or has run so far."""
    if job.started_at is None:
        return None
    return (job.ended_at if job.ended_at is not None else now) - job.started_at


def _bar(task: Task, pen: Pen) -> Cell:
    return _job_bar(task, pen) if isinstance(task, Job) else operation_bar(task, pen)


def _count(task: Task, pen: Pen) -> Cell:
    return _job_bar(task, pen) if isinstance(task, Job) else operation_count(task)


def _job_bar(job: Job, pen: Pen) -> Cell:
    if job.state.ended or job.progress is None:
        done = sum(run.state is JobState.DONE for run in job.steps)
        return Cell(f"step {done} of {len(job.steps)}" if job.steps else "", "faint")
    part, quiet = done_share(job.progress), pen.now - job.progress.at
    if quiet > QUIET_S:
        told = "" if part is None else f" {percent(100 * part)}"
        return Cell(f"quiet {duration(quiet)}{told}", "stale", bold=True)
    if part is None:
        return Cell(job.progress.phase, "busy")
    return Cell(f"{bar(part, 11, plain=pen.ascii)} {percent(100 * part)}", "busy")


def _eta(task: Task, _pen: Pen) -> Cell:
    eta = _eta_s(task) if not task.state.ended else None
    return Cell("" if eta is None else duration(eta))


def _eta_s(task: Task) -> float | None:
    return task.progress.eta_s if isinstance(task, Job) and task.progress else None


def _next(task: Task, keeps: Callable[[str], bool]) -> Cell:
    if not isinstance(task, Job):
        return operation_next(task, keeps=keeps(task.id))
    if task.followup:
        return Cell("f: " + ", ".join(task.followup), "care")
    return Cell(task.outcome, "faint")


def job_text(
    job: Job, now: float, *, cells: int, plain: bool, before: Sequence[Job] = ()
) -> list[Para]:
    """One job in full: progress, problem, outcome, what is offered, steps, virsh lines.

    Args:
        before: The failed jobs that it tries again, the newest first.
    """
    lines = [para(title_of(job), HEAD), Para(_standing(job, now))]
    if job.progress is not None and not job.state.ended:
        told = progress_text(job.progress, now, cells=cells, plain=plain)
        lines += [BLANK, *(Para(line) for line in told)]
    if job.problem is not None:
        lines += [BLANK, *problem_text(job.problem)]
    if job.outcome:
        lines += [BLANK, *block(job.outcome, label="Now: ")]
    if job.followup:
        lines += [BLANK, para("You can (f):", HEAD)]
        for choice in job.followup:
            _, words, tip = followup_words(choice, job)
            lines.append(para(tip, DIM, label=f"  {words:<10} "))
    if job.steps:
        lines += [BLANK, para("Steps", HEAD)]
        lines += [line for run in job.steps for line in step_text(run, now)]
    if before:
        lines += [BLANK, para("Tried before", HEAD)]
        lines += [line for old in before for line in _tried(old, now)]
    by_hand = virsh_text(job.plan)
    lines += [BLANK, *by_hand] if by_hand else []
    if job.plan.checks:
        lines += [BLANK, para("Checked before", HEAD)]
        lines += [line for check in job.plan.checks for line in check_text(check)]
    traced = waterfall(job, now, cells=cells, plain=plain)
    return [*lines, BLANK, *traced] if traced else lines


def _tried(job: Job, now: float) -> list[Para]:
    """An earlier attempt: when, and why it failed."""
    why = str(job.problem) if job.problem is not None else job.outcome
    label = f"  {age(job.created_at, now):>5} ago  "
    return block(f"{job.id}: {why}", label=label)


def _standing(job: Job, now: float) -> Content:
    cell = state_cell(job.state)
    line = say(cell.text, f"bold ${cell.tone}") + say(f"  on {job.plan.host}")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.created_at))
    line += say(f"  since {when}  took {duration(took(job, now))}", DIM)
    return line + say(f"  by {_who(job.owner)}", DIM) if job.owner else line


def _who(owner: str) -> str:
    """The person and the process of ``user@host:pid:...``."""
    person, _, rest = owner.partition(":")
    return f"{person}, process {rest.partition(':')[0]}" if rest else person


def step_text(run: StepRun, now: float) -> list[Para]:
    """One step: its state as a word, its text, how long it took, its note."""
    cell = state_cell(run.state)
    spent = UNKNOWN
    if run.started_at is not None:
        end = run.ended_at if run.ended_at is not None else now
        spent = duration(end - run.started_at)
    label = f"  {cell.text:<11} {spent:>6}  "
    lines = [para(clean(run.step.text), label=label, label_style=f"${cell.tone}")]
    if run.note:
        lines += block(run.note, DIM, label=" " * len(label))
    return lines
