"""A console killed at every single call of an upgrade, each time followed by a resume."""

from __future__ import annotations

import pytest

from tests.console import test_upgrades_taken_up as short

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@pytest.mark.parametrize("mode", ["kill", "kill-after"])
async def test_a_killed_upgrade_goes_on_and_runs_nothing_twice(mode: str) -> None:
    """See the short run, which takes every ninth call."""
    await short.kill_and_resume(range(1, short.LAST_CALL), mode)
