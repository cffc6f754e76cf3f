"""One practice fleet for the whole test run, and fresh guests on it."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from drivers.lab.model import GuestSpec

_PLACE = Path("/var/tmp")  # on a disk, and short enough for the sockets inside


@pytest.fixture(scope="session")
def lab_folder() -> Iterator[Callable[[], Path]]:
    """Makes short folders on a disk; each is empty again, or the run fails."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="nvt", dir=_PLACE)))
        return made[-1]

    yield make
    for folder in made:
        LabFleet(folder).down()
        folder.rmdir()


@pytest.fixture(scope="session")
def lab(lab_folder: Callable[[], Path]) -> Iterator[LabFleet]:
    """Three real hosts with a few guests: in namespaces for root, without privileges otherwise."""
    if os.environ.get("NOVACRON_SKIP_LAB") == "1":
        pytest.skip("NOVACRON_SKIP_LAB=1")
    fleet = LabFleet(lab_folder(), hosts=3, guests=3)
    try:
        fleet.up()
        yield fleet
    finally:
        fleet.down()


@pytest.fixture
def fresh_guest(lab: LabFleet) -> Iterator[Callable[..., GuestSpec]]:
    """Makes guests with a fast counter and removes them after the test.

    ``fresh_guest(on="kvm2", start=False, shared=True)``: keywords are those of GuestSpec.
    """
    numbers = itertools.count(1)
    made: list[str] = []

    def make(*, on: str = "kvm1", start: bool = True, **values: object) -> GuestSpec:
        defaults = {"name": f"fresh{next(numbers)}", "write_counter": True, "counter_ms": 100}
        spec = GuestSpec(**{**defaults, **values})  # type: ignore[arg-type]
        made.append(spec.name)
        lab.define_guest(spec, on=on, start=start)
        return spec

    yield make
    for name in made:
        lab.remove_guest(name)


@pytest.fixture
def mended(lab: LabFleet) -> Iterator[LabFleet]:
    """The fleet for tests that break it: links, daemons and sshd options are whole afterwards."""
    yield lab
    for host in lab.hosts:
        if host.cable is not None:
            host.link_up()
        if host.sshd_options:
            host.reconfigure_sshd({})
        host.sshd_start()
        host.libvirtd_start()
