"""``novacron status``: one screenful that tells what wants attention."""

from __future__ import annotations

import json
from dataclasses import replace

from console.headless.overview import as_json, overview
from console.headless.status import Exit
from drivers.model.operation import Cordon
from screens.base import View
from tests.console.test_headless import URI, Run, run
from tests.screens.fleets import NOW, RECORDING, make_fleet
from tests.screens.test_maintenance import MoveState, operation

__all__ = ["run"]

VIEW = View(now=NOW, snapshot=make_fleet(), store=RECORDING)


def test_a_fleet_in_one_screenful() -> None:
    """Counts, hosts that are not up with their reason, alerts, and what is under way."""
    busy = replace(
        VIEW,
        operations=(operation(MoveState.RUNNING, MoveState.PENDING),),
        cordons=(Cordon("kvm1", NOW, "me", "kernel"),),
    )
    lines = list(overview(busy, {"kvm1": "anna at jump1 since 12:00"}))
    assert lines == EXPECTED.splitlines()
    assert len(lines) < 24


def test_programs_are_told_the_same_and_all_of_it() -> None:
    told = as_json(VIEW, {"kvm1": "anna"})
    assert told["leases"] == {"kvm1": "anna"}
    assert sum(told["hosts"].values()) == len(VIEW.snapshot.hosts)  # type: ignore[attr-defined]
    assert told["operations"] == told["jobs"] == told["cordons"] == []
    json.dumps(told)


def test_long_lists_are_cut_and_counted() -> None:
    """A thousand leases do not push the rest off the screen."""
    lines = list(overview(VIEW, {f"kvm{n}": "anna" for n in range(1000)}))
    assert lines[-1].strip() == "and 992 more"


def test_a_simulated_fleet_is_told_as_such(run: Run) -> None:
    """One of its hosts is unreachable, so the status says that something wants attention."""
    status, out, _ = run("status", "--json", "--simulated", "--deadline", "120")
    told = json.loads(out)
    assert status == Exit.FAILED
    assert told["simulated"]
    assert told["hosts"] == {"up": 4, "degraded": 1, "down": 1}
    assert set(told["not_up"]) == {"kvm03", "kvm04"}
    assert any(a["rank"] == "crit" and "unreachable" in a["text"] for a in told["alerts"])


def test_a_fleet_that_is_well_has_status_0(run: Run) -> None:
    """And nothing is recorded of it yet."""
    status, out, _ = run("status", *URI, "--deadline", "120")
    assert status == Exit.OK, out
    assert "alerts     none" in out
    assert "1: 1 running" in out


EXPECTED = """\
sites      dc1: 4 hosts
hosts      4: 1 degraded, 1 down, 2 up
           kvm3 degraded: the /proc reader ended (exit status 1)
           kvm4 down: kvm4 does not answer (connect to 10.0.0.4:22 timed out after 15 s)
VMs        13: 1 crashed, 1 off, 1 paused, 9 running, 1 stale
alerts     5
           CRIT kvm4: unreachable: kvm4 does not answer, retry in 12s (connect to 10.0.0.4:22 timed out after 15 s)
           CRIT db-main: paused by an I/O error on kvm2
           CRIT db-replica: crashed on kvm2 (panicked)
           CRIT stuck: monitor stuck 42s on kvm2
           warn kvm3: degraded: the /proc reader ended (exit status 1)
operations 1
           Drain kvm1 running: 0 of 2 moved, 1 moving, web2 left on kvm1 by choice, safe to reboot: no (op-1)
jobs       none
cordons    1
           kvm1, by me: kernel
leases     1
           kvm1: anna at jump1 since 12:00
"""  # noqa: E501 - as it is printed
