"""The plan that empties a host."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from console.policy.drain.fits import Fits
from console.policy.drain.layout import Draft, Wishes, lay_out, move_of
from console.policy.drain.rooms import together_of
from console.policy.drain.units import Candidates, items_of
from drivers.model.fleet import FleetSnapshot
from drivers.model.operation import (
    Choice,
    Limits,
    Move,
    MoveVerb,
    OperationKind,
    OperationPlan,
)
from drivers.model.problem import Problem
from drivers.model.vm import Vm

_FIXED = (Choice.LEAVE, Choice.SHUTDOWN)
_PAUSED = (Choice.MOVE, Choice.COPY)


def plan_drain(
    snapshot: FleetSnapshot,
    host: str,
    fits: Fits,
    limits: Limits,
    wishes: Wishes | None = None,
    *,
    now: float,
) -> OperationPlan:
    """Where each running VM of a host goes, in which order, and what has no place.

    Nothing is ever shut down or left behind but by choice: a VM without a place and without a
    choice is listed in ``stuck``, and the plan does not run before each has one.

    Args:
        snapshot: The fleet as the person sees it.
        host: The host to empty.
        fits: Whether a VM could run on a host, room apart.
        limits: Caps and overcommit.
        wishes: Cordons, choices, pins, and what is on its way already.
        now: The console's clock, to judge how old readings are.
    """
    wishes = wishes or Wishes()
    draft = Draft(snapshot, OperationKind.DRAIN, host, limits, wishes, now)
    refusal, found = draft.refusal(), snapshot.host(host)
    if refusal or found is None:
        return draft.refused(refusal or Problem(f"there is no host {host}"))
    leaving = [v for v in found.vms if v.state.active and v.uuid not in wishes.moving]
    chosen = [v for v in leaving if wishes.choices.get(v.uuid) in _FIXED]
    movable = [v for v in leaving if wishes.choices.get(v.uuid) not in _FIXED]
    targets = draft.targets(host)
    candidates = Candidates(
        {v.uuid: v for v in leaving},
        found.spec.site,
        targets,
        {name: draft.bins[name] for name in targets},
        fits,
        allowed=_allowed(snapshot, movable, host, wishes),
        copying={u for u, choice in wishes.choices.items() if choice is Choice.COPY},
        paused={u for u, choice in wishes.choices.items() if choice in _PAUSED},
    )
    layout = lay_out(candidates, movable, wishes.choices)
    decided = [s for v in chosen for s in candidates.stuck(items_of([v])[0], wishes.choices)]
    shut = [_shutdown(v) for v in chosen if wishes.choices[v.uuid] is Choice.SHUTDOWN]
    staying = [f"{v.name} stays: it is {v.state.value}" for v in found.vms if not v.state.active]
    return draft.finish((*layout.moves, *shut), (*layout.stuck, *decided), staying, layout)


def _shutdown(vm: Vm) -> Move:
    reason = "chosen: its guest is asked to power down"
    return move_of(vm, MoveVerb.SHUTDOWN, vm.host, reason)


def _allowed(
    snapshot: FleetSnapshot, movable: Sequence[Vm], host: str, wishes: Wishes
) -> dict[str, Collection[str]]:
    """UUID to the only targets it may have: a pin, or where the rest of its group is."""
    wanted = {tag for vm in movable for tag in together_of(vm)}
    homes: dict[str, set[str]] = {}
    for other in snapshot.vms() if wanted else ():
        if other.host != host and other.state.active:
            for tag in together_of(other) & wanted:
                homes.setdefault(tag, set()).add(other.host)
    found: dict[str, Collection[str]] = {}
    for vm in movable:
        places = [homes[tag] for tag in together_of(vm) if tag in homes]
        if vm.uuid in wishes.pins:
            places.append({wishes.pins[vm.uuid]})
        if places:
            found[vm.uuid] = set.intersection(*places)
    return found
