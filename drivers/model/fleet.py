"""The whole fleet at one moment, as one frozen value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drivers.model.host import Host, LinkState
from drivers.model.vm import Vm

STARVED_S = 1.0
"""Seconds of delay from which a console is called overloaded: hosts are given only a few."""


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """Every host and VM as known at ``at``; ``version`` grows by one with each change.

    ``late_s`` is by how many seconds the console itself ran late: added up over ten seconds, and at
    most in the last minute and a half.
    """

    at: float = 0.0
    version: int = 0
    hosts: tuple[Host, ...] = ()
    simulated: bool = False
    late_s: float = 0.0

    def host(self, name: str) -> Host | None:
        """The host of that name, or None."""
        return next((h for h in self.hosts if h.name == name), None)

    def vms(self) -> Iterator[Vm]:
        """All VMs of all hosts, in host order."""
        for host in self.hosts:
            yield from host.vms

    def vm(self, uuid: str) -> Vm | None:
        """The VM of that UUID, preferring the copy that runs; None when no host has it."""
        found: Vm | None = None
        for vm in self.vms():
            if vm.uuid == uuid and (found is None or (vm.state.active and not found.state.active)):
                found = vm
        return found

    @property
    def all_down(self) -> bool:
        """True when every host failed at once: then something here is the first suspect."""
        return len(self.hosts) > 1 and all(h.link.state is LinkState.DOWN for h in self.hosts)

    @property
    def starved(self) -> bool:
        """True when the console ran so late that answers of hosts may have waited for it."""
        return self.late_s >= STARVED_S


def stale_after(interval_s: float) -> float:
    """Age in seconds beyond which a value read every ``interval_s`` seconds is stale."""
    return max(3.0 * interval_s, interval_s + 5.0)
