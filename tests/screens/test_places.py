"""Places asked for faster than their screens come, and under a dialog."""

from __future__ import annotations

import asyncio

import pytest

from console.backend import QuestionAsked
from console.views import Place
from drivers.model.ask import HostKeyQuestion, KeyDecision
from screens.dialogs.host_key import HostKeyDialog
from screens.hosts import HostsScreen
from screens.jobs import JobsScreen
from screens.messages import VmOpened
from screens.vms import VmsScreen
from tests.screens.backend import FakeBackend
from tests.screens.conftest import Running, until
from tests.screens.fleets import make_vm


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13])
async def test_the_last_place_asked_for_is_shown(running: Running, turns: int) -> None:
    """However far the switch to a place has come when the next one is asked for."""
    async with running() as (app, pilot):
        for place in (Place("vm", make_vm(1, "kvm1").uuid), Place("hosts"), Place("jobs")):
            app.go(place)
            for _ in range(turns):
                await asyncio.sleep(0)
        await until(pilot, lambda: isinstance(app.screen, JobsScreen) and not app.keys_wait())
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, HostsScreen))
        await pilot.press("minus")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen))


async def test_a_dialog_is_not_taken_away_by_what_was_asked_for_below(
    running: Running, backend: FakeBackend
) -> None:
    """A click's VM comes a moment after a question: the question stays and is answered."""
    async with running() as (app, pilot):
        question = HostKeyQuestion("q1", "kvm1", "kvm1:22", "ssh-ed25519", "SHA256:abc")
        backend.publish(QuestionAsked(question))
        await until(pilot, lambda: isinstance(app.screen, HostKeyDialog))
        app.post_message(VmOpened(make_vm(1, "kvm1").uuid))
        await until(pilot, lambda: not app.keys_wait())
        assert isinstance(app.screen, HostKeyDialog)
        await pilot.press("escape")
        await until(pilot, lambda: "answer_host_key" in backend.verbs())
        assert ("answer_host_key", ("q1", KeyDecision.REFUSE)) in backend.asked
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, VmsScreen))


@pytest.mark.parametrize("turns", range(10, 19))
async def test_leaving_while_a_screen_comes(running: Running, turns: int) -> None:
    """The parts of a screen that never come are not looked for."""
    async with running() as (app, _pilot):
        app.go(Place("host", "kvm1"))
        for _ in range(turns):
            await asyncio.sleep(0)
    assert app.return_code is None
