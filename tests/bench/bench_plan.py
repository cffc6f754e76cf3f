"""How long it takes to plan a drain in a fleet of 100 hosts and 10,000 VMs, and to decide one VM.

The fleet is the simulated one; every VM is held against the same checks as the target list.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from statistics import median, quantiles

from console.merge import Picture, with_fast, with_pools, with_slow
from console.policy.drain.fits import fits_in
from console.policy.drain.layout import Draft, Layout, Wishes, lay_out
from console.policy.drain.plan import plan_drain
from console.policy.drain.rules import limits_of
from console.policy.drain.units import Candidates
from console.policy.preflight.grounds import Rules
from drivers.errors import DriverError
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, Link, LinkState
from drivers.model.operation import Choice, OperationKind, OperationPlan
from drivers.model.vm import Vm
from drivers.sim.fleet import SimFleet
from tests.bench.table import Table, below

PLAN_AIM_MS = 200.0
DECISION_AIM_MS = 5.0


async def _read(hosts: int, vms: int, now: float) -> FleetSnapshot:
    fleet = SimFleet(hosts, vms, clock=lambda: now, pace=0)
    found = []
    for spec in fleet.specs():
        driver = fleet.driver(spec)
        try:
            facts = await driver.connect()
            shown = Host(spec, Link(LinkState.UP, since=now), facts=facts)
            picture = with_slow(Picture(shown), await driver.read_slow())
            picture = with_fast(picture, await driver.read_fast())
            found.append(with_pools(picture, await driver.read_pools(), now).host)
        except DriverError as error:
            found.append(Host(spec, Link(LinkState.DOWN, since=now, problem=error.problem)))
        finally:
            await driver.close()
    return FleetSnapshot(at=now, hosts=tuple(found), simulated=True)


def _times(work: Callable[[], object], rounds: int) -> list[float]:
    """Milliseconds of CPU of each round: planning waits for nothing, so an idle machine takes that.

    What others do on the machine at the same time does not count.
    """
    found = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        found.append((time.process_time() - began) * 1000)
    return found


def _row(name: str, value: float, aim: float) -> None:
    Table().row(name, value, aim=below(aim))


def main() -> None:
    """Print the figures."""
    now = 1_700_000_000.0
    snapshot = asyncio.run(_read(100, 10_000, now))
    host = snapshot.hosts[7].name
    limits = limits_of(Rules())
    first = plan_drain(snapshot, host, fits_in(snapshot, now=now), limits, now=now)
    copying = {s.uuid: Choice.COPY for s in first.stuck if Choice.COPY in s.choices}
    wishes = Wishes(choices=copying)

    def whole() -> OperationPlan:
        return plan_drain(snapshot, host, fits_in(snapshot, now=now), limits, wishes, now=now)

    plan = whole()
    vms = sum(len(h.vms) for h in snapshot.hosts)
    Table().note(
        f"{len(snapshot.hosts)} hosts, {vms} VMs; {host}: {len(plan.moves)} moves, "
        f"{len(plan.stuck)} stuck, {plan.outlook}"
    )
    _row("plan of a drain, median of 9", median(_times(whole, 9)), PLAN_AIM_MS)
    empty = _times(
        lambda: plan_drain(snapshot, host, fits_in(snapshot, now=now), limits, now=now), 5
    )
    _row("plan with choices still open, median of 5", median(empty), PLAN_AIM_MS)
    _row("decision for one VM, p95", _decisions(snapshot, now), DECISION_AIM_MS)


def _decisions(snapshot: FleetSnapshot, now: float) -> float:
    """p95 of choosing a target for one VM out of all hosts, the fleet's room being counted."""
    draft = Draft(snapshot, OperationKind.DRAIN, "", limits_of(Rules()), Wishes(), now)
    fits = fits_in(snapshot, now=now)
    found = []
    chosen = [vm for vm in snapshot.vms() if vm.state.active and vm.monitor_stuck_s is None]
    for vm in chosen[::40]:

        def decide(vm: Vm = vm) -> Layout:
            targets = draft.targets(vm.host)
            bins = {name: draft.bins[name] for name in targets}
            candidates = Candidates(
                {vm.uuid: vm}, "", targets, bins, fits, allowed={}, copying={vm.uuid}
            )
            return lay_out(candidates, [vm], {})

        found += _times(decide, 1)
    return quantiles(found, n=20)[-1]


if __name__ == "__main__":
    main()
