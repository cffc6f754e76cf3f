"""Options of a migration: refused clearly, carried whole, said before."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from console.headless.acts import _migration
from console.headless.arguments import parse
from console.jobs.cockpit import promise_of as promise_in
from console.jobs.cockpit import settings_of
from console.jobs.cockpit import tuning_of as tuning_in
from console.policy.levers import Moment, Settings, next_pull
from console.policy.migration import migration_targets
from console.policy.tuning import (
    option_problem,
    promise_of,
    step_args,
    tuning_checks,
    tuning_of,
    virsh_words,
)
from console.policy.virsh import retry_line
from drivers.model.job import Action, Request
from drivers.model.migration import Lever, Outlook, Pace, Tuning
from drivers.model.vm import JobProgress
from tests.policy.fleet import NOW, UUID, change, fleet, host
from tests.policy.test_plans import plan

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


def test_the_promise_is_said_before() -> None:
    checks = {c.name: c for c in tuning_checks(FULL, "web1")}
    assert "600 s" in checks["promise"].text
    assert "bandwidth, post-copy" in checks["promise"].proof


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"tunnelled": "yes", "mode": "managed"}, "VIR_MIGRATE_PEER2PEER"),
        ({"compression": "zstd"}, "VIR_MIGRATE_PARALLEL"),
        ({"compression": "xbzrle", "compression_level": "3"}, "given: '3'"),
        ({"compression": "mt", "compression_level": "12"}, "given: '12'"),
        ({"at_timeout": "cancel"}, "timeout_s is not set"),
        ({"at_timeout": "post-copy", "timeout_s": "60"}, "post_copy is not yes"),
        ({"at_timeout": "explode", "timeout_s": "60"}, "explode"),
        ({"migrate_uri": "tcp://a b"}, "a b"),
        ({"persist": "maybe"}, "maybe"),
    ],
)
def test_what_does_not_go_together_is_refused_with_libvirts_own_rule(
    options: dict[str, str], word: str
) -> None:
    """Before anything is begun, not by an error in the middle."""
    problem = option_problem(options)
    assert problem is not None
    assert word in problem.proof


def test_every_option_has_its_virsh_words_and_its_retry_flag() -> None:
    """The line to copy asks for exactly the same again."""
    options = {
        "bandwidth_mib": "50", "auto_converge": "yes", "compression": "mt",
        "compression_level": "3", "timeout_s": "90", "at_timeout": "pause", "persist": "no",
        "keep_source": "yes", "carry_on": "yes", "migrate_uri": "tcp://10.0.0.2",
        "levers": "bandwidth,downtime",
    }  # fmt: skip
    assert option_problem(options) is None
    words = virsh_words(options)
    assert words[words.index("--comp-mt-level") + 1] == "3"
    assert words[words.index("--timeout") :] == ["--timeout", "90", "--timeout-suspend"]
    line = shlex.split(retry_line(Request(Action.MIGRATE, "u", "kvm2", options), "web 1"))
    assert line[:3] == ["novacron", "migrate", "web 1"]
    assert _migration(parse(line[1:])) == options


@pytest.mark.parametrize(
    ("action", "options", "told"),
    [
        (Action.DELETE, {"volumes": "/a/x.raw,/b/y", "nvram": "yes"},
         {"with_disk": ["/a/x.raw", "/b/y"], "nvram": True}),
        (Action.SHUTDOWN, {"wait_s": "300"}, {"wait": 300}),
        (Action.TIER, {"disk": "vda", "keep_old": "yes", "bandwidth_mib": "20"},
         {"disk": "vda", "keep_old": True, "bandwidth": 20}),
    ],
)  # fmt: skip
def test_what_else_failed_is_asked_for_as_it_was(
    action: Action, options: dict[str, str], told: dict[str, object]
) -> None:
    target = "cold" if action is Action.TIER else ""
    line = shlex.split(retry_line(Request(action, "u", target, options), "web1"))
    found = vars(parse(line[1:]))
    assert {name: found[name] for name in told} == told


@pytest.mark.parametrize("action", list(Action))
def test_every_action_can_be_asked_for_again_by_its_line(action: Action) -> None:
    target = {Action.MIGRATE: "kvm2", Action.TIER: "cold"}.get(action, "")
    found = parse(shlex.split(retry_line(Request(action, "u", target), "web1"))[1:])
    assert (found.command, found.action, found.vm) == ("act", action.value, ["web1"])


def test_a_time_limit_pulls_its_lever_once_whatever_it_costs() -> None:
    """Even while the migration converges; cancel where nothing else was said."""
    promise = promise_of({"timeout_s": "60"})
    assert promise is not None
    assert (promise.timeout_s, promise.at_timeout) == (60.0, Lever.CANCEL)
    assert promise_in(step_args({"timeout_s": "60"})) == promise
    well = Outlook(Pace.CONVERGING, "well")
    moment = Moment(JobProgress("copying", 0.0), well, Settings(), 59.0)
    assert next_pull(moment, promise) is None
    late = replace(moment, elapsed_s=60.0)
    pulled = next_pull(late, promise)
    assert pulled is not None
    assert pulled.lever is Lever.CANCEL
    assert next_pull(replace(late, pulled={Lever.CANCEL: 1}), promise) is None


def test_an_option_that_a_host_lacks_is_refused_with_the_versions() -> None:
    """And named as lacking for the form to show."""
    made = plan(Action.MIGRATE, target="kvm2", compression="zstd", parallel="2")
    assert made.refusal is not None
    assert "needs libvirt 9.1, kvm1 has 9.0.0" in made.refusal.proof
    (fit,) = migration_targets(fleet(), UUID, now=NOW)
    assert dict(fit.lacking)["zlib"] == "needs libvirt 9.1, kvm1 has 9.0.0"
    assert "parallel" not in dict(fit.lacking)
    newer = replace(host("kvm2").facts, qemu_version="9.1.0", libvirt_version="10.0.0")
    (fit,) = migration_targets(change(fleet(), "kvm2", facts=newer), UUID, now=NOW)
    assert dict(fit.lacking)["mt"] == "QEMU 9.1 gave it up, kvm2 has 9.1.0"
