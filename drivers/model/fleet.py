"""The whole fleet at one moment, as one frozen value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drivers.model.host import Host, LinkState
from drivers.model.vm import Vm


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """Every host and VM as known at ``at``; ``version`` grows by one with each change."""

    at: float = 0.0
    version: int = 0
    hosts: tuple[Host, ...] = ()
    simulated: bool = False

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
        """True when every host failed at once: then the local network is the first suspect."""
        return len(self.hosts) > 1 and all(h.link.state is LinkState.DOWN for h in self.hosts)


def stale_after(interval_s: float) -> float:
    """Age in seconds beyond which a value read every ``interval_s`` seconds is stale."""
    return max(3.0 * interval_s, interval_s + 5.0)
