"""A VM whose post-copy migration broke: no screen calls either half running or paused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.model.fleet import FleetSnapshot
from drivers.model.vm import JobProgress, VmState
from screens.columns import Cell
from screens.render.problems import troubles
from screens.render.states import vm_state
from screens.render.vms import VmItem, vm_troubled
from screens.render_vm import head_text
from tests.screens.fleets import NOW, make_fleet
from tests.screens.stage import view

FETCHING = JobProgress("fetching memory after the switch", NOW)


@pytest.mark.parametrize("job", [None, FETCHING], ids=["no job", "libvirt's job"])
@pytest.mark.parametrize("state", [VmState.RUNNING, VmState.PAUSED], ids=["target", "source"])
def test_each_half_is_told_as_one(state: VmState, job: JobProgress | None) -> None:
    """In the list, on its own page, among the problems, and when only problems are shown."""
    host = make_fleet().hosts[0]
    half = replace(host.vms[0], state=state, reason="post-copy failed", job=job)
    host = replace(host, vms=(half,))
    assert vm_state(half, host, NOW) == Cell("!split", "bad", bold=True)
    assert vm_troubled(VmItem(half, host), NOW)
    assert "!split (post-copy failed)" in head_text(half, host, NOW).plain
    shown = replace(view(), snapshot=FleetSnapshot(NOW, 1, (host,)))
    (trouble,) = [t for t in troubles(shown) if t.vm == half.uuid]
    assert f"{host.name} has a part of its memory; see Jobs" in trouble.text
