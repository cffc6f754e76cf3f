"""The plan that takes an operation back: to undo it, or to bring a host's VMs home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from console.policy.drain.fits import Fits
from console.policy.drain.layout import Draft, Wishes, lay_out, move_of
from console.policy.drain.rooms import need_of
from console.policy.drain.units import Candidates, items_of
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from drivers.model.operation import (
    Choice,
    Limits,
    Move,
    MoveRun,
    MoveState,
    MoveVerb,
    OperationKind,
    OperationPlan,
)
from drivers.model.problem import Problem
from drivers.model.vm import Vm, VmState

_PAUSED = (Choice.MOVE, Choice.COPY)


@dataclass(slots=True)
class _Sorted:
    """What of the earlier moves can be taken back, and what not."""

    homes: dict[str, str] = field(default_factory=dict)
    movable: list[Vm] = field(default_factory=list)
    left: list[Vm] = field(default_factory=list)
    starts: list[Move] = field(default_factory=list)
    staying: list[str] = field(default_factory=list)


def plan_inverse(
    snapshot: FleetSnapshot,
    kind: OperationKind,
    host: str,
    runs: Sequence[MoveRun],
    fits: Fits,
    limits: Limits,
    wishes: Wishes | None = None,
    *,
    now: float,
) -> OperationPlan:
    """Each VM that was moved goes back to where it was, checked anew.

    VMs that are back already or do not run any more stay where they are, and are named in
    ``staying``. A paused one needs a choice. What was shut down is started again. A VM that leaves
    ``host`` again goes elsewhere when the host it was on before cannot take it; one that comes home
    to ``host`` goes nowhere else.

    Args:
        snapshot: The fleet as the person sees it.
        kind: RETURN or UNDO.
        host: The host of the operation that is taken back.
        runs: Its moves; those that are DONE are taken back.
        fits: Whether a VM could run on a host, room apart.
        limits: Caps and overcommit.
        wishes: Cordons (that of ``host`` does not count), choices, and what is on its way.
        now: The console's clock, to judge how old readings are.
    """
    wishes = wishes or Wishes()
    wishes = replace(wishes, cordoned=frozenset(wishes.cordoned) - {host})
    draft = Draft(snapshot, kind, host, limits, wishes, now)
    refusal, own = draft.refusal(), snapshot.host(host)
    if refusal or own is None:
        return draft.refused(refusal or Problem(f"there is no host {host}"))
    return _laid_out(draft, own, _sort(draft, runs), fits)


def plan_rest(
    snapshot: FleetSnapshot,
    kind: OperationKind,
    host: str,
    waiting: Sequence[MoveRun],
    fits: Fits,
    limits: Limits,
    wishes: Wishes,
    *,
    now: float,
) -> OperationPlan:
    """What still waits of a way back, planned anew; for the arguments see ``plan_inverse``.

    Unlike at its beginning the operation's host may be dead: what does not need it goes on.

    Args:
        waiting: Moves that have not begun.
        wishes: ``pins`` name other targets than the waiting moves have.
    """
    wishes = replace(wishes, cordoned=frozenset(wishes.cordoned) - {host})
    draft = Draft(snapshot, kind, host, limits, wishes, now)
    own = snapshot.host(host)
    if own is None:
        return draft.refused(Problem(f"there is no host {host}"))
    found = _Sorted()
    for move in (run.move for run in waiting):
        vm = draft.vms.get(move.uuid)
        if vm is None:
            continue
        if move.verb is MoveVerb.START:
            draft.bins[vm.host].take(need_of(vm))
        elif vm.state.active and vm.host == move.source:
            found.homes[move.uuid] = wishes.pins.get(move.uuid, move.target)
            found.movable.append(vm)
    return _laid_out(draft, own, found, fits)


def _laid_out(draft: Draft, own: Host, found: _Sorted, fits: Fits) -> OperationPlan:
    wishes, targets = draft.wishes, draft.targets()
    others = tuple(name for name in targets if name != own.name)
    free = {v.uuid for v in found.movable if v.host == own.name and v.uuid not in wishes.pins}
    candidates = Candidates(
        {v.uuid: v for v in (*found.movable, *found.left)},
        own.spec.site,
        targets,
        {name: draft.bins[name] for name in targets},
        fits,
        allowed={u: others if u in free else (home,) for u, home in found.homes.items()},
        copying=set(found.homes),
        paused={u for u, choice in wishes.choices.items() if choice in _PAUSED},
        preferred=found.homes,
        offers=(Choice.LEAVE,),
    )
    layout = lay_out(candidates, found.movable, wishes.choices)
    left = [s for v in found.left for s in candidates.stuck(items_of([v])[0], wishes.choices)]
    moves = (*layout.moves, *found.starts)
    return draft.finish(moves, (*layout.stuck, *left), found.staying, layout)


def _sort(draft: Draft, runs: Sequence[MoveRun]) -> _Sorted:
    found = _Sorted()
    for run in reversed(runs):
        move, vm = run.move, draft.vms.get(run.move.uuid)
        known = move.uuid in found.homes or move.uuid in draft.wishes.moving
        if run.state is not MoveState.DONE or known:
            continue
        found.homes[move.uuid] = move.source
        if vm is None:
            found.staying.append(f"{move.vm_name} is on no host that answers")
        elif move.verb is MoveVerb.SHUTDOWN and vm.state in (VmState.OFF, VmState.CRASHED):
            _start(draft, vm, found)
        elif vm.host == move.source:
            found.staying.append(f"{vm.name} is on {vm.host} already")
        elif not vm.state.active:
            found.staying.append(f"{vm.name} stays on {vm.host}: it is {vm.state.value}")
        elif draft.wishes.choices.get(vm.uuid) is Choice.LEAVE:
            found.left.append(vm)
        else:
            found.movable.append(vm)
    return found


def _start(draft: Draft, vm: Vm, found: _Sorted) -> None:
    """It takes its old room first: what comes back from elsewhere can wait there."""
    need, room = need_of(vm), draft.bins[vm.host]
    refusal = room.refuses(need)
    if refusal:
        found.staying.append(f"{vm.name} stays off: {refusal}")
        return
    room.take(need)
    reason = "it was shut down before"
    found.starts.append(move_of(vm, MoveVerb.START, vm.host, reason))
