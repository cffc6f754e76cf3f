"""What the audit ledger says of a job: before it acts, and how it ended."""

from __future__ import annotations

from drivers.model.audit import Actor, Deed, Entry
from drivers.model.job import Action, Job, Plan


def begun(job: Job, actor: Actor) -> Entry:
    """The entry that must be durable before a job acts: who, what, and the equivalent commands."""
    plan = job.plan
    return Entry(
        Deed.BEGUN,
        job.created_at,
        actor,
        plan.title,
        job.id,
        plan.request.uuid,
        plan.vm_name,
        _hosts(plan),
        tuple(step.virsh or step.text for step in plan.steps),
    )


def ended(job: Job, actor: Actor, now: float) -> Entry:
    """The entry that tells what became of a job."""
    plan = job.plan
    return Entry(
        Deed.ENDED,
        now,
        actor,
        plan.title,
        job.id,
        plan.request.uuid,
        plan.vm_name,
        _hosts(plan),
        state=job.state.value,
        outcome=" ".join(filter(None, (str(job.problem or ""), job.outcome))),
    )


def _hosts(plan: Plan) -> tuple[str, ...]:
    request = plan.request
    moved = request.action is Action.MIGRATE and request.target
    return (plan.host, request.target) if moved else (plan.host,)
