"""Fleet lists operations under way with how far they are, above the jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.model.job import Job, JobState
from drivers.model.operation import MoveState, Operation, OperationState, StageRun
from drivers.model.upgrade import Stage as Part
from drivers.model.upgrade import StageVerb
from screens import messages as ask
from screens.fleet import FleetView
from screens.render.operations import operation_count, running_rows
from screens.table import LineTable
from tests.screens.stage import Stage, shown_text, view
from tests.screens.test_detail import shown_on
from tests.screens.test_jobs_operations import job
from tests.screens.test_maintenance import operation

NOW = view().now


def moving(ident: str, done: int, of: int, **fields: object) -> Operation:
    made = operation(MoveState.DONE, MoveState.DONE, created_at=NOW - 60)
    states = [MoveState.DONE] * done + [MoveState.PENDING] * (of - done)
    runs = tuple(replace(made.runs[0], state=state) for state in states)
    return replace(made, id=ident, runs=runs, **fields)  # type: ignore[arg-type]


def upgrade(*states: MoveState) -> Operation:
    """Two stages a host."""
    stages = tuple(
        StageRun(Part(f"s{number}", f"kvm{number // 2}", StageVerb.DRAIN, "drain it"), state)
        for number, state in enumerate(states)
    )
    return replace(moving("up", 0, 0), stages=stages)


@pytest.mark.parametrize(
    ("going", "told"),
    [
        (moving("a", 7, 12), "7 of 12 moved"),
        (moving("a", 1000, 1500), "1000/1500 moved"),
        (moving("a", 0, 0), ""),
        (upgrade(MoveState.DONE, MoveState.DONE, MoveState.DONE, MoveState.PENDING),
         "1 of 2 hosts"),
        (upgrade(MoveState.DONE, MoveState.PENDING), "0 of 1 host"),
    ],
)  # fmt: skip
def test_how_far_it_is_stands_in_numbers(going: Operation, told: str) -> None:
    assert operation_count(going).text == told
    assert len(told) <= 16


def test_operations_come_before_jobs_and_what_ended_does_not_come() -> None:
    jobs: list[Job] = [
        job("j1", state=JobState.RUNNING, ended_at=None),
        job("j2", state=JobState.RUNNING, ended_at=None, created_at=NOW - 5),
        job("j3", state=JobState.DONE),
    ]
    operations = [
        moving("old", 1, 2, state=OperationState.PAUSED, created_at=NOW - 500),
        moving("over", 2, 2, state=OperationState.DONE, ended_at=NOW),
        moving("new", 1, 2, created_at=NOW - 1),
    ]
    keys = [row.key for row in running_rows(jobs, operations, 9)]
    assert keys == ["new", "old", "j2", "j1"]
    assert [row.key for row in running_rows(jobs, operations, 3)] == keys[:3]


@pytest.mark.parametrize("size", [(80, 24), (80, 50), (160, 24), (160, 50)])
async def test_a_drain_stands_in_fleet_with_its_moves_and_opens_where_it_is_steered(
    size: tuple[int, int],
) -> None:
    drain = moving("op-1", 7, 12, state=OperationState.PAUSED)
    one = job("web1", state=JobState.RUNNING, ended_at=None)
    app = Stage(FleetView(), view(jobs=(one,), operations=(drain,)))
    async with app.run_test(size=size) as pilot:
        await shown_on(app, pilot)
        table = app.screen.query_one("#running", LineTable)
        assert [row.key for row in table.rows] == ["op-1", "web1"]
        text = shown_text(app)
        for words in ("Drain kvm1", "paused", "7 of 12 moved", "Migrate web1"):
            assert words in text, words
        table.focus()
        await pilot.press("g", "enter")
        await pilot.press("j", "enter")
        await pilot.pause()
        asked = [(m.view, m.arg) for m in app.asked(ask.ViewRequested)]  # type: ignore[attr-defined]
        assert asked == [("maintenance", "kvm1"), ("jobs", "")]


async def test_few_lines_under_the_hosts_are_for_what_runs_and_none_for_what_does_not() -> None:
    """At 80x24 with three problems: the hosts stay whole, events and busiest VMs go."""
    many = tuple(moving(f"op-{n}", n, 12) for n in range(9))
    app = Stage(FleetView(), view(jobs=(), operations=many))
    async with app.run_test(size=(80, 24)) as pilot:
        await shown_on(app, pilot)
        text = shown_text(app)
        assert text.count("of 12 moved") == 5
        assert "Newest events" not in text
        hosts = app.screen.query_one("#hosts", LineTable)
        assert hosts.size.height >= 3
        assert all(name in text for name in ("kvm1", "kvm2", "kvm3"))
    app = Stage(FleetView(), view(jobs=()))
    async with app.run_test(size=(80, 24)) as pilot:
        await shown_on(app, pilot)
        assert "Running jobs" not in shown_text(app)


async def test_an_operation_alone_is_listed_too() -> None:
    app = Stage(FleetView(), view(jobs=(), operations=(moving("op-1", 7, 12),)))
    async with app.run_test(size=(160, 50)) as pilot:
        await shown_on(app, pilot)
        assert "7 of 12 moved" in shown_text(app)
