"""May one move of an operation begin now: asked again before each, of fresh readings."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from console.policy.drain.fits import Fits
from console.policy.drain.layout import Draft, Wishes
from console.policy.drain.rooms import need_of
from console.policy.drain.units import PAUSED_RISK
from console.policy.sizes import size_words
from drivers.model.fleet import FleetSnapshot
from drivers.model.operation import Limits, Move, MoveVerb, OperationKind
from drivers.model.problem import Problem
from drivers.model.vm import VmState

DEAD = ("unreachable", "stale")
"""Codes of problems that say that a host cannot be read."""


def step_problem(
    snapshot: FleetSnapshot,
    move: Move,
    fits: Fits,
    limits: Limits,
    *,
    cordoned: Collection[str],
    moving: Mapping[str, str],
    now: float,
) -> Problem | None:
    """Why a move may not begin now; None when it may.

    Args:
        snapshot: Just read.
        cordoned: Hosts that take no VMs.
        moving: VM UUID to target of what is on its way already.
    """
    target = snapshot.host(move.target)
    if target is None:
        return Problem(f"there is no host {move.target} in this fleet", code="unknown-host")
    draft = Draft(
        snapshot, OperationKind.DRAIN, move.source, limits, Wishes(moving=moving), now
    )  # fmt: skip
    vm = draft.vms.get(move.uuid)
    if vm is None:
        return Problem(f"{move.vm_name} is on no host that answers", code="gone")
    problem = draft.takes(target)
    if problem or move.verb is MoveVerb.SHUTDOWN:
        return problem
    if move.verb is MoveVerb.MIGRATE and vm.state is VmState.PAUSED and not move.paused:
        return Problem(f"{vm.name} is paused", PAUSED_RISK, f"resume {vm.name}", "paused")
    if move.target in cordoned:
        what = f"{move.target} is cordoned"
        return Problem(what, "it takes no VMs", f"uncordon {move.target}", "cordoned")
    pools: tuple[tuple[str, int], ...] = ()
    if move.verb is MoveVerb.MIGRATE:
        fit = fits(vm, target)
        if fit.blocked:
            check = fit.blocked[0]
            return Problem(check.text, check.proof, check.fix, "blocked")
        pools = fit.copies
        copied = sum(size for _, size in pools)
        if copied and not move.copy_bytes:
            proof = f"{size_words(copied)} would have to be copied, and that was not planned"
            return Problem(f"{vm.name} is not on shared storage", proof, code="local")
    refusal = draft.bins[move.target].refuses(need_of(vm, pools))
    return Problem(refusal, "counted with what is on its way", code="no-room") if refusal else None
