"""Jobs shows operations with their jobs below, and what failed for good in a list of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.errors import Failed
from drivers.model.job import Action, Job, JobState, Plan, Request, Step
from drivers.model.operation import MoveState, Operation, OperationState
from drivers.model.problem import Problem
from drivers.model.trace import Span
from screens import messages as ask
from screens.dialogs.followup import FollowupDialog
from screens.jobs import JobsScreen
from screens.maintenance import MaintenanceScreen
from screens.render.problems import troubles
from screens.render_plan import confirm_word, preview_title
from screens.table import LineTable
from screens.topline import standing
from tests.screens.backend import FakeBackend
from tests.screens.conftest import Running, until
from tests.screens.stage import Stage, shown_text, view
from tests.screens.test_detail import shown_on
from tests.screens.test_maintenance import FakeMaintenance, desk, operation

__all__ = ["desk"]

SIZE = (120, 40)
NOW = view().now


def job(name: str, **fields: object) -> Job:
    plan = Plan(f"plan-{name}", Request(Action.MIGRATE, name, "kvm2"), name, "kvm1", NOW,
                f"Migrate {name}")  # fmt: skip
    made = Job(name, plan, created_at=NOW - 50, started_at=NOW - 50, ended_at=NOW - 40)
    return replace(made, **fields)  # type: ignore[arg-type]


FAILED = job(
    "lost",
    state=JobState.FAILED,
    followup=("retry", "dismiss"),
    problem=Problem("the link broke", "no route to kvm2", "mend it"),
)


def drain(state: OperationState, *, problem: Problem | None = None) -> Operation:
    made = operation(MoveState.DONE, MoveState.BLOCKED, created_at=NOW - 60)
    runs = (replace(made.runs[0], jobs=("web1",)), made.runs[1])
    trace = (Span(1, 0, "leases", NOW - 60, NOW - 59),)
    return replace(made, state=state, runs=runs, problem=problem, trace=trace)


async def test_an_operation_stands_above_its_jobs_and_enter_opens_it() -> None:
    """Its text tells each move and where the time went, its jobs' calls included."""
    calls = (Span(1, 0, "migrate", NOW - 50, NOW - 40, busy_s=10.0),)
    done = job("web1", state=JobState.DONE, trace=calls)
    other = job("other", state=JobState.DONE, created_at=NOW - 5)
    shown = view(jobs=(other, done), operations=(drain(OperationState.RUNNING),))
    app = Stage(JobsScreen(), shown)
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        table = app.screen.query_one("#jobs", LineTable)
        assert [row.key for row in table.rows] == ["op-1", "web1", "other"]
        text = shown_text(app)
        for words in ("Drain kvm1", "  Migrate web1", "blocked", "leases", "Where the time went"):
            assert words in text, words
        await pilot.press("g", "enter")
        await pilot.pause()
        asked = app.asked(ask.ViewRequested)[-1]
        assert isinstance(asked, ask.ViewRequested)
        assert (asked.view, asked.arg) == ("maintenance", "kvm1")


async def test_what_failed_for_good_has_a_list_of_its_own() -> None:
    """e narrows to it; the text holds why, the proof and what was tried before."""
    first = job("first", state=JobState.FAILED, problem=Problem("no answer"),
                created_at=NOW - 500)  # fmt: skip
    options = {"retries": "first"}
    request = replace(FAILED.plan.request, options=options)
    again = replace(FAILED, plan=replace(FAILED.plan, request=request))
    stuck = drain(OperationState.PAUSED, problem=Problem("web3 cannot go on", code="blocked"))
    shown = view(jobs=(again, first, job("fine", state=JobState.DONE)), operations=(stuck,))
    app = Stage(JobsScreen(), shown)
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("e")
        await pilot.pause()
        table = app.screen.query_one("#jobs", LineTable)
        assert [row.key for row in table.rows] == ["lost", "op-1"]
        text = shown_text(app)
        for words in ("Failed for good: 2", "the link broke", "no route to kvm2", "Tried before",
                      "first: no answer"):  # fmt: skip
            assert words in text, words
        await pilot.press("g", "f")
        await pilot.pause()
        assert isinstance(app.screen, FollowupDialog)
        await pilot.press("r")
        await pilot.pause()
        [followup] = app.asked(ask.JobFollowup)
        assert isinstance(followup, ask.JobFollowup)
        assert (followup.job_id, followup.choice) == ("lost", "retry")
        await pilot.press("j", "f")
        await pilot.pause()
        await pilot.press("d")
        await pilot.pause()
        [dismissed] = app.asked(ask.OperationDismissed)
        assert isinstance(dismissed, ask.OperationDismissed)
        assert dismissed.operation_id == "op-1"
        await pilot.press("e")
        await pilot.pause()
        assert len(table.rows) == 4


