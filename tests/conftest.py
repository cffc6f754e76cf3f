"""The practice fleet that every test marked ``lab`` shares, and the way to leave those out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from drivers.lab.fleet import LabFleet
from drivers.scratch import Scratch
from tests.labs import RunFolder, sweep_leftovers

settings.register_profile(
    "house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")  # the same examples on every machine, however slow it is


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests run by ``-m soak`` alone; NOVACRON_SKIP_LAB=1 leaves out what needs real hosts.

    Without it a missing lab fails. All that shares the practice fleet runs in one process, one
    after the other.
    """
    if "soak" not in config.option.markexpr:
        long = [item for item in items if item.get_closest_marker("soak")]
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=long)
    if os.environ.get("NOVACRON_SKIP_LAB") == "1":
        for item in items:
            if item.get_closest_marker("lab"):
                item.add_marker(pytest.mark.skip(reason="NOVACRON_SKIP_LAB=1"))
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.xdist_group("lab"))


def pytest_sessionfinish() -> None:
    """Leave nothing of the consoles that tests killed: the next that starts removes it."""
    for large in (False, True):
        with Scratch(large=large).passing():
            pass


@pytest.fixture(scope="session")
def run_folder() -> Iterator[RunFolder]:
    """This run's own folder, after those of killed runs were removed with their labs."""
    sweep_leftovers()
    folder = RunFolder()
    yield folder
    folder.close()


@pytest.fixture(scope="session")
def lab_folder(run_folder: RunFolder) -> Callable[[], Path]:
    """Makes short folders on a disk; each is empty again at the end, or the run fails."""
    return run_folder.new


@pytest.fixture(scope="session")
def lab(lab_folder: Callable[[], Path]) -> Iterator[LabFleet]:
    """Three real hosts with a few guests: in namespaces for root, without privileges otherwise."""
    fleet = LabFleet(lab_folder(), hosts=3, guests=3)
    try:
        fleet.up()
        yield fleet
    finally:
        fleet.down()
