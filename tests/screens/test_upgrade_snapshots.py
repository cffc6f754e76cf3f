"""How an upgrade looks before and while it runs, in the smallest and in a large terminal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from console.app import NovaCronApp
from console.appsettings import AppSettings
from console.backend import News, OperationsReady
from drivers.model.operation import Choice, MoveState, OperationState
from drivers.model.problem import Problem
from tests.screens.backend import FakeBackend
from tests.screens.fleets import NOW
from tests.screens.test_app_snapshots import SIZES, Compare, after, utc
from tests.screens.test_upgrade import LOCAL, FakeMaintenance, operation

__all__ = ["utc"]

PLAN = ("2", "g", "space", "j", "space", "w")
PROGRESS = ("colon", *"upgrade", "enter")


class Planning(FakeMaintenance):
    """Every choice is made already."""

    def plan_upgrade(self, hosts: list[str], name: str, choices: dict):
        return super().plan_upgrade(hosts, name, {LOCAL.uuid: Choice.LEAVE})


class Telling(FakeBackend):
    """Knows of one upgrade that has stopped."""

    def start(self, publish: Callable[[News], None]) -> None:
        super().start(publish)
        problem = Problem(
            "kvm2 cannot go on at command: exit status 100: E: no",
            "kvm2 failed at command",
            "mend that, then resume",
        )
        done = [MoveState.DONE] * 6
        states = (*done, MoveState.FAILED)
        one = operation(*states, state=OperationState.PAUSED, problem=problem)
        publish(OperationsReady((one,), ()))


def console(*, stopped: bool) -> NovaCronApp:
    backend = Telling() if stopped else FakeBackend()
    backend.maintenance = Planning()  # type: ignore[attr-defined]
    return NovaCronApp(backend, settings=AppSettings(fleet="prod"), clock=lambda: NOW)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
def test_a_plan(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Hosts in order, what is run, N+1, and the low point of capacity."""
    assert snap_compare(console(stopped=False), terminal_size=size, run_before=after(PLAN))


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
def test_one_that_stopped(snap_compare: Compare, size: tuple[int, int]) -> None:
    """What failed on top, why, what can be done, and the last words of its command."""
    assert snap_compare(console(stopped=True), terminal_size=size, run_before=after(PROGRESS))