async def test_an_empty_list_of_failures_names_no_key_for_them() -> None:
    """Only the way back to all jobs."""
    app = Stage(JobsScreen(), view(jobs=(job("fine", state=JobState.DONE),)))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("e")
        await pilot.pause()
        text = shown_text(app)
        assert "Failed for good: 0. e shows all jobs." in text
        assert "nothing failed for good" in text


async def test_an_operation_that_waits_goes_on_where_it_is_steered() -> None:
    stuck = drain(OperationState.PAUSED, problem=Problem("web3 cannot go on", code="blocked"))
    app = Stage(JobsScreen(), view(jobs=(), operations=(stuck,)))
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("f")
        await pilot.pause()
        await pilot.press("r")
        await pilot.pause()
        assert [m.verb.value for m in app.posted if isinstance(m, ask.OperationSteered)] == [
            "resume"
        ]
        assert isinstance(app.asked(ask.ViewRequested)[-1], ask.ViewRequested)


COPY = Step("create-volume", "make an empty volume", "", {"disk": "vda", "old_path": "/a/web1.raw",
                                                        "capacity": str(20 << 30)})  # fmt: skip


def kept(name: str) -> Job:
    """A done job that left the disk it copied."""
    made = job(name, state=JobState.DONE, followup=("finish", "dismiss"))
    return replace(made, plan=replace(made.plan, steps=(COPY,)))


async def test_what_all_jobs_of_an_operation_left_is_finished_with_one_key() -> None:
    """And its jobs are asked for whenever it got on, since another console may have run them."""
    running, ended = drain(OperationState.RUNNING), drain(OperationState.DONE)
    shown = view(jobs=(kept("web1"),), operations=(running,))
    app = Stage(JobsScreen(), shown)
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("g")
        await pilot.pause()
        assert app.screen.check_action("followup", ()) is None
        app.screen.view = replace(shown, operations=(ended,))  # type: ignore[attr-defined]
        await pilot.pause()
        wanted = [m.operation_id for m in app.posted if isinstance(m, ask.JobsWanted)]
        assert wanted == ["op-1", "op-1"]
        text = shown_text(app)
        assert "f: finish" in text
        assert "1 old copy kept on kvm1, 20.0G" in text
        await pilot.press("f")
        await pilot.pause()
        [asked] = app.asked(ask.JobFollowup)
        assert isinstance(asked, ask.JobFollowup)
        assert (asked.job_id, asked.choice) == ("op-1", "finish")


async def test_one_that_failed_and_left_copies_offers_both() -> None:
    app = Stage(
        JobsScreen(), view(jobs=(kept("web1"),), operations=(drain(OperationState.FAILED),))
    )
    async with app.run_test(size=SIZE) as pilot:
        await shown_on(app, pilot)
        await pilot.press("g", "f")
        await pilot.pause()
        assert isinstance(app.screen, FollowupDialog)
        await pilot.press("i")
        await pilot.pause()
        [asked] = app.asked(ask.JobFollowup)
        assert isinstance(asked, ask.JobFollowup)
        assert (asked.job_id, asked.choice) == ("op-1", "finish")


