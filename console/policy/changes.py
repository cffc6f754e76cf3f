"""Whether a previewed plan still stands: the same plan made anew must say the same."""

from __future__ import annotations

from console.policy.subject import age_words
from drivers.model.job import Check, Confirm, Plan, Step, Verdict
from drivers.model.problem import Problem

FRESH_S = 60.0
"""Beyond this age a plan must also rest on the same checks; before it, on the same steps."""

CHANGED = "changed"
"""Code of the problem with a plan that must be previewed again."""

_ARGS = frozenset(
    {
        *("target", "mode", "copy", "uri", "dest_paths"),
        *("host", "disk", "old_path", "path", "pool", "name", "capacity", "format"),
        *("states", "on", "nvram", "origin", "choice", "made"),
    }
)
"""Arguments of steps that say what is done to what; others only say how fast."""

_AGAIN = "look at a fresh preview, and decide again"


def change_since(plan: Plan, fresh: Plan, *, now: float) -> Problem | None:
    """Why a plan must not run as it was previewed; None when it still stands.

    Args:
        plan: What a person saw and agreed to.
        fresh: The answer to the same request, made from what is known now.
        now: The console's clock, seconds.
    """
    age = now - plan.made_at
    if fresh.refusal is not None:
        return Problem(
            f"{plan.title} is not possible any more: {fresh.refusal.what}",
            proof=fresh.refusal.proof,
            fix=fresh.refusal.fix or _AGAIN,
            code=CHANGED,
        )
    told = _difference(plan, fresh) or (_checks(plan, fresh) if age > FRESH_S else "")
    if not told:
        return None
    return Problem(
        f"{plan.title} is not what its preview showed {age_words(age)} ago",
        proof=told,
        fix=_AGAIN,
        code=CHANGED,
    )


def _difference(plan: Plan, fresh: Plan) -> str:
    """The first thing that would be done, or promised, in another way."""
    if plan.host != fresh.host:
        return f"{fresh.vm_name} is on {fresh.host} now, not on {plan.host}"
    if plan.vm_name != fresh.vm_name:
        return f"{plan.vm_name} is called {fresh.vm_name} now"
    for old, new in zip(plan.steps, fresh.steps, strict=False):
        if _deed(old) != _deed(new):
            return _instead(old, new)
    if len(plan.steps) != len(fresh.steps):
        return f"it takes {len(fresh.steps)} steps now, not {len(plan.steps)}"
    if plan.confirm is not fresh.confirm:
        return f"it must be confirmed otherwise now: {fresh.confirm.value}"
    if plan.confirm is not Confirm.TYPED:
        return ""
    # What cannot be undone must keep every word: which disks go and which stay is said there.
    gone = [line for line in plan.effects if line not in fresh.effects]
    come = [line for line in fresh.effects if line not in plan.effects]
    return "; ".join([*(f"now: {line}" for line in come), *(f"no more: {line}" for line in gone)])


def _deed(step: Step) -> tuple[str, dict[str, str]]:
    return step.verb, {name: text for name, text in step.args.items() if name in _ARGS}


def _instead(old: Step, new: Step) -> str:
    if old.text != new.text:
        return f"instead of “{old.text}” it would be “{new.text}”"
    (_, was), (_, is_now) = _deed(old), _deed(new)
    names = [n for n in dict.fromkeys((*was, *is_now)) if was.get(n) != is_now.get(n)]
    told = ", ".join(f"{n} {is_now.get(n, 'none')}, not {was.get(n, 'none')}" for n in names)
    return f"{new.text}: {told}"


def _checks(plan: Plan, fresh: Plan) -> str:
    """Checks that come out otherwise than in the preview."""
    before = {check.name: check.verdict for check in plan.checks}
    return "; ".join(
        f"{check.name}: {check.text}"
        for check in fresh.checks
        if _worse(before.get(check.name), check)
    )


def _worse(before: Verdict | None, check: Check) -> bool:
    return check.verdict is not Verdict.OK and check.verdict is not before
