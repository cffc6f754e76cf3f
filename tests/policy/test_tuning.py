"""Options of a migration: refused clearly, carried whole, said before."""

from __future__ import annotations

import pytest

from console.jobs.cockpit import promise_of as promise_in
from console.jobs.cockpit import settings_of
from console.jobs.cockpit import tuning_of as tuning_in
from console.policy.tuning import (
    option_problem,
    promise_of,
    step_args,
    tuning_checks,
    tuning_of,
    virsh_words,
)
from drivers.model.job import Verdict
from drivers.model.migration import Lever, Tuning

FULL = {
    "bandwidth_mib": "100",
    "downtime_ms": "500",
    "auto_converge": "yes",
    "post_copy": "yes",
    "compression": "xbzrle",
    "finish_s": "600",
    "levers": "post-copy, bandwidth",
}


def test_what_the_plan_carries_is_what_the_job_reads() -> None:
    args = {"bandwidth_mib": FULL["bandwidth_mib"], **step_args(FULL)}
    assert tuning_in(args) == tuning_of(FULL) == Tuning(500.0, True, True, "xbzrle", 0, False)
    assert promise_in(args) == promise_of(FULL)
    settings = settings_of(args)
    assert (settings.bandwidth_mib, settings.max_downtime_ms) == (100, 500.0)
    assert settings.post_copy


def test_levers_are_pulled_mildest_first_whatever_order_was_given() -> None:
    promise = promise_of(FULL)
    assert promise is not None
    assert promise.levers == (Lever.BANDWIDTH, Lever.POST_COPY)
    assert (promise.finish_s, promise.max_downtime_ms) == (600.0, 500.0)


def test_nothing_asked_is_nothing_changed() -> None:
    assert option_problem({}) is None
    assert tuning_of({}) == Tuning()
    assert promise_of({"finish_s": "60"}) is None  # a promise needs a lever to keep it with
    assert virsh_words({}) == []
    assert tuning_checks({}, "web1") == ()
    assert promise_in(step_args({})) is None


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"auto_converge": "maybe"}, "auto_converge"),
        ({"downtime_ms": "-1"}, "downtime_ms"),
        ({"downtime_ms": "1e3"}, "downtime_ms"),
        ({"parallel": "٣"}, "parallel"),
        ({"finish_s": "9" * 30}, "finish_s"),
        ({"compression": "rar"}, "compression"),
        ({"levers": "bandwidth,prayer"}, "levers"),
        ({"levers": "post-copy"}, "post-copy"),
        ({"levers": "cancel"}, "cancel"),
        ({"parallel": "4", "tunnelled": "yes"}, "tunnel"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: dict[str, str], word: str) -> None:
    problem = option_problem(options)
    assert problem is not None
    assert word in problem.what
    assert problem.proof


def test_virsh_says_the_same() -> None:
    words = virsh_words({**FULL, "parallel": "4"})
    assert words == [
        "--auto-converge", "--postcopy", "--compressed", "--comp-methods", "xbzrle",
        "--parallel", "--parallel-connections", "4",
    ]  # fmt: skip


def test_the_risk_of_post_copy_is_said_before() -> None:
    checks = {c.name: c for c in tuning_checks(FULL, "web1")}
    assert checks["post-copy"].verdict is Verdict.WARN
    assert "web1 stops" in checks["post-copy"].text
    assert "600 s" in checks["promise"].text
    assert "bandwidth, post-copy" in checks["promise"].proof
