"""What became of a move, judged by where its VM is and not by what was meant to happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.policy.recovery import BROKEN, DISMISS, FINISH, RECOVER, RETRY, UNDO
from console.policy.subject import host_problem
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Job, JobState
from drivers.model.operation import Move, MoveState, MoveVerb
from drivers.model.vm import Vm, VmState

TRIES = 3
"""How often an operation itself finishes or takes back one move before it asks a person."""


@dataclass(frozen=True, slots=True)
class Found:
    """The truth about a move.

    Attributes:
        state: What it is now; RUNNING: not settled yet, look again.
        note: Why, in words.
        followup: What is to be done with its interrupted job before anything else.
        dead: The target cannot be read: it is ruled out, and the VM planned anew.
    """

    state: MoveState
    note: str = ""
    followup: str = ""
    dead: bool = False


_LOST = ("unreachable", "target-lost")
"""Codes of failures that a lost connection explains."""


def found_move(
    snapshot: FleetSnapshot, move: Move, job: Job, *, now: float, tries: int = TRIES
) -> Found:
    """The truth about a move whose job has ended.

    Args:
        tries: How often a job was begun for it: one that a broken connection ended is begun anew
            until they are ``TRIES``.
    """
    if move.verb is not MoveVerb.MIGRATE:
        return _found_here(snapshot, move, job, now)
    source, target = _copy(snapshot, move, move.source), _copy(snapshot, move, move.target)
    target_read = _read(snapshot, move.target, now)
    if not _read(snapshot, move.source, now) and not (target and target_read):
        return Found(MoveState.RUNNING, f"{move.source} cannot be read: where it is is not known")
    split = source or (target if target_read else None)
    if split is not None and split.reason == BROKEN:
        return Found(MoveState.FAILED, _split(split, job))
    if target and target_read and not source:
        return Found(MoveState.DONE, f"it runs on {move.target}")
    if not source:
        if not target_read:
            note = f"it left {move.source}, and {move.target} cannot be read"
            return Found(MoveState.RUNNING, note)
        return Found(MoveState.FAILED, _stopped(snapshot, move))
    if job.state is JobState.INTERRUPTED:
        settled = _interrupted(job, source, target_read=target_read)
        if settled is not None:
            return settled
    found = _still_there(move, job, source, target_read=target_read)
    if found.state is MoveState.FAILED and tries < TRIES and _cut_off(job, source):
        return Found(MoveState.PENDING, f"its connection broke; still on {move.source}: once more")
    return found


def _stopped(snapshot: FleetSnapshot, move: Move) -> str:
    """Where a VM that runs on neither end is, and how it was last seen there."""
    hosts = [h for name in (move.source, move.target) if (h := snapshot.host(name)) is not None]
    seen = [f"{v.state.value} on {h.name}" for h in hosts for v in h.vms if v.uuid == move.uuid]
    where = f"it is {', '.join(seen)}" if seen else "neither knows it"
    return f"it runs on neither end: {where}; look at it, and start it by hand"


def _split(source: Vm, job: Job | None = None) -> str:
    """What is said of a guest that neither runs on nor can be taken back, and who can help."""
    told = f"its post-copy migration broke: {source.host} has a part of its memory"
    if job is not None and RECOVER in job.followup:
        return f"{told}; Jobs offers to recover it"
    if job is not None and Action.FORCE_OFF.value in job.followup:
        return f"{told}, and the rest is gone; Jobs offers to force it off"
    return f"{told}; {job.outcome if job is not None else 'recover it in Jobs, then resume'}"


def in_vain(jobs: Sequence[Job]) -> bool:
    """Whether what was interrupted was followed up ``TRIES`` times, each one interrupted too.

    Args:
        jobs: Those of one move, in the order they were begun.
    """
    last = jobs[-TRIES - 1 :]
    return len(last) > TRIES and all(job.state is JobState.INTERRUPTED for job in last)


def vain_words(jobs: Sequence[Job], doing: str) -> str:
    """What is said of a move that was followed up in vain, and what may help.

    Args:
        doing: What was tried.
    """
    last = jobs[-1]
    why = why_of(last) or "it was interrupted each time"
    told = f"{doing}, {TRIES} times in vain ({why}): Jobs offers it again"
    if last.problem is not None and last.problem.code == "timed-out":
        told += f"; if libvirtd on {last.plan.host} hangs, restart it there: its guests run on"
    return told


def found_idle(snapshot: FleetSnapshot, move: Move, *, now: float) -> Found:
    """The truth about a move that has not begun: PENDING when there is still something to do."""
    vm = _copy(snapshot, move, move.source)
    if move.verb is MoveVerb.START:
        return Found(MoveState.DONE, "it runs already") if vm else Found(MoveState.PENDING)
    if vm is not None and vm.reason == BROKEN and move.verb is MoveVerb.MIGRATE:
        return Found(MoveState.FAILED, _split(vm))
    if vm is not None:
        return Found(MoveState.PENDING)
    if not _read(snapshot, move.source, now):
        return Found(MoveState.PENDING, f"{move.source} cannot be read")
    if move.verb is MoveVerb.SHUTDOWN:
        return Found(MoveState.DONE, "it does not run any more")
    for host in snapshot.hosts:
        if _copy(snapshot, move, host.name) and _read(snapshot, host.name, now):
            there = host.name == move.target
            state = MoveState.DONE if there else MoveState.DROPPED
            return Found(state, f"it is on {host.name} already")
    return Found(MoveState.DROPPED, f"it does not run on {move.source} any more")


def _found_here(snapshot: FleetSnapshot, move: Move, job: Job, now: float) -> Found:
    if not _read(snapshot, move.source, now):
        return Found(MoveState.RUNNING, f"{move.source} cannot be read")
    active = _copy(snapshot, move, move.source) is not None
    if active is (move.verb is MoveVerb.START):
        return Found(MoveState.DONE, "it runs" if active else "it is off")
    return Found(MoveState.FAILED, why_of(job))


def _interrupted(job: Job, source: Vm, *, target_read: bool) -> Found | None:
    """What its job offers is done first; None when there is nothing to settle."""
    offered = job.followup
    if not target_read:
        return None  # the dead end cannot be asked; what runs on the source is judged below
    if FINISH in offered:
        return Found(MoveState.RUNNING, "its migration still runs: it is followed", FINISH)
    if UNDO in offered:
        return Found(MoveState.RUNNING, "what was left of it is taken back", UNDO)
    if RETRY in offered:
        return Found(MoveState.PENDING, f"interrupted, and still on {source.host}", DISMISS)
    return None


def _still_there(move: Move, job: Job, source: Vm, *, target_read: bool) -> Found:
    if source.job is not None:
        return Found(MoveState.RUNNING, f"libvirt still reports: {source.job.phase}")
    if not target_read:
        if source.state is VmState.PAUSED and job.facts.get("was") != "paused":
            note = f"it is paused on {move.source}, and {move.target} cannot be read"
            return Found(MoveState.FAILED, f"{note}: make sure it does not run there, then resume")
        return Found(MoveState.PENDING, f"{move.target} does not answer any more", dead=True)
    if job.state in (JobState.DONE, JobState.INTERRUPTED):
        return Found(MoveState.PENDING, f"taken back: it is on {move.source}")
    return Found(MoveState.FAILED, why_of(job) or "its job was cancelled")


def _cut_off(job: Job, source: Vm) -> bool:
    """Whether nothing but a lost connection ended it, and the VM goes on where it was."""
    lost = job.problem is not None and job.problem.code in _LOST
    return job.state is JobState.FAILED and lost and source.state is not VmState.PAUSED


def why_of(job: Job) -> str:
    """What a job says of its failure, with the proof."""
    if job.problem is None:
        return job.outcome
    return f"{job.problem.what} ({job.problem.proof})" if job.problem.proof else job.problem.what


def _read(snapshot: FleetSnapshot, name: str, now: float) -> bool:
    host = snapshot.host(name)
    return host is not None and host_problem(host, now) is None


def _copy(snapshot: FleetSnapshot, move: Move, name: str) -> Vm | None:
    """The active copy of the move's VM on a host."""
    host = snapshot.host(name)
    vms = host.vms if host is not None else ()
    return next((v for v in vms if v.uuid == move.uuid and v.state.active), None)
