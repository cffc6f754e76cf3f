"""The plan that takes an operation back: to undo it, or to bring a host's VMs home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from console.policy.drain.fits import Fits
from console.policy.drain.layout import Draft, Wishes, lay_out, move_of
from console.policy.drain.rooms import need_of
from console.policy.drain.units import PAUSED_RISK, Candidates
from drivers.model.fleet import FleetSnapshot
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


@dataclass(slots=True)
class _Sorted:
    """What of the earlier moves can be taken back, and what not."""

    homes: dict[str, str] = field(default_factory=dict)
    movable: list[Vm] = field(default_factory=list)
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

    VMs that are back already, do not run any more or are to be left stay where they are, and are
    named in ``staying``. What was shut down is started again.

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
    found = _sort(draft, runs)
    targets = draft.targets()
    candidates = Candidates(
        {v.uuid: v for v in found.movable},
        own.spec.site,
        targets,
        {name: draft.bins[name] for name in targets},
        fits,
        allowed={uuid: (home,) for uuid, home in found.homes.items()},
        copying={v.uuid for v in found.movable},
    )
    layout = lay_out(candidates, found.movable, wishes.choices)
    return draft.finish((*layout.moves, *found.starts), layout.stuck, found.staying, layout.outlook)


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
        elif vm.state is VmState.PAUSED:
            found.staying.append(f"{vm.name} stays on {vm.host}: it is paused, and {PAUSED_RISK}")
        elif draft.wishes.choices.get(vm.uuid) is Choice.LEAVE:
            found.staying.append(f"{vm.name} stays on {vm.host}: chosen so")
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
