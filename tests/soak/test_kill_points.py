"""Fifty more consoles killed at random points of a drain, each followed by a resume."""

from __future__ import annotations

import pytest

from drivers.lab.fleet import LabFleet
from tests.lab import test_e2e_drain as short
from tests.lab.e2e_cli import Cli

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(600)]

made = short.made
guests = short.guests
cli = short.cli


@pytest.mark.parametrize("seed", range(10, 60))
def test_a_killed_drain_is_resumed_and_nobody_moves_twice(
    lab: LabFleet, guests: dict[str, str], cli: Cli, seed: int
) -> None:
    """See the short run, which has ten."""
    short.test_a_killed_drain_is_resumed_and_nobody_moves_twice(lab, guests, cli, seed)
