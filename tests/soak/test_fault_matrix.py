"""Every fault at every phase of a drain of real guests."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.lab import test_faults_drain as short
from tests.lab.faults_kinds import FAULTS, PHASES
from tests.lab.faults_scene import Scene

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(600)]

scene = short.scene

MATRIX = [
    (fault, phase)
    for phase, fault in itertools.product(PHASES, FAULTS)
    if phase != "before" or not fault.endswith("-qemu")  # there is no migration to break yet
]


@pytest.mark.parametrize(("fault", "phase"), MATRIX)
def test_a_drain_survives(scene: Scene, tmp_path: Path, fault: str, phase: str) -> None:
    """See the short run, which has those that differ most."""
    short.test_a_drain_survives(scene, tmp_path, fault, phase)
