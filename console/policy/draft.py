"""What an action's planner hands back, before protection and confirmation are added."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.model.job import Check, Step, Verdict
from drivers.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Draft:
    """Steps with what was checked and what will be different afterwards; or a refusal."""

    title: str
    steps: tuple[Step, ...] = ()
    checks: tuple[Check, ...] = ()
    effects: tuple[str, ...] = ()
    refusal: Problem | None = None


def blocked_problem(what: str, checks: tuple[Check, ...]) -> Problem | None:
    """A refusal that lists every blocked check; None when none is blocked."""
    found = [c for c in checks if c.verdict is Verdict.BLOCKED]
    if not found:
        return None
    proof = "; ".join(f"{c.text} ({c.proof})" if c.proof else c.text for c in found)
    fix = "; ".join(dict.fromkeys(c.fix for c in found if c.fix))
    return Problem(what, proof=proof, fix=fix, code="blocked")
