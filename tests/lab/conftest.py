"""Fresh guests on the practice fleet that all tests share, and the fleet whole again."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator

import pytest

from drivers.lab.fleet import LabFleet
from drivers.lab.model import GuestSpec


@pytest.fixture(autouse=True)
def _store_serves(request: pytest.FixtureRequest) -> None:
    """A disk server that ended in an earlier test is told of, and fails no other test."""
    if "lab" in request.fixturenames:
        ended = request.getfixturevalue("lab").store.restore()
        if ended:
            warnings.warn(f"the disk servers of {sorted(ended)} had ended", stacklevel=1)


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
