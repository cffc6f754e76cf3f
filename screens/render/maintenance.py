"""A host's maintenance as rows and paragraphs: the plan before, the progress during."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from drivers.model.host import Host
from drivers.model.job import Verdict
from drivers.model.operation import (
    Choice,
    Cordon,
    Move,
    MoveRun,
    MoveState,
    MoveVerb,
    Operation,
    OperationKind,
    OperationPlan,
    Outlook,
    Room,
    Stuck,
)
from drivers.model.problem import Problem
from screens.columns import Cell, Column, Row
from screens.format import age, plural, size
from screens.prose import BAD, BLANK, DIM, GOOD, HEAD, WARN, Para, para
from screens.render.states import stale_words

CHOICES: dict[Choice, tuple[str, str]] = {
    Choice.COPY: ("Copy its storage", "it moves, its local disks are copied along"),
    Choice.MOVE: ("Move it paused", "it was never moved before, or its QEMU is known to bear it"),
    Choice.LEAVE: ("Leave it", "it stays; the host is then not safe to reboot"),
    Choice.SHUTDOWN: ("Shut it down", "its guest is asked to power down"),
    Choice.NONE: ("Decide later", "the plan does not run before"),
}
"""Words and tip of each choice."""

_NAMED = 6
"""VMs of the same reason that are told by name; the table has all."""

_TONES = {
    MoveState.PENDING: "job-pending",
    MoveState.RUNNING: "job-running",
    MoveState.BLOCKED: "job-interrupted",
    MoveState.DONE: "job-done",
    MoveState.FAILED: "job-failed",
    MoveState.DROPPED: "job-cancelled",
}


class Line(NamedTuple):
    """One VM of the plan or the operation.

    Attributes:
        planned: It has a place, and moves when the plan runs.
        away: From the host whose plan this is, not back to it.
    """

    uuid: str
    name: str
    state: Cell
    where: str
    memory: int | None
    why: str
    choices: tuple[Choice, ...] = ()
    waits: bool = False
    planned: bool = False
    away: bool = True


def columns() -> tuple[Column, ...]:
    """Columns of the table."""
    return (
        Column("state", "STATE", 10, lambda i, _p: i.state, min_width=8),
        Column("vm", "VM", 20, lambda i, _p: Cell(i.name), min_width=10, grow=1),
        Column("where", "WHERE", 16, lambda i, _p: Cell(i.where), min_width=12, grow=1),
        Column("memory", "MEMORY", 8, lambda i, _p: Cell(size(i.memory)), right=True,
               priority=2),
        Column("why", "WHY", 30, lambda i, _p: Cell(i.why, "faint"), min_width=30, grow=3,
               priority=1),
    )  # fmt: skip


def plan_rows(plan: OperationPlan) -> list[Row]:
    """VMs that cannot simply move first, then the moves in order."""
    shut = {m.uuid for m in plan.moves if m.verb is MoveVerb.SHUTDOWN}
    away = plan.kind is OperationKind.DRAIN
    stuck = [
        Row(s.uuid, _stuck_line(s)._replace(away=away)) for s in plan.stuck if s.uuid not in shut
    ]
    return stuck + [Row(m.uuid, _move_line(m, away=away)) for m in plan.moves]


def _stuck_line(stuck: Stuck) -> Line:
    if stuck.choice is Choice.NONE:
        state = Cell("CHOOSE", "job-interrupted", bold=True)
    else:
        state = Cell(stuck.choice.value, "job-pending")
    return Line(
        stuck.uuid, stuck.vm_name, state, "cannot move", None, stuck.why.proof, stuck.choices
    )


def _move_line(move: Move, *, away: bool) -> Line:
    shutting = move.verb is MoveVerb.SHUTDOWN
    state = Cell("shut down", "job-interrupted") if shutting else Cell(f"wave {move.wave}")
    home = () if move.verb is MoveVerb.START else (Choice.NONE, Choice.LEAVE)
    choices = (Choice.NONE, Choice.LEAVE, Choice.SHUTDOWN) if away else home
    where = _where(move, away=away)
    return Line(
        move.uuid, move.vm_name, state, where, move.memory, move.reason, choices, away, True, away
    )  # fmt: skip


def _where(move: Move, *, away: bool) -> str:
    if move.verb is MoveVerb.MIGRATE:
        return f"> {move.target}" if away else f"from {move.source}"
    return "starts" if move.verb is MoveVerb.START else "stays, off"


def run_rows(operation: Operation, figures: Mapping[str, str]) -> list[Row]:
    """What wants a person first, then what moves, waits and is done.

    Args:
        operation: The one under way.
        figures: Ticket of a running move to how far its job is.
    """
    order = (
        MoveState.FAILED,
        MoveState.BLOCKED,
        MoveState.RUNNING,
        MoveState.PENDING,
        MoveState.DONE,
        MoveState.DROPPED,
    )
    runs = sorted(operation.runs, key=lambda r: order.index(r.state))
    away = operation.plan.kind is OperationKind.DRAIN
    left = [s for s in operation.plan.stuck if s.choice is Choice.LEAVE]
    stays = [Row(s.uuid, _stuck_line(s)._replace(choices=())) for s in left]
    lines = [_run_line(run, figures.get(run.ticket, ""), away=away) for run in runs]
    return [Row(line.uuid, line) for line in lines] + stays


def _run_line(run: MoveRun, figures: str, *, away: bool) -> Line:
    alarming = run.state in (MoveState.FAILED, MoveState.BLOCKED)
    state = Cell(run.state.value, _TONES[run.state], bold=alarming)
    waits = run.state in (MoveState.PENDING, MoveState.BLOCKED, MoveState.FAILED)
    move = run.move
    moving = figures if run.state is MoveState.RUNNING else ""
    why = run.note or moving or move.reason
    where = _where(move, away=away)
    return Line(move.uuid, move.vm_name, state, where, move.memory, why, (), waits, away=away)


def plan_ready(plan: OperationPlan | None, cordons: Sequence[Cordon]) -> bool:
    """Whether a plan can run and does something: an empty host that is cordoned is drained."""
    if plan is None or plan.undecided or plan.refusal is not None:
        return False
    return bool(plan.moves) or all(c.host != plan.host for c in cordons)


def choose_title(lines: Sequence[Line]) -> str:
    """Whom a choice is about."""
    who = lines[0].name if len(lines) == 1 else plural(len(lines), "VM")
    return f"What becomes of {who}?"


def choose_words(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """What all of these VMs may become: each choice, and what it means for them."""
    first = lines[0]
    shared = [c for c in first.choices if all(c in line.choices for line in lines)]
    moves = any(line.planned for line in lines)
    words = dict(CHOICES)
    if moves:
        words[Choice.NONE] = ("As at first", "it moves if it can; else it waits for a choice")
    if any(not line.away for line in lines):
        words[Choice.LEAVE] = ("Leave it", "it stays where it runs now")
    ordered = [c for c in shared if c is not Choice.NONE]
    return [(c.value or "none", f"{words[c][0]}: {words[c][1]}") for c in (*ordered, Choice.NONE)]


def plan_text(plan: OperationPlan) -> list[Para]:
    """Blast radius, capacity after and N+1, before anything begins."""
    if plan.refusal is not None:
        return problem_paras(plan.refusal)
    style = {Outlook.POSSIBLE: GOOD, Outlook.IMPOSSIBLE: BAD, Outlook.NOT_PROVEN: WARN}
    lines = [para(plan.outlook_text, style[plan.outlook])]
    if plan.undecided:
        count = len(plan.undecided)
        need = "VM needs" if count == 1 else "VMs need"
        lines.append(para(f"{count} {need} a choice before this can run: c", BAD))
        lines += _undecided_lines(plan)
    lines += _warned_lines(plan)
    lines += [para(line, label="- ", label_style=DIM) for line in plan.effects]
    if plan.spare is not None:
        tone = {Verdict.OK: GOOD, Verdict.WARN: BAD}.get(plan.spare.verdict, WARN)
        words = f"{plan.spare.verdict}: {plan.spare.text} ({plan.spare.proof})"
        lines.append(para(words, tone, label="N+1 ", label_style=HEAD))
    lines += [BLANK, para("Given to VMs, before > after, of what may be given", HEAD)]
    lines += [para(_room(room), label="  ") for room in plan.rooms]
    lines += [para(line, DIM) for line in plan.staying]
    return lines


def _undecided_lines(plan: OperationPlan) -> list[Para]:
    """Why each of them cannot simply move; once for all that have the same reason."""
    alike: dict[str, list[str]] = {}
    for stuck in plan.undecided:
        alike.setdefault(stuck.why.proof, []).append(stuck.vm_name)
    return [
        para(proof, label=f"{names[0]} ") if len(names) == 1 else _of_many(names, proof)
        for proof, names in alike.items()
    ]


def _of_many(names: Sequence[str], proof: str) -> Para:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return para(f"{', '.join(names[:_NAMED])}{more}: {proof}")


def _warned_lines(plan: OperationPlan) -> list[Para]:
    """Each warning with its proof, and what to do about it."""
    lines: list[Para] = []
    for check in plan.warned:
        proof = f" ({check.proof})" if check.proof else ""
        lines.append(para(f"{check.name}: {check.text}{proof}", label="warn ", label_style=WARN))
        if check.fix:
            lines.append(para(check.fix, label="     fix: ", label_style=DIM))
    return lines


def _room(room: Room) -> str:
    memory = f"{size(room.memory_before)} > {size(room.memory_after)}"
    total = size(room.memory_total) if room.memory_total else "?"
    vcpus = f"{room.vcpus_before} > {room.vcpus_after} of {room.vcpus_total or '?'} vCPUs"
    come = f", {plural(room.arrivals, 'VM')} to come" if room.arrivals else ""
    return f"{room.host}: {memory} of {total}, {vcpus}{come}"


def operation_text(operation: Operation) -> list[Para]:
    """How far it is, and what a person can do."""
    kind, host = operation.plan.kind, operation.plan.host
    bad = operation.problem is not None
    head = f"{str(kind).capitalize()} of {host} is {operation.state.value}"
    lines = [para(head, WARN if bad else HEAD), para(operation.outcome)]
    if operation.problem is not None:
        lines += problem_paras(operation.problem)
    lines.append(para(f"asked for by {operation.actor}, {operation.id}", DIM))
    return lines


def problem_paras(problem: Problem) -> list[Para]:
    """What happened, the proof, the way out."""
    lines = [para(problem.what, BAD)]
    if problem.proof:
        lines.append(para(problem.proof, label="proof ", label_style=DIM))
    if problem.fix:
        lines.append(para(problem.fix, GOOD, label="fix ", label_style=DIM))
    return lines


def cordon_line(cordons: Sequence[Cordon], host: str, now: float) -> str:
    """``cordoned 5m by me@desk: kernel``; empty for a host that takes VMs."""
    found = next((c for c in cordons if c.host == host), None)
    if found is None:
        return ""
    reason = f": {found.reason}" if found.reason else ""
    return f"cordoned {age(found.since, now)} by {found.by}{reason}"


OLD = "bold $stale"

PLAN_OLD_S = 60.0
"""From this age on a plan that waits is marked; its steps are judged by fresh readings anyway."""


def is_old(plan: OperationPlan, now: float) -> bool:
    """Whether a plan waits so long that it is marked."""
    return now - plan.made_at > PLAN_OLD_S


def standing_paras(
    host: Host | None, name: str, cordons: Sequence[Cordon], plan: OperationPlan | None, now: float
) -> list[Para]:
    """What runs on a host and whether it takes VMs; how old that is, and the plan below it."""
    running = "its VMs are not known"
    if host is not None and vms_known(host):
        running = f"{plural(sum(vm.state.active for vm in host.vms), 'VM')} running"
    cordoned = cordon_line(cordons, name, now)
    words = f"{name}: {running}, {cordoned or 'open to new VMs'}"
    lines = [para(words, WARN if cordoned else "")]
    if host is not None and (stale := stale_words(host, now)):
        lines.append(para(stale, OLD))
    if plan is not None:
        made = f"planned {age(plan.made_at, now)} ago"
        lines.append(para(f"{made}: STALE", OLD) if is_old(plan, now) else para(made, DIM))
    return lines


def ended_paras(operation: Operation, host: Host | None, now: float) -> list[Para]:
    """How the last operation of a host ended and when; what it said then may not hold now."""
    when = age(operation.ended_at, now)
    lines = [para(f"last {operation.plan.kind}, {when} ago: {operation.outcome}", DIM)]
    running = sum(vm.state.active for vm in host.vms) if host is not None else 0
    if "safe to reboot: yes" in operation.outcome and running:
        told = "1 VM runs" if running == 1 else f"{running} VMs run"
        lines.append(para(f"safe to reboot now: no, {told} here again", WARN))
    return lines


def vms_known(host: Host) -> bool:
    """Whether anybody ever told which VMs are there."""
    return bool(host.slow_at or host.vms)


def no_rows(plan: OperationPlan | None) -> str:
    """What an empty table of moves means."""
    if plan is None:
        return "nothing is planned yet"
    if plan.refusal is not None:
        return "nothing could be planned"
    return "no VM runs here" if plan.kind is OperationKind.DRAIN else "no VM has to move"


def shown_operation(operations: Sequence[Operation], host: str) -> Operation | None:
    """The operation of a host that is under way; without one, None."""
    return next((o for o in operations if o.plan.host == host and not o.state.ended), None)


def last_drain(operations: Sequence[Operation], host: str) -> Operation | None:
    """The newest operation of a host that ended, if it was a drain that moved something."""
    found = next((o for o in operations if o.plan.host == host and o.state.ended), None)
    if found is None or found.plan.kind is not OperationKind.DRAIN:
        return None
    return found if any(r.state is MoveState.DONE for r in found.runs) else None
