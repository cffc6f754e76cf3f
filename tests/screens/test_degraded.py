"""What works less than it should is named in the top line, and in full among the problems."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.model.fleet import FleetSnapshot
from drivers.model.history import StoreStatus
from drivers.model.host import Host, HostSpec, Link, LinkState
from drivers.model.job import Action, Job, JobState, Plan, Request
from screens.base import View
from screens.render.degraded import degraded
from screens.render.problems import troubles
from screens.topline import standing

GOOD = StoreStatus("writer")


def fleet(*states: LinkState) -> FleetSnapshot:
    hosts = [Host(HostSpec(f"kvm{n}", ""), Link(s)) for n, s in enumerate(states, 1)]
    return FleetSnapshot(0.0, 1, tuple(hosts))


UP, DOWN = LinkState.UP, LinkState.DOWN


@pytest.mark.parametrize(
    ("states", "store", "told"),
    [
        ((UP, UP), GOOD, ""),
        ((UP, UP), replace(GOOD, paused="disk full"), "DEGRADED: not recording: disk full"),
        ((UP, UP), replace(GOOD, role="reader", read_only=True),
         "DEGRADED: read-only: the history is another user's"),
        ((UP, DOWN), GOOD, "DEGRADED: kvm2 unreachable"),
        ((UP, DOWN, DOWN), GOOD, "DEGRADED: 2 hosts unreachable"),
        ((UP, LinkState.DECISION), GOOD, "DEGRADED: kvm2 waiting for a decision"),
        ((UP, LinkState.DEGRADED), GOOD, "DEGRADED: kvm2 answering in part"),
        ((UP, UP), replace(GOOD, dropped=1), "DEGRADED: 1 sample not recorded"),
        ((UP, DOWN, LinkState.DEGRADED), replace(GOOD, paused="disk full"),
         "DEGRADED: not recording: disk full +2"),
    ],
)  # fmt: skip
def test_the_top_line_names_the_worst(
    states: tuple[LinkState, ...], store: StoreStatus, told: str
) -> None:
    view = View(snapshot=fleet(*states), store=store, fleet="lab")
    line = standing(view, "Hosts", 160).plain
    assert (told in line) if told else ("DEGRADED" not in line)
    assert bool(degraded(view.snapshot, store)) is bool(told)


def test_all_hosts_down_is_said_once() -> None:
    view = View(snapshot=fleet(DOWN, DOWN), store=GOOD)
    line = standing(view, "Hosts", 160).plain
    assert "suspect the local network" in line
    assert "DEGRADED" not in line


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (80, "all hosts down: this console ran 3.4 s late"),
        (160, "this console or its machine is overloaded (it ran 3.4 s late)"),
    ],
)
def test_an_overloaded_console_suspects_itself(width: int, told: str) -> None:
    """With the figure: hosts are not to blame for answers that waited here."""
    snapshot = replace(fleet(DOWN, DOWN), late_s=3.4, simulated=True)
    view = View(snapshot=snapshot, store=GOOD, fleet="a fleet of a long name")
    line = standing(view, "Hosts", width).plain
    assert told in line
    assert "network" not in line
    first = troubles(view)[0]
    assert (first.rank, first.subject) == (0, "console")
    assert "3.4 s late" in first.text


def test_a_console_that_was_late_for_a_moment_suspects_the_network() -> None:
    view = View(snapshot=replace(fleet(DOWN, DOWN), late_s=0.6), store=GOOD)
    assert "suspect the local network" in standing(view, "Hosts", 160).plain
    assert {trouble.subject for trouble in troubles(view)} == {"kvm1", "kvm2", "network"}


def test_a_narrow_top_line_keeps_the_hosts_and_what_is_missing() -> None:
    store = replace(GOOD, paused="disk full")
    view = View(snapshot=fleet(UP, UP), store=store, fleet="a fleet of a very long name")
    line = standing(view, "Hosts", 60).plain
    assert "hosts 2/2 up" in line
    assert "DEGRADED: not recording: disk full" in line


@pytest.mark.parametrize("paused", ["", "disk full"])
def test_in_80_columns_the_worst_stays_beside_running_jobs(paused: str) -> None:
    """What is missing and what failed for good give way to no name, heading or running job."""
    plan = Plan("p", Request(Action.START, "u"), "web1", "kvm1", 0.0)
    busy = [Job(f"j{n}", plan, JobState.RUNNING, ()) for n in range(12)]
    dead = Job("d", plan, JobState.FAILED, (), ended_at=1.0, followup=("retry", "dismiss"))
    states = (UP, DOWN, DOWN, LinkState.DEGRADED)
    view = View(
        snapshot=replace(fleet(*states), simulated=True),
        store=replace(GOOD, paused=paused),
        jobs=(*busy, dead),
        fleet="a fleet of a long name",
    )
    line = standing(view, "Maintenance", 80 - 9).plain
    assert len(line) <= 80 - 9
    for words in ("SIMULATED", "hosts 1/4 up 2 down", "DEGRADED", "1 failed for good"):
        assert words in line


def test_the_problems_tell_all_of_it() -> None:
    store = replace(GOOD, paused="disk full", read_only=True, dropped=3)
    told = " ".join(t.text for t in troubles(View(snapshot=fleet(UP, DOWN), store=store)))
    for words in ("not recording: disk full", "read-only", "3 samples lost", "unreachable"):
        assert words in told
