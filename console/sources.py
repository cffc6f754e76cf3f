"""Where the hosts of a session come from: a configured fleet, or a simulated one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from console.policy.bounds import BOUNDS, Bounds
from console.policy.preflight.grounds import NO_RULES, Rules
from drivers.model.host import HostSpec
from drivers.model.upgrade import UpgradeRules
from drivers.open import open_driver
from drivers.protocol import HostDriver, Prompter
from drivers.ssh.desk import Desk

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class FleetSource:
    """The hosts to watch, and how to make a driver for each.

    Attributes:
        name: Shown in the header.
        specs: The hosts, in order.
        make: Makes an unconnected driver.
        simulated: Marked SIMULATED on every screen.
        rules: What hosts may carry and which VMs belong together.
        upgrades: How hosts are upgraded, by name; the empty one is meant without a name.
    """

    name: str
    specs: tuple[HostSpec, ...]
    make: Callable[[HostSpec, Prompter], HostDriver]
    simulated: bool = False
    rules: Rules = NO_RULES
    bounds: Bounds = BOUNDS
    upgrades: Mapping[str, UpgradeRules] = field(default_factory=dict)

    def drivers(self, prompter: Callable[[str], Prompter]) -> dict[str, HostDriver]:
        """An unconnected driver for each host, by host name; ``prompter`` gives each its own."""
        return {spec.name: self.make(spec, prompter(spec.name)) for spec in self.specs}


def real_fleet(
    name: str,
    specs: tuple[HostSpec, ...],
    clock: Clock = time.time,
    rules: Rules = NO_RULES,
    bounds: Bounds = BOUNDS,
    upgrades: Mapping[str, UpgradeRules] | None = None,
) -> FleetSource:
    """Hosts reached through libvirt."""
    desk = Desk()
    return FleetSource(
        name,
        specs,
        lambda spec, ask: open_driver(spec, ask, clock=clock, desk=desk),
        rules=rules,
        bounds=bounds,
        upgrades=upgrades or {},
    )


def simulated_fleet(hosts: int, vms: int, seed: int = 1, clock: Clock = time.time) -> FleetSource:
    """A deterministic make-believe fleet."""
    from drivers.sim.fleet import SimFleet  # a real fleet's first paint does not wait for it

    fleet = SimFleet(hosts, vms, seed, clock)
    return FleetSource(
        "simulated",
        fleet.specs(),
        lambda spec, _ask: fleet.driver(spec),
        simulated=True,
        upgrades={"": UpgradeRules(commands=("apt-get update", "apt-get -y full-upgrade"))},
    )
