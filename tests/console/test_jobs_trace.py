"""A job's trace: each step and each call to a host, with times and outcomes, and as OTLP."""

from __future__ import annotations

import re

import pytest

from console.jobs.tracing import Trace
from console.policy.otlp import otlp
from drivers.errors import Failed
from drivers.model.job import Job, JobState
from drivers.model.trace import Span
from store.plain import from_plain, to_plain
from tests.console.jobworld import UUID, Console, web1
from tests.console.test_jobs_audit import finished
from tests.console.test_jobs_survive import LIVE, MANAGED, plan_of, runner


async def run(action: tuple[object, str, object], *, lost: bool = False) -> Job:
    world = web1()
    plan = plan_of(world, action[0], action[1])  # type: ignore[arg-type]
    if lost:
        world.freeze()
        del world.domains["kvm1", UUID]
    world.now += 7  # the person reads the preview
    jobs = runner(Console(world), "me@here:1:1")
    job_id = await jobs.submit(plan)
    await finished(jobs, job_id)
    await jobs.stop()
    return world.journal[job_id]


def test_what_is_done_again_after_a_rest_is_a_span_of_its_own() -> None:
    """The time that nothing was done, as while an operation is paused, is in neither."""
    now = [0.0]
    trace = Trace(lambda: now[0])
    for seconds, rests in ((1.0, False), (2.0, True), (4.0, False)):
        with trace.span("check web1", fold=True):
            now[0] += seconds
        if rests:
            trace.rest()
            now[0] += 3600.0
    first, second = trace.spans
    assert (first.count, first.started_at, first.ended_at) == (2, 0.0, 3.0)
    assert (second.count, second.started_at, second.ended_at) == (1, 3603.0, 3607.0)


async def test_every_step_is_a_span_and_holds_its_calls() -> None:
    job = await run(MANAGED)
    assert job.state is JobState.DONE
    spans = {span.id: span for span in job.trace}
    around = [s.name for s in job.trace if not s.parent]
    assert around[:3] == ["checks", "plan shown and confirmed", "waited for a turn"]
    assert around[3:-1] == [run.step.verb for run in job.steps]
    assert around[-1] == "read the hosts anew"
    moved = next(s for s in job.trace if s.name == "kvm1 virDomainMigrate3")
    assert spans[moved.parent].name == "migrate"
    assert moved.attributes["host"] == "kvm1"
    for span in job.trace:
        assert span.ended_at is not None, span
        if span.parent:
            around = spans[span.parent]
            assert around.started_at <= span.started_at
            assert span.ended_at <= (around.ended_at or 0)


async def test_the_time_a_person_took_is_told_apart() -> None:
    job = await run(MANAGED)
    shown = job.trace[1]
    assert shown.name == "plan shown and confirmed"
    assert shown.busy_s == pytest.approx(7)


async def test_a_figure_asked_for_again_and_again_is_one_span() -> None:
    job = await run(LIVE)
    assert job.state is JobState.DONE
    polled = [s for s in job.trace if s.name == "kvm1 virDomainGetBlockJobInfo"]
    assert max(s.count for s in polled) > 1
    assert len({s.parent for s in polled}) == len(polled)


async def test_what_failed_is_marked_with_its_reason() -> None:
    job = await run(MANAGED, lost=True)
    assert job.state is JobState.FAILED
    broken = [s for s in job.trace if s.error]
    assert broken
    assert job.problem is not None


def test_a_call_that_fails_names_the_problem_on_itself_and_its_step() -> None:
    now = [100.0]
    trace = Trace(lambda: now[0])

    def fail() -> None:
        with trace.span("step"), trace.span("call"):
            now[0] += 2
            raise Failed("the pool is full")

    with pytest.raises(Failed):
        fail()
    assert [(s.name, s.parent, s.error, s.busy_s) for s in trace.spans] == [
        ("step", 0, "the pool is full", 2.0),
        ("call", 1, "the pool is full", 2.0),
    ]


def test_a_trace_stays_small_and_says_what_it_left_out() -> None:
    trace = Trace(lambda: 1.0)
    for number in range(1000):
        with trace.span(f"call {number}"):
            pass
    assert len(trace.spans) == 301
    assert trace.spans[-1].name == "700 more calls, not kept one by one"


async def test_a_trace_survives_the_journal() -> None:
    job = await run(MANAGED)
    assert from_plain(Job, to_plain(job)).trace == job.trace
    assert all(isinstance(span, Span) for span in from_plain(Job, to_plain(job)).trace)


async def test_otlp_has_one_tree_of_known_ids() -> None:
    job = await run(MANAGED)
    request = otlp((job,), "1.2.3")
    (resource,) = request["resourceSpans"]  # type: ignore[misc]
    spans = resource["scopeSpans"][0]["spans"]
    ids = {span["spanId"] for span in spans}
    assert len(ids) == len(spans) == len(job.trace) + 1
    roots = [span for span in spans if "parentSpanId" not in span]
    assert [span["name"] for span in roots] == [job.plan.title]
    for span in spans:
        assert re.fullmatch(r"[0-9a-f]{32}", span["traceId"])
        assert re.fullmatch(r"[0-9a-f]{16}", span["spanId"])
        assert span.get("parentSpanId", roots[0]["spanId"]) in ids
        assert int(roots[0]["startTimeUnixNano"]) <= int(span["startTimeUnixNano"])
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert span["status"]["code"] == 1
    failed = await run(MANAGED, lost=True)
    (resource,) = otlp((failed,), "1.2.3")["resourceSpans"]  # type: ignore[misc]
    assert resource["scopeSpans"][0]["spans"][0]["status"]["code"] == 2
