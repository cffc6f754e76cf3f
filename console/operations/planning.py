"""Plans of operations: from what the snapshot shows and what the hosts themselves answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from console.operations.tools import PLAN_AGE_S, Desk
from console.policy.drain.inverse import plan_inverse
from console.policy.drain.layout import Wishes
from console.policy.drain.plan import plan_drain
from console.policy.drain.profile import with_profile
from console.policy.drain.rules import limits_of
from console.policy.preflight.grounds import Grounds
from drivers.errors import Refused
from drivers.model.operation import Choice, MoveState, Operation, OperationKind, OperationPlan

Choices = Mapping[str, Choice]
"""VM UUID to what was decided for it."""


async def drain_plan(
    desk: Desk, host: str, choices: Choices, pins: Mapping[str, str]
) -> OperationPlan:
    """How a host would be emptied; ``pins`` is VM UUID to the target it must have."""
    own = desk.snapshot().host(host)
    leaving = [vm.uuid for vm in own.vms if vm.state.active] if own is not None else []
    grounds = await _grounds(desk, leaving, but=host)
    snapshot = desk.snapshot()
    wishes = Wishes(cordoned=desk.book.cordoned, choices=choices, pins=pins)
    limits = limits_of(desk.rules)
    plan = plan_drain(
        snapshot, host, desk.fits(snapshot, grounds), limits, wishes, now=desk.clock()
    )
    return with_profile(plan, desk.rules.profile, snapshot)


async def inverse_plan(
    desk: Desk, operation: Operation, kind: OperationKind, choices: Choices
) -> OperationPlan:
    """How what an operation did is taken back; Refused for an upgrade."""
    if operation.plan.upgrade is not None:
        fix = "bring the VMs of a host that is out home: novacron return HOST"
        raise Refused("what was run on hosts cannot be taken back", operation.id, fix)
    host = operation.plan.host
    moved = [r.move.uuid for r in operation.runs if r.state is MoveState.DONE]
    grounds = await _grounds(desk, moved, home=host)
    snapshot = desk.snapshot()
    plan = plan_inverse(
        snapshot,
        kind,
        host,
        operation.runs,
        desk.fits(snapshot, grounds),
        operation.plan.limits,
        Wishes(cordoned=desk.book.cordoned, choices=choices),
        now=desk.clock(),
    )
    return with_profile(plan, desk.rules.profile, snapshot)


async def _grounds(desk: Desk, uuids: Sequence[str], *, home: str = "", but: str = "") -> Grounds:
    names = [h.name for h in desk.snapshot().hosts if h.name != but] if uuids else []
    return await desk.grounds(uuids, names, home, age_s=PLAN_AGE_S)
