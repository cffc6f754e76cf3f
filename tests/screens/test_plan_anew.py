"""A plan that is old, or could not be made, is made anew by a key that the footer tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.errors import Refused
from drivers.model.operation import Choice, Operation, OperationKind, OperationState
from screens.maintenance import MaintenanceScreen
from tests.screens.backend import FakeBackend
from tests.screens.conftest import Running, until
from tests.screens.fleets import NOW
from tests.screens.test_app import shown
from tests.screens.test_maintenance import LOCAL, FakeMaintenance, to_maintenance

KEY = "n Plan anew"


@pytest.fixture
def desk(backend: FakeBackend) -> FakeMaintenance:
    backend.maintenance = FakeMaintenance()  # type: ignore[attr-defined]
    return backend.maintenance  # type: ignore[attr-defined, no-any-return]


def planned(desk: FakeMaintenance) -> list[tuple[object, ...]]:
    return [asked for asked in desk.asked if asked[0] in ("plan_drain", "plan_upgrade")]


async def test_an_old_plan_is_made_anew_with_its_choices(
    running: Running, desk: FakeMaintenance
) -> None:
    """Not while it is young: then the key is not told and does nothing."""
    async with running() as (app, pilot):
        screen = await to_maintenance(app, pilot)
        screen._choices[LOCAL.uuid] = Choice.LEAVE
        screen.plan = replace(screen.plan, made_at=NOW - 5)
        await until(pilot, lambda: KEY not in shown(app))
        await pilot.press("n")
        assert len(planned(desk)) == 1
        screen.plan = replace(screen.plan, made_at=NOW - 125)
        await until(pilot, lambda: KEY in shown(app))
        await pilot.press("n")
        await until(pilot, lambda: len(planned(desk)) == 2)
        assert planned(desk)[-1][2] == {LOCAL.uuid: Choice.LEAVE}


async def test_a_plan_that_could_not_be_made_is_tried_again(
    running: Running, desk: FakeMaintenance
) -> None:
    """Without leaving the screen."""
    desk.fails = Refused("kvm1 was not read yet", "no reading", "wait a moment")
    async with running() as (app, pilot):
        screen = await to_maintenance(app, pilot)
        await until(pilot, lambda: KEY in shown(app))
        desk.fails = None
        await pilot.press("n")
        await until(pilot, lambda: screen.plan is not None)


def test_nothing_is_planned_while_an_operation_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is shown then is its progress."""
    screen = MaintenanceScreen("kvm1")
    plan = replace(FakeMaintenance().plan_drain("kvm1", {}, {}).result(), kind=OperationKind.DRAIN)
    running = Operation("op-1", plan, OperationState.RUNNING)
    monkeypatch.setattr(MaintenanceScreen, "operation", property(lambda _self: running))
    screen.set_reactive(MaintenanceScreen.plan, replace(plan, made_at=NOW - 600))
    assert not screen.wants_planning
