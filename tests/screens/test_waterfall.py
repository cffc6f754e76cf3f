"""Where a job's time went, as bars."""

from __future__ import annotations

from dataclasses import replace

from drivers.model.job import Action, Job, JobState, Plan, Request
from drivers.model.trace import Span
from screens.jobs import JobsScreen
from screens.prose import wrap
from screens.reading import Reading
from screens.render.waterfall import waterfall
from tests.screens.conftest import until
from tests.screens.stage import Stage, jobs, shown_text, view

SPANS = (
    Span(1, 0, "plan shown and confirmed", 90.0, 100.0),
    Span(2, 0, "precheck", 100.0, 102.0),
    Span(3, 2, "kvm1 virConnectGetAllDomainStats", 100.5, 101.0, count=12),
    Span(4, 0, "migrate", 102.0, 120.0, error="the pool is full [/]"),
)


def job(*spans: Span, ended: float | None = 120.0) -> Job:
    request = Request(Action.MIGRATE, "u1", "kvm2")
    plan = Plan("p1", request, "web1", "kvm1", 90.0)
    state = JobState.RUNNING if ended is None else JobState.FAILED
    return Job("j1", plan, state, started_at=100.0, ended_at=ended, trace=spans)


def drawn(which: Job, *, now: float = 120.0, plain: bool = True) -> list[str]:
    return [line.plain for line in wrap(waterfall(which, now, cells=20, plain=plain), 76)]


def test_bars_lie_where_their_time_lies_and_calls_under_their_step() -> None:
    assert [line.rstrip() for line in drawn(job(*SPANS))] == [
        "Where the time went",
        "  plan shown and confirmed               10s",
        "  precheck                              2.0s ==",
        "    kvm1 virConnectGetAllDomainS x12   500ms =",
        "  migrate                                18s   ==================",
        "    the pool is full [/]",
    ]


def test_what_still_runs_reaches_to_now() -> None:
    lines = drawn(job(Span(1, 0, "migrate", 110.0), ended=None), now=120.0)
    assert lines[1].endswith(" " * 10 + "=" * 10)


def test_no_line_is_wider_than_the_narrowest_screen() -> None:
    assert all(len(line) <= 76 for line in drawn(job(*SPANS), plain=False))


def test_without_a_trace_nothing_is_shown() -> None:
    assert drawn(job()) == []


async def test_a_job_is_read_by_the_keys_of_a_list() -> None:
    """``d`` gives the text the keys: j and k by lines, G to its end with the waterfall, g back."""
    app = Stage(JobsScreen(), replace(view(), jobs=(replace(jobs()[1], trace=SPANS),)))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("d")
        await pilot.pause()
        text = app.screen.query_one("#text", Reading)
        await until(pilot, lambda: text.has_focus and text.max_scroll_y > 0)
        await pilot.press("j", "j", "k")
        await until(pilot, lambda: text.scroll_y == 1)
        await pilot.press("G")
        await until(pilot, lambda: text.scroll_y == text.max_scroll_y)
        assert "Where the time went" in shown_text(app)
        await pilot.press("g")
        await until(pilot, lambda: text.scroll_y == 0)
