"""Ends of lists, leftovers of jobs, secrets in ASCII, and what is not worked out twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.app import App

from drivers.model.fleet import FleetSnapshot
from drivers.model.host import LinkState
from drivers.model.job import JobState
from drivers.model.problem import Problem
from screens.columns import Cell
from screens.dialogs.secret import SecretDialog
from screens.render.problems import troubles
from screens.render.states import states_of, vm_is_stale, vm_state
from screens.render.totals import totals
from screens.storage import StorageScreen
from screens.table import LineTable
from tests.screens.fleets import NOW, make_fleet
from tests.screens.stage import Stage, jobs, shown_text, view
from tests.screens.test_dialogs import CODES


@pytest.mark.parametrize(("plain", "sign"), [(True, "***"), (False, "•••")])
async def test_a_password_is_hidden_by_what_the_terminal_can_show(plain: bool, sign: str) -> None:
    """Stars in ASCII, dots else; never the password."""
    app = Stage(SecretDialog(CODES), replace(view(), ascii=plain))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press(*"xyz")
        await pilot.pause()
        assert sign in shown_text(app)
        assert "xyz" not in shown_text(app)


def test_a_job_that_ended_well_but_left_something_is_noted() -> None:
    """Done, yet more is offered: a note among the problems that leads to the jobs."""
    ended = replace(jobs()[0], state=JobState.DONE, followup=("force-off",), outcome="still on")
    (found,) = [t for t in troubles(replace(view(), jobs=(ended,))) if t.view == "jobs"]
    assert found.rank == 2
    assert "still on; more is offered" in found.text


@pytest.mark.parametrize(("state", "told"), [(LinkState.UP, True), (LinkState.DOWN, False)])
def test_vms_of_a_host_that_is_down_raise_no_alarm_of_their_own(
    state: LinkState, told: bool
) -> None:
    """What they were long ago is no news: the host that cannot be reached is the problem."""
    odd = make_fleet().hosts[1]
    host = replace(odd, link=replace(odd.link, state=state))
    shown = replace(view(), snapshot=FleetSnapshot(NOW, 1, (host,)))
    subjects = {trouble.subject for trouble in troubles(shown)}
    assert ("db-replica" in subjects) is told


async def test_storage_is_indexed_once_for_a_snapshot() -> None:
    """A tick of the clock shows new ages from the same index."""
    screen = StorageScreen()
    app: App[None] = Stage(screen)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        before, shown = screen._usage, screen.view
        screen.view = replace(shown, now=shown.now + 1.0)
        await pilot.pause()
        assert screen._usage is before
        screen.view = replace(shown, snapshot=replace(shown.snapshot, version=99))
        await pilot.pause()
        assert screen._usage is not before
        assert screen.query_one("#pools", LineTable).rows


def test_vms_of_a_dead_host_are_not_shown_as_running() -> None:
    """``~running`` in the stale colour, and the totals count them as unknown, not as running."""
    fleet = make_fleet()
    dead, live = fleet.hosts[3], fleet.hosts[0]
    assert vm_state(dead.vms[0], dead, NOW) == Cell("~running", "stale")
    assert vm_state(live.vms[0], live, NOW) == Cell("running", "vm-running")
    told = totals(replace(view(), snapshot=FleetSnapshot(NOW, 1, (dead,)), now=NOW), 100).plain
    assert "~1 unknown for 1m" in told
    assert "running" not in told


def test_the_counts_agree_with_what_each_vm_shows() -> None:
    """The fleet's totals and the list of VMs judge staleness alike."""
    for host in make_fleet().hosts:
        for now in (NOW, NOW + 10.0, NOW + 60.0):
            stale = sum(vm_is_stale(vm, host, now) for vm in host.vms)
            assert states_of(host, now)[None] == stale


@pytest.mark.parametrize(("due", "told"), [(12.0, "retry in 12s"), (0.4, "trying now"),
                                           (-3.0, "trying now")])  # fmt: skip
def test_a_dead_host_says_when_it_is_tried_again(due: float, told: str) -> None:
    """One sentence: the reason without its full stop, then when; never ``retry in 0s``."""
    host = make_fleet().hosts[3]
    gone = Problem("kvm4 did not answer within 3 s.", "timed out")
    host = replace(host, link=replace(host.link, problem=gone, retry_at=NOW + due))
    shown = replace(view(), snapshot=FleetSnapshot(NOW, 1, (host,)), now=NOW)
    found = next(t for t in troubles(shown) if t.subject == "kvm4")
    assert found.text == f"unreachable: kvm4 did not answer within 3 s, {told} (timed out)"


async def test_the_cursor_of_storage_waits_on_top_until_somebody_moves_it() -> None:
    """Whichever host answers first: the first pool is under the cursor; then it stays put."""
    screen = StorageScreen()
    whole = make_fleet()
    late = replace(whole, hosts=(replace(whole.hosts[0], pools=()), *whole.hosts[1:]))
    app: App[None] = Stage(screen, replace(view(), snapshot=late))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        table = screen.query_one("#pools", LineTable)
        assert str(table.cursor_key).startswith("kvm2/")
        screen.view = replace(screen.view, snapshot=whole)
        await pilot.pause()
        assert table.cursor_key == table.rows[0].key
        assert str(table.cursor_key).startswith("kvm1/")
        screen.view = replace(screen.view, snapshot=late)
        await pilot.press("j")
        here = table.cursor_key
        assert here == table.rows[1].key
        screen.view = replace(screen.view, snapshot=whole)
        await pilot.pause()
        assert table.cursor_key == here