def test_many_plans_that_finish_are_not_told_as_migrations() -> None:
    plan = replace(kept("web1").plan, label="Finish: delete the old copy")
    assert preview_title((plan, plan)) == "finish: 2 VMs"
    assert confirm_word((plan, plan)) == "finish 2"
    plain = replace(plan, label="")
    assert preview_title((plain, plain)) == "migrate: 2 VMs"


async def test_old_copies_are_one_problem_an_operation() -> None:
    """Not one of each job, also while it runs; a job of no operation stays its own."""
    shown = view(jobs=(kept("web1"), kept("other")), operations=(drain(OperationState.DONE),))
    told = [t.text for t in troubles(shown) if t.view == "jobs"]
    assert "drain of kvm1: 1 old copy kept on kvm1, 20.0G: f in Jobs (op-1)" in told
    assert [t for t in told if "more is offered" in t and "web1" in t] == []
    assert [t for t in told if "more is offered" in t and "other" in t]
    (going,) = troubles(
        replace(shown, jobs=(kept("web1"),), operations=(drain(OperationState.RUNNING),))
    )[-1:]
    assert going.text.endswith("20.0G: f in Jobs once it has ended (op-1)")


def test_the_top_line_names_an_operation_that_stands_still() -> None:
    """A drain whose console died waits for a person who may look at any screen."""
    orphaned = Problem("the console that ran it has ended", code="orphaned")
    left = drain(OperationState.PAUSED, problem=orphaned)
    shown = view(jobs=(), operations=(left,))
    assert "drain of kvm1 paused" in standing(shown, "Fleet", 160).plain
    two = replace(shown, operations=(left, drain(OperationState.PAUSED)))
    assert "2 operations paused" in standing(two, "Fleet", 160).plain
    going = replace(shown, operations=(drain(OperationState.RUNNING),))
    assert "paused" not in standing(going, "Fleet", 160).plain


def test_the_top_line_counts_what_failed_for_good() -> None:
    shown = view(jobs=(FAILED, job("fine", state=JobState.DONE)), operations=())
    assert "1 failed for good" in standing(shown, "Jobs", 160).plain
    stuck = drain(OperationState.PAUSED, problem=Problem("web3 cannot go on", code="blocked"))
    both = replace(shown, operations=(stuck,))
    assert "2 failed for good" in standing(both, "Jobs", 160).plain
    assert "failed" not in standing(replace(shown, jobs=()), "Jobs", 160).plain


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("cordon kvm2", ("cordon", "kvm2")),
        ("uncordon kvm2", ("uncordon", "kvm2")),
    ],
)
async def test_cordons_by_command(
    running: Running, desk: FakeMaintenance, line: str, asked: tuple[str, ...]
) -> None:
    async with running() as (_app, pilot):
        await pilot.press("colon", *line, "enter")
        await until(pilot, lambda: asked in desk.asked)


@pytest.mark.parametrize(
    ("line", "asked"), [("drain kvm2", "plan_drain"), ("return kvm2", "plan_back")]
)
async def test_drain_and_return_by_command_open_the_plan(
    running: Running, desk: FakeMaintenance, line: str, asked: str
) -> None:
    async with running() as (app, pilot):
        await pilot.press("colon", *line, "enter")
        await until(pilot, lambda: isinstance(app.screen, MaintenanceScreen))
        assert app.screen.host == "kvm2"
        await until(pilot, lambda: desk.asked != [])
        assert desk.asked[0][0] == asked
        assert "kvm2" in desk.asked[0]


async def test_a_host_that_is_not_there_is_told(
    running: Running, backend: FakeBackend, desk: FakeMaintenance
) -> None:
    desk.fails = Failed("nothing is asked")
    async with running() as (app, pilot):
        await pilot.press("colon", *"drain nowhere", "enter")
        await until(pilot, lambda: len(app._notifications) > 0)
        assert desk.asked == []
