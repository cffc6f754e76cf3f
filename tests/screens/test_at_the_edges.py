"""Ends of lists, leftovers of jobs, secrets in ASCII, and what is not worked out twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.app import App

from drivers.model.fleet import FleetSnapshot
from drivers.model.host import LinkState
from drivers.model.job import JobState
from screens.dialogs.secret import SecretDialog
from screens.events import EventsScreen
from screens.render.problems import troubles
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


async def test_the_oldest_event_says_where_older_ones_are() -> None:
    """At the end of the list: the command that reads on; above it: since when events are held."""
    app = Stage(EventsScreen())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert "kept since" in shown_text(app)
        assert "Oldest held; more" not in shown_text(app)
        await pilot.press("f", "G")
        await pilot.pause()
        assert "Oldest held; more" in shown_text(app)
        assert "novacron sql" in shown_text(app)


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
