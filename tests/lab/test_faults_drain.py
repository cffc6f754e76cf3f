"""Faults in the middle of a drain of real guests: nobody is lost, doubled or misreported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from drivers.model.operation import OperationState
from tests.lab.faults_drain import (
    check_truth,
    console_over,
    drain,
    leftovers_settled,
    resumed,
    settled,
)
from tests.lab.faults_kinds import FAULTS
from tests.lab.faults_scene import Scene

pytest.importorskip("libvirt")
pytestmark = [pytest.mark.lab, pytest.mark.timeout(280)]

CASES = [
    ("target-libvirtd", "perform"),
    ("source-libvirtd", "perform"),
    ("target-qemu", "perform"),
    ("source-qemu", "perform"),
    ("target-cut", "between"),
    ("full-disk", "before"),
    ("skew", "before"),
]
"""Those that differ most; every fault at every phase is under ``make soak``."""


@pytest.fixture(scope="module")
def scene(lab: LabFleet) -> Iterator[Scene]:
    """Guests on kvm1 that all cases share."""
    found = Scene(lab)
    if lab.mode != "netns":
        pytest.skip("links and clocks can be broken only between hosts in namespaces")
    try:
        found.make()
        yield found
    finally:
        found.mend()
        found.remove()


@pytest.mark.parametrize(("fault", "phase"), CASES)
def test_a_drain_survives(scene: Scene, tmp_path: Path, fault: str, phase: str) -> None:
    """It goes on, or stops with a reason and goes on once all is mended; then all is true."""
    scene.restore()
    kind = FAULTS[fault]
    with console_over(scene, tmp_path) as console:
        ident, target = drain(scene, console, phase, kind.strike)
        settled(scene, console, ident, kind.shown, target)
        operation = resumed(scene, console, ident)
        assert operation.state is OperationState.DONE, operation
        leftovers_settled(console)
        check_truth(scene, console, operation, kind.crashed(scene, phase))
