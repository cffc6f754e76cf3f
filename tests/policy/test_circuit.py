"""A plan to a host whose circuit breaker is open is refused with how that stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.policy.plans import make_plan
from console.policy.subject import host_problem
from drivers.model.host import Link, LinkState
from drivers.model.job import Action, Request
from drivers.model.problem import Problem
from tests.console.jobworld import UUID, web1

DOWN = Link(LinkState.DOWN, problem=Problem("No route to host."), since=0.0)


@pytest.mark.parametrize(
    ("attempts", "retry_in", "told"),
    [
        (1, 2.0, "1 attempt failed, the next comes in 2 s"),
        (7, 54.0, "7 attempts in a row failed, the next comes in 54 s"),
        (1, None, "1 attempt failed, and no more is made until somebody asks for it"),
    ],
)
def test_the_refusal_says_how_the_circuit_stands(
    attempts: int, retry_in: float | None, told: str
) -> None:
    world = web1()
    retry_at = None if retry_in is None else world.now + retry_in
    link = replace(DOWN, attempts=attempts, retry_at=retry_at)
    snapshot = world.snapshot()
    source, target = snapshot.hosts
    for broken in (source, target):
        hosts = tuple(replace(h, link=link) if h is broken else h for h in snapshot.hosts)
        request = Request(Action.MIGRATE, UUID, "kvm2")
        plan = make_plan(replace(snapshot, hosts=hosts), request, now=world.now, plan_id="p")
        assert plan.refusal is not None
        assert plan.steps == ()
        assert told in plan.refusal.proof
        assert "No route to host." in plan.refusal.proof
        assert "a refresh tries it at once" in plan.refusal.fix


def test_a_host_that_answers_is_no_problem() -> None:
    world = web1()
    assert host_problem(world.snapshot().hosts[0], world.now) is None
