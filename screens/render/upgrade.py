"""An upgrade as rows and paragraphs: the plan before, the stages during."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from drivers.model.host import Host
from drivers.model.operation import (
    Choice,
    MoveState,
    Operation,
    OperationKind,
    OperationPlan,
    StageRun,
    Stuck,
    UpgradeHost,
)
from drivers.model.upgrade import StageVerb
from screens.columns import Cell, Column, Row
from screens.format import age, plural
from screens.prose import BAD, BLANK, DIM, GOOD, HEAD, WARN, Para, block, para
from screens.render.maintenance import plan_text, problem_paras, vms_known
from screens.render_plan import worst_first

_TONES = {
    MoveState.PENDING: "job-pending",
    MoveState.RUNNING: "job-running",
    MoveState.BLOCKED: "job-interrupted",
    MoveState.DONE: "job-done",
    MoveState.FAILED: "job-failed",
    MoveState.DROPPED: "job-cancelled",
}
_ORDER = (
    MoveState.FAILED,
    MoveState.BLOCKED,
    MoveState.RUNNING,
    MoveState.PENDING,
    MoveState.DROPPED,
    MoveState.DONE,
)


class Line(NamedTuple):
    """A host or a VM of the plan, or a stage that is under way."""

    ident: str
    host: str
    state: Cell
    what: str
    why: str
    uuid: str = ""
    choices: tuple[Choice, ...] = ()


def columns() -> tuple[Column, ...]:
    """Columns of the table."""
    return (
        Column("state", "STATE", 10, lambda i, _p: i.state, min_width=8),
        Column("host", "HOST", 14, lambda i, _p: Cell(i.host), min_width=8, grow=1),
        Column("what", "WHAT", 22, lambda i, _p: Cell(i.what), min_width=12, grow=2),
        Column("why", "WHY", 26, lambda i, _p: Cell(i.why, "faint"), min_width=14, grow=3,
               priority=1),
    )  # fmt: skip


def plan_rows(plan: OperationPlan) -> list[Row]:
    """VMs that cannot simply move first, then the hosts in order."""
    hosts = plan.upgrade.hosts if plan.upgrade is not None else ()
    stuck = [Row(s.uuid, _stuck_line(s)) for s in plan.stuck]
    return stuck + [Row(h.host, _host_line(h, len(hosts))) for h in hosts]


def _stuck_line(stuck: Stuck) -> Line:
    state = Cell(stuck.choice.value, "job-pending")
    if stuck.choice is Choice.NONE:
        state = Cell("CHOOSE", "job-interrupted", bold=True)
    return Line(
        stuck.uuid, stuck.vm_name, state, "cannot move", stuck.why.proof, stuck.uuid, stuck.choices
    )


def _host_line(host: UpgradeHost, count: int) -> Line:
    ends = Counter(m.target for m in host.moves if m.target != host.host)
    places = ", ".join(f"{name} ({n})" for name, n in sorted(ends.items()))
    role = "canary" if host.batch == 1 and count > 1 else f"turn {host.batch}"
    moves = f"VMs to {places}" if places else "no VM moves"
    spare = f"N+1: {host.spare.verdict}" if host.spare is not None else ""
    return Line(host.host, host.host, Cell(role), moves, f"kernel {host.kernel}, {spare}")


def stage_rows(operation: Operation, now: float) -> list[Row]:
    """What wants a person first, then what runs and waits; what is done at the end."""
    runs = sorted(operation.stages, key=lambda r: _ORDER.index(r.state))
    return [Row(run.stage.id, _stage_line(run, now)) for run in runs]


def _stage_line(run: StageRun, now: float) -> Line:
    alarming = run.state in (MoveState.FAILED, MoveState.BLOCKED)
    state = Cell(run.state.value, _TONES[run.state], bold=alarming)
    stage, why = run.stage, run.note
    what = stage.command or {StageVerb.WAIT: "be well"}.get(stage.verb, stage.verb.value)
    if run.state is MoveState.RUNNING and run.started_at is not None:
        why = f"{age(run.started_at, now)}{f': {why}' if why else ''}"
    return Line(stage.id, stage.host, state, what, why)


def upgrade_plan_text(plan: OperationPlan) -> list[Para]:
    """What is run and what changes, the low point of capacity, N+1 and the time it takes."""
    lines = plan_text(plan)
    upgrade = plan.upgrade
    if upgrade is None:
        return lines
    lines = [*worst_first(upgrade.checks), *lines]
    moves = "of unknown length" if upgrade.move_s is None else f"about {_span(upgrade.move_s)}"
    told = f"moves {moves}; commands and reboots at most {_span(upgrade.limit_s)}"
    lines += [BLANK, para(told, label="time ", label_style=HEAD)]
    lines.append(para("above: the hosts that carry on when fewest are left", DIM))
    return lines


def upgrade_text(operation: Operation, now: float) -> list[Para]:
    """How far it is, what a person can do, and the last that a command printed."""
    bad = operation.problem is not None
    head = f"Upgrade of {operation.plan.host} is {operation.state.value}"
    lines = [para(head, WARN if bad else HEAD), para(operation.outcome)]
    if operation.problem is not None:
        lines += problem_paras(operation.problem)
    shown = _printing(operation.stages)
    if shown is not None:
        tone = {MoveState.FAILED: BAD, MoveState.DONE: GOOD}.get(shown.state, HEAD)
        lines += [BLANK, para(f"{shown.stage.host}: {shown.stage.command}", tone)]
        lines += block("\n".join(shown.output.splitlines()[-12:]))
    since = age(operation.created_at, now)
    lines.append(para(f"asked for {since} ago by {operation.actor}, {operation.id}", DIM))
    return lines


def _printing(runs: Sequence[StageRun]) -> StageRun | None:
    """The command whose output matters most: one that failed, one that runs, else the last."""
    told = [r for r in runs if r.output]
    order = (MoveState.FAILED, MoveState.RUNNING, MoveState.DONE)
    for state in order:
        found = [r for r in told if r.state is state]
        if found:
            return max(found, key=lambda r: r.started_at or 0.0)
    return None


def shown_upgrade(operations: Sequence[Operation], hosts: Sequence[str]) -> Operation | None:
    """The upgrade under way that has one of these hosts, or any when none is named."""
    for operation in operations:
        upgrade = operation.plan.upgrade
        if operation.plan.kind is not OperationKind.UPGRADE or operation.state.ended:
            continue
        if upgrade is not None and (not hosts or set(hosts) & set(upgrade.names)):
            return operation
    return None


def upgrade_arg(hosts: Sequence[str], name: str = "") -> str:
    """The argument of the screen: these hosts, as ``[upgrades.NAME]`` says."""
    return f"{name}=" * bool(name) + ",".join(hosts)


def of_upgrade_arg(arg: str) -> tuple[tuple[str, ...], str]:
    """The hosts and the name that ``upgrade_arg`` was made of."""
    name, _, hosts = arg.rpartition("=")
    return tuple(host for host in hosts.split(",") if host), name


def summary(names: Sequence[str], hosts: Sequence[Host]) -> str:
    """``kvm1, kvm2: 12 VMs there now``, and whose VMs are not known."""
    running = sum(vm.state.active for host in hosts for vm in host.vms)
    known = {host.name for host in hosts if vms_known(host)}
    unknown = [name for name in names if name not in known]
    if len(unknown) == len(names):
        return f"{', '.join(names)}: their VMs are not known"
    rest = f", those of {', '.join(unknown)} not known" if unknown else ""
    return f"{', '.join(names)}: {plural(running, 'VM')} there now{rest}"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def is_failed(operation: Operation | None) -> bool:
    """Whether a stage waits for a person who may skip it."""
    return operation is not None and any(r.state is MoveState.FAILED for r in operation.stages)
