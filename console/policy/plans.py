"""A request becomes a plan: pure, from one snapshot, exactly what the job will do."""

from __future__ import annotations

from dataclasses import replace

from console.policy.deleting import plan_delete
from console.policy.draft import Draft
from console.policy.lifecycle import plan_lifecycle
from console.policy.migration_plan import plan_migration
from console.policy.preflight.grounds import NO_GROUNDS, Grounds
from console.policy.protect import confirm_for, protection_problem
from console.policy.subject import Subject, find, request_problem
from console.policy.tier_plan import plan_tier
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Plan, Request
from drivers.model.problem import Problem

_BESIDE_A_JOB = frozenset(
    {Action.FORCE_OFF, Action.AUTOSTART_ON, Action.AUTOSTART_OFF, Action.PAUSE, Action.RESUME}
)
"""What libvirt still accepts while a migration or a block copy runs."""


def make_plan(
    snapshot: FleetSnapshot,
    request: Request,
    *,
    now: float,
    plan_id: str,
    grounds: Grounds = NO_GROUNDS,
) -> Plan:
    """The plan that answers a request; one with a ``refusal`` carries no steps and cannot run.

    Args:
        snapshot: The fleet as the person sees it.
        request: What was asked.
        now: The console's clock, to judge how old readings are.
        plan_id: Unique identity of the plan.
        grounds: What a migration is judged by beside the snapshot.
    """
    subject = find(snapshot, request.uuid)
    if isinstance(subject, Problem):
        return Plan(plan_id, request, "", "", now, _title(request), refusal=subject)
    vm, host = subject.vm, subject.host
    plan = Plan(
        plan_id,
        request,
        vm.name,
        host.name,
        now,
        f"{_title(request)} {vm.name}",
        confirm=confirm_for(request.action, host.spec.protect),
    )
    refusal = (
        protection_problem(host.spec, request.action)
        or request_problem(subject, request, now)
        or _busy_problem(subject, request.action)
    )
    if refusal:
        return replace(plan, refusal=refusal)
    draft = _draft(subject, request, now, grounds)
    plan = replace(plan, title=draft.title, checks=draft.checks, refusal=draft.refusal)
    return plan if draft.refusal else replace(plan, steps=draft.steps, effects=draft.effects)


def _draft(subject: Subject, request: Request, now: float, grounds: Grounds) -> Draft:
    if request.action is Action.DELETE:
        return plan_delete(subject, request, now=now)
    if request.action is Action.MIGRATE:
        return plan_migration(subject, request, now=now, grounds=grounds)
    if request.action is Action.TIER:
        return plan_tier(subject, request, now=now)
    return plan_lifecycle(subject, request)


def _busy_problem(subject: Subject, action: Action) -> Problem | None:
    job = subject.vm.job
    if job is None or action in _BESIDE_A_JOB:
        return None
    return Problem(
        f"a job is running on {subject.vm.name}",
        proof=f"libvirt on {subject.host.name} reports: {job.phase}",
        fix="wait for it, or cancel it first",
        code="busy",
    )


def _title(request: Request) -> str:
    return request.action.value.replace("-", " ").capitalize()
