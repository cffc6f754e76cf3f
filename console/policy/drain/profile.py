"""How the live migrations of an operation are carried out: by a profile of the fleet file."""

from __future__ import annotations

from dataclasses import replace

from console.policy.features import option_checks
from console.policy.tuning import option_problem
from drivers.model.fleet import FleetSnapshot
from drivers.model.migration import MoveProfile
from drivers.model.operation import MoveVerb, OperationPlan
from drivers.model.problem import Problem

_BEGINS = "live migrations go by profile "


def with_profile(
    plan: OperationPlan, profile: MoveProfile, snapshot: FleetSnapshot
) -> OperationPlan:
    """The plan, its migrations carried out by a profile, which its effects name.

    A profile that is wrong, or that two hosts of a move lack something for, refuses the plan: it
    would stop at that move.
    """
    effects = tuple(line for line in plan.effects if not line.startswith(_BEGINS))
    if profile.name:
        told = ", ".join(f"{name} {value}" for name, value in sorted(profile.options.items()))
        effects = (*effects, f"{_BEGINS}{profile.name}: {told or 'as usual'}")
    refusal = plan.refusal or _wrong(plan, profile, snapshot)
    return replace(plan, profile=profile, effects=effects, refusal=refusal)


def _wrong(plan: OperationPlan, profile: MoveProfile, snapshot: FleetSnapshot) -> Problem | None:
    if (problem := option_problem(profile.options)) is not None:
        return replace(problem, what=f"profile {profile.name}: {problem.what}")
    pairs = {(m.source, m.target) for m in plan.moves if m.verb is MoveVerb.MIGRATE}
    for here, there in sorted(pairs):
        ends = snapshot.host(here), snapshot.host(there)
        if ends[0] is None or ends[1] is None:
            continue
        for check in option_checks(profile.options, ends[0], ends[1]):
            return Problem(
                f"profile {profile.name}: {check.text}", check.proof, check.fix, code="option"
            )
    return None
