"""What wants attention now, worst first: read from the picture alone, no judgement of trends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from drivers.model.host import Host, LinkState
from drivers.model.job import Job, JobState
from drivers.model.kept import keeps_copies, kept_jobs
from drivers.model.vm import Vm, VmState
from screens.base import View
from screens.columns import Cell, Column, Row, natural
from screens.format import age, duration, percent, plural, share, size
from screens.render.degraded import suspicion
from screens.render.hosts import memory_pct
from screens.render.operations import kept_line
from screens.render.states import SPLIT, host_is_stale, host_read_at, why, why_and_when

FULL_PCT = 95.0
SKEW_S = 2.0
"""Clocks further apart than this make times of events and migrations hard to read."""

PSI_FULL = 10.0

SIGNS = ("CRIT", "warn", "note")
"""What each rank is called."""

_TONES = ("bad", "care", "faint")


class Trouble(NamedTuple):
    """One thing that wants attention.

    Attributes:
        rank: 0 something is broken, 1 something is wrong, 2 somebody should know.
        host: Host to open; empty when it is not about one.
        vm: UUID of the VM to open; empty likewise.
        view: View to open when it is about neither.
    """

    rank: int
    subject: str
    text: str
    since: float = 0.0
    host: str = ""
    vm: str = ""
    view: str = ""


def troubles(view: View) -> list[Trouble]:
    """Everything that wants attention, worst first, and hosts before single VMs."""
    found = [*_of_console(view)]
    for host in view.snapshot.hosts:
        found.extend(_of_host(host, view.now))
        if host.link.state not in (LinkState.DOWN, LinkState.DECISION):  # else long ago
            found.extend(trouble for vm in host.vms for trouble in _of_vm(vm))
    found.extend(_of_jobs(view))
    return sorted(found, key=lambda t: (t.rank, t.vm != "", natural(t.subject)))


def _of_console(view: View) -> Iterator[Trouble]:
    if view.snapshot.all_down:
        where = "console" if view.snapshot.starved else "network"
        yield Trouble(0, where, f"every host failed at once: {suspicion(view.snapshot)}")
    if view.store.paused:
        yield Trouble(1, "history", f"not recording: {view.store.paused}", view="history")
    if view.store.read_only:
        text = "read-only: the history is another user's, so no jobs can be run on it"
        yield Trouble(1, "history", text, view="history")
    if view.store.dropped:
        text = f"{plural(view.store.dropped, 'sample')} lost: the recorder was too slow"
        yield Trouble(1, "history", text, view="history")
    if view.store.warning:
        yield Trouble(1, "history", view.store.warning, view="history")


def _of_host(host: Host, now: float) -> Iterator[Trouble]:
    link, name = host.link, host.name
    if link.state is LinkState.DOWN:
        yield Trouble(0, name, f"unreachable: {why_and_when(host, now)}", link.since, name)
        return
    if link.state is LinkState.DECISION:
        yield Trouble(0, name, f"waits for your decision: {why(host)}", link.since, name)
        return
    if link.state is LinkState.DEGRADED:
        yield Trouble(1, name, f"degraded: {why(host)}", link.since, name)
    read_at, interval = host_read_at(host)
    if read_at and host_is_stale(host, now):
        text = f"no figures for {age(read_at, now)} (read every {interval:g} s)"
        yield Trouble(1, name, text, read_at, name)
    else:
        yield from _of_load(host)
    for pool in host.pools:
        if pool.problem is not None:
            text = f"pool {pool.name}: {pool.problem.what}"
            yield Trouble(1, name, text, host=name)
    skew = host.facts.clock_skew_s if host.facts else None
    if skew is not None and abs(skew) > SKEW_S:
        yield Trouble(2, name, f"its clock is {skew:+.1f} s off", host=name)


def _of_load(host: Host) -> Iterator[Trouble]:
    load, name = host.load, host.name
    if load is None:
        return
    used = memory_pct(load)
    if used is not None and used >= FULL_PCT:
        yield Trouble(1, name, f"memory {percent(used)} in use", host=name)
    stalled = load.psi_memory.full if load.psi_memory is not None else None
    if stalled is not None and stalled >= PSI_FULL:
        text = f"stalled on memory {percent(stalled)} of the time"
        yield Trouble(1, name, text, host=name)
    for disk in load.filesystems:
        free = share(disk.free, disk.size)
        if free is not None and 100.0 * (1.0 - free) >= FULL_PCT:
            text = f"{disk.mount} is full: {size(disk.free)} left of {size(disk.size)}"
            yield Trouble(1, name, text, host=name)


def _of_vm(vm: Vm) -> Iterator[Trouble]:
    if vm.monitor_stuck_s is not None:
        text = f"monitor stuck {duration(vm.monitor_stuck_s)} on {vm.host}"
        yield Trouble(0, vm.name, text, vm=vm.uuid)
    elif vm.state is VmState.CRASHED:
        yield Trouble(
            0, vm.name, f"crashed on {vm.host} ({vm.reason or 'no reason given'})", vm=vm.uuid
        )
    elif vm.reason == SPLIT:
        text = f"its post-copy migration broke: {vm.host} has a part of its memory; see Jobs"
        yield Trouble(0, vm.name, text, vm=vm.uuid)
    elif vm.state is VmState.PAUSED and "error" in vm.reason:
        yield Trouble(0, vm.name, f"paused by an {vm.reason} on {vm.host}", vm=vm.uuid)


def _of_jobs(view: View) -> Iterator[Trouble]:
    """Each job; those of one operation that keep no more than old copies are one line."""
    keeping = [job for job in view.jobs if keeps_copies(job)]
    told: set[str] = set()
    for operation in view.operations if keeping else ():
        kept = kept_jobs(operation, keeping)
        if kept:
            told.update(job.id for job in kept)
            since = operation.ended_at or operation.created_at
            told_as = kept_line(operation, kept)
            yield Trouble(2, operation.plan.host, told_as, since, view="jobs")
    for job in view.jobs:
        if job.id not in told:
            yield from _of_job(job)


def _of_job(job: Job) -> Iterator[Trouble]:
    if job.state is JobState.INTERRUPTED:
        text = f"{job.plan.title} was interrupted: decide how to go on"
        yield Trouble(0, job.plan.vm_name, text, job.created_at, view="jobs")
    elif job.state is JobState.FAILED and job.followup:
        what = job.problem.what if job.problem else job.outcome
        yield Trouble(1, job.plan.vm_name, f"{job.plan.title}: {what}", job.created_at, view="jobs")
    elif job.followup:
        text = f"{job.plan.title}: {job.outcome or 'done'}; more is offered"
        yield Trouble(2, job.plan.vm_name, text, job.created_at, view="jobs")


def trouble_columns() -> tuple[Column, ...]:
    """Columns of the problem list."""
    return (
        Column("rank", "RANK", 5, lambda t, _p: Cell(SIGNS[t.rank], _TONES[t.rank], t.rank == 0)),
        Column("subject", "WHERE", 14, lambda t, _p: Cell(t.subject), min_width=12, grow=1),
        Column("text", "WHAT", 60, lambda t, _p: Cell(t.text, _TONES[t.rank] if t.rank < 1 else ""),
               min_width=20, grow=7),
        Column("since", "FOR", 7, lambda t, p: Cell(age(t.since, p.now) if t.since else ""),
               right=True, priority=1),
    )  # fmt: skip


def trouble_rows(found: list[Trouble]) -> list[Row]:
    """Rows of the problem list; one subject may have several."""
    counts: dict[str, int] = {}
    rows = []
    for trouble in found:
        number = counts[trouble.subject] = counts.get(trouble.subject, 0) + 1
        rows.append(Row(f"{trouble.subject}/{number}", trouble))
    return rows
