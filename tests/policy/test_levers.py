"""What is offered while a migration runs, and what a profile pulls by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.policy.levers import Moment, Promise, Settings, behind_mib, next_pull, options
from drivers.model.migration import Lever, Outlook, Pace
from drivers.model.vm import JobProgress

GIB = 1 << 30
MIB = 1 << 20
STUCK = Outlook(Pace.NOT_CONVERGING, "passes do not shrink", 1.4, 2400.0, (20.0, None), 2400.0)
WELL = Outlook(Pace.CONVERGING, "shrinking", 0.4, 900.0, (20.0, 30.0))
ALL = (Lever.BANDWIDTH, Lever.DOWNTIME, Lever.POST_COPY, Lever.PAUSE)


def moment(outlook: Outlook = STUCK, **settings: float | bool) -> Moment:
    return Moment(
        JobProgress(
            "copying memory",
            100.0,
            remaining=2 * GIB,
            rate_bps=0.95 * float(settings.get("bandwidth_mib", 0)) * (1 << 20),
        ),
        outlook,
        Settings(**settings),  # type: ignore[arg-type]
        elapsed_s=60.0,
    )


def test_every_lever_says_what_it_would_do_or_why_it_cannot() -> None:
    found = options(moment(bandwidth_mib=100))
    assert [o.lever for o in found] == list(Lever)
    assert all(bool(o.effect) != bool(o.blocked) for o in found), found
    told = {o.lever: o.effect or o.blocked for o in found}
    assert "from 100 to 200 MiB/s" in told[Lever.BANDWIDTH]
    assert "0.70 instead of 1.40" in told[Lever.BANDWIDTH]
    assert "2400 ms would be needed" in told[Lever.DOWNTIME]
    assert "without auto-converge" in told[Lever.THROTTLE]
    assert "2.4 s" in told[Lever.PAUSE]


def test_post_copy_says_its_risk_plainly() -> None:
    offered = {o.lever: o for o in options(moment(post_copy=True))}[Lever.POST_COPY]
    assert "2 GiB" in offered.effect
    assert "the guest stops" in offered.effect


def test_a_promise_being_kept_pulls_nothing() -> None:
    promise = Promise(600.0, 500.0, ALL)
    assert next_pull(moment(WELL, bandwidth_mib=100), promise) is None


def test_a_late_migration_pulls_even_when_it_converges() -> None:
    promise = Promise(80.0, 500.0, ALL)  # 20 s are left, 30 at worst are needed
    pulled = next_pull(moment(WELL, bandwidth_mib=100), promise)
    assert pulled is not None
    assert pulled.lever is Lever.BANDWIDTH


def test_the_mildest_allowed_lever_comes_first_and_only_those_agreed() -> None:
    at = moment(post_copy=True)  # no cap: bandwidth cannot be raised
    first = next_pull(at, Promise(600.0, 500.0, ALL))
    assert first is not None
    assert first.lever is Lever.DOWNTIME
    assert first.value == 500.0  # not 600: the promise caps it
    raised = moment(post_copy=True, max_downtime_ms=500.0)
    second = next_pull(raised, Promise(600.0, 500.0, ALL))
    assert second is not None
    assert second.lever is Lever.POST_COPY
    assert next_pull(raised, Promise(600.0, 500.0, (Lever.DOWNTIME,))) is None


def test_no_pause_longer_than_promised() -> None:
    at = moment(max_downtime_ms=3000.0)
    assert next_pull(at, Promise(600.0, 500.0, (Lever.PAUSE,))) is None
    pulled = next_pull(at, Promise(600.0, 3000.0, (Lever.PAUSE,)))
    assert pulled is not None
    assert pulled.lever is Lever.PAUSE


def test_one_pull_is_given_time_to_show() -> None:
    at = replace(moment(bandwidth_mib=100), quiet_s=1.0)
    assert next_pull(at, Promise(600.0, 500.0, ALL)) is None
    assert next_pull(replace(at, quiet_s=6.0), Promise(600.0, 500.0, ALL)) is not None


def test_post_copy_is_pulled_once() -> None:
    at = replace(moment(post_copy=True), pulled={Lever.POST_COPY: 1})
    assert next_pull(at, Promise(600.0, 300.0, (Lever.POST_COPY,))) is None


def test_a_cap_that_does_not_hold_it_back_is_not_raised() -> None:
    """The link itself is full: the next lever is due, instead of one doubling after another."""
    at = moment(bandwidth_mib=1000)
    slow = replace(at, progress=replace(at.progress, rate_bps=100.0 * (1 << 20)))
    pulled = next_pull(slow, Promise(600.0, 500.0, ALL))
    assert pulled is not None
    assert pulled.lever is Lever.DOWNTIME


def test_bandwidth_ends_somewhere() -> None:
    at = moment(bandwidth_mib=100_000)
    assert {o.lever: o.blocked for o in options(at)}[Lever.BANDWIDTH]
    assert next_pull(at, Promise(600.0, 300.0, (Lever.BANDWIDTH,))) is None


def test_a_refused_lever_is_passed_over() -> None:
    at = replace(moment(bandwidth_mib=100), refused=frozenset({Lever.BANDWIDTH}))
    pulled = next_pull(at, Promise(600.0, 500.0, ALL))
    assert pulled is not None
    assert pulled.lever is Lever.DOWNTIME


def test_once_switched_to_post_copy_there_is_no_way_back() -> None:
    """Late or not, nothing is pulled, and nobody is offered to cancel."""
    promise = Promise(1.0, 300.0, (Lever.POST_COPY, Lever.CANCEL))
    at = replace(moment(post_copy=True, bandwidth_mib=10), pulled={Lever.POST_COPY: 1})
    assert next_pull(at, promise) is None
    told = {o.lever: o.blocked for o in options(at)}
    assert [lever for lever, why in told.items() if not why] == [Lever.BANDWIDTH]
    assert "no way back" in told[Lever.CANCEL]


def test_a_guest_is_paused_once() -> None:
    at = replace(moment(max_downtime_ms=3000.0), pulled={Lever.PAUSE: 1})
    assert next_pull(at, Promise(600.0, 3000.0, (Lever.PAUSE,))) is None


@pytest.mark.parametrize("pace", [Pace.STARTING, Pace.STALLED])
def test_nothing_is_pulled_on_a_guess(pace: Pace) -> None:
    """A stalled link is not mended by a longer pause; too little is known at the start."""
    at = moment(Outlook(pace, "", eta_s=(1.0, None)), bandwidth_mib=10)
    assert next_pull(at, Promise(600.0, 500.0, ALL)) is None


@pytest.mark.parametrize(
    ("mib_s", "cap"), [(None, 0), (0.5, 0), (1.2, 1), (2.4, 2), (3.0, 2), (100.0, 70), (1000.0, 0)]
)
def test_a_slow_link_keeps_room_for_what_the_guest_asks_for(mib_s: float | None, cap: int) -> None:
    """Whole MiB a second, for libvirt takes no less; a fast link needs no cap."""
    assert behind_mib(None if mib_s is None else mib_s * MIB) == cap
