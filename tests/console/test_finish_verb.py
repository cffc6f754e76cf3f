"""``novacron jobs finish`` of a whole operation: one plan a job, one confirmation."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from console.headless.arguments import parse
from console.headless.operations import _steer
from console.headless.status import Exit
from drivers.model.job import Action, Confirm, Job, JobState, Plan, Request
from drivers.model.operation import MoveState, OperationState
from drivers.model.problem import Problem
from tests.console.test_maintenance_verbs import operation
from tests.screens.backend import done


def finishing(*plans: Plan, **options: object) -> tuple[int, list[Plan]]:
    """``jobs finish`` of an operation whose jobs have these plans; the status, and what ran."""
    ran: list[Plan] = []

    def follow(chosen: tuple[Plan, ...], _watch: object) -> tuple[Job, ...]:
        ran.extend(chosen)
        return tuple(Job(plan.id, plan, JobState.DONE) for plan in chosen)

    one = operation(OperationState.DONE, MoveState.DONE)
    maintenance = SimpleNamespace(recorded=lambda: done((one,)))
    engine = SimpleNamespace(maintenance=maintenance, followup=lambda _id, _choice: done(plans))
    session = SimpleNamespace(engine=engine, follow=follow)
    args = parse(["jobs", "finish", "op-1"])
    vars(args).update(options)
    return _steer(args, session), ran  # type: ignore[arg-type]


def test_all_jobs_of_an_operation_are_finished_together(capsys: pytest.CaptureFixture[str]):
    """A plan that cannot run is told and left out; a dry run deletes nothing."""
    made = Plan("p1", Request(Action.MIGRATE, "u1", "kvm2"), "web1", "kvm1", 1.0, "Finish: web1",
                effects=("/a/web1.raw on kvm1 is DELETED",), confirm=Confirm.YES)  # fmt: skip
    other = replace(made, id="p2", vm_name="web2", title="Finish: web2")
    bad = replace(other, id="p3", vm_name="web3", refusal=Problem("web3 is elsewhere"))
    assert finishing(made, other, dry_run=True) == (Exit.OK, [])
    assert "/a/web1.raw on kvm1 is DELETED" in capsys.readouterr().err
    assert finishing(made, other, yes=True) == (Exit.OK, [made, other])
    assert finishing(made, bad, yes=True) == (Exit.FAILED, [made])
    assert "web3 is left alone: web3 is elsewhere" in capsys.readouterr().err
    assert finishing(bad, yes=True) == (Exit.REFUSED, [])
