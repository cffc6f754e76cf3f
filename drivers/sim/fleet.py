"""A deterministic make-believe fleet of any size, with knobs to break it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from drivers.errors import DriverError
from drivers.model.host import HostSpec
from drivers.model.problem import Problem
from drivers.model.vm import Vm, VmState
from drivers.sim.driver import SimDriver
from drivers.sim.layout import CHURNING, DEAF, furnish
from drivers.sim.world import SimHost, SimVm, World, unreachable


class SimFleet:
    """Hosts and guests that exist only here; the same for the same sizes, seed and clock.

    Every figure is a function of the clock's instant: with a frozen clock two readings are equal.

    Args:
        hosts: Number of hosts; from three on some of them have believable troubles.
        vms: Number of guests, spread over the hosts that are up.
        seed: Another seed, another fleet.
        clock: Seconds since the epoch.
        pace: Factor on simulated delays; 0 makes answers immediate.
    """

    def __init__(
        self,
        hosts: int,
        vms: int,
        seed: int = 1,
        clock: Callable[[], float] = time.time,
        *,
        pace: float = 1.0,
    ) -> None:
        self.world = World(clock, pace)
        furnish(self.world, hosts, vms, seed)

    def specs(self) -> tuple[HostSpec, ...]:
        """The hosts, in order."""
        return tuple(host.spec for host in self.world.hosts.values())

    def driver(self, spec: HostSpec) -> SimDriver:
        """A driver for one of the hosts, obeying ``spec.protect``."""
        return SimDriver(spec, self.world)

    # -- what a test may ask ------------------------------------------------------------------

    def vm(self, uuid: str) -> Vm | None:
        """The guest of that UUID, where it truly is now."""
        found = self._find(uuid)
        return found[1].vm if found else None

    def uuids(self, host: str = "", state: VmState | None = None) -> tuple[str, ...]:
        """UUIDs of one host's (or all) guests, of one state or any."""
        return tuple(
            uuid
            for home in self.world.hosts.values()
            if host in ("", home.name)
            for uuid, guest in home.guests.items()
            if state is None or guest.vm.state is state
        )

    @property
    def deaf(self) -> str:
        """UUID of the guest that ignores a shutdown; empty in a fleet too small to have one."""
        return self._numbered(DEAF)

    @property
    def churning(self) -> str:
        """UUID of the guest whose live migration never converges by itself; may be empty."""
        return self._numbered(CHURNING)

    # -- how a test breaks things -------------------------------------------------------------

    def fail(self, host: str, error: DriverError | None = None) -> None:
        """Switch a host off: its connections are lost and new ones fail with ``error``."""
        self.world.take_down(self._host(host), error or unreachable(host, host))

    def recover(self, host: str) -> None:
        """Bring a failed or hung host back."""
        home = self._host(host)
        home.down, home.hung = None, False

    def cut(self, host: str, *, cut: bool = True) -> None:
        """Let no memory of a guest reach or leave the host, or again."""
        self._host(host).cut = cut

    def hang(self, host: str) -> None:
        """Make a host swallow every request without an answer, until ``recover``."""
        self._host(host).hung = True

    def slow(self, host: str, rtt_ms: float) -> None:
        """Move a host far away."""
        self._host(host).rtt_ms = rtt_ms

    def freeze_vm(self, uuid: str) -> None:
        """Hang a guest's QEMU: its monitor answers no more."""
        if (found := self._find(uuid)) is not None:
            found[1].stuck_since = self.world.clock()

    def thaw_vm(self, uuid: str) -> None:
        """Let a frozen guest go on."""
        if (found := self._find(uuid)) is not None:
            found[1].stuck_since = None

    def crash_vm(self, uuid: str) -> None:
        """Make a guest's QEMU die."""
        if (found := self._find(uuid)) is not None:
            self.world.enter(*found, VmState.CRASHED, "crashed", "crashed", "crashed (panicked)")

    def break_pool(self, host: str, pool: str, problem: Problem | None) -> None:
        """Make a pool's server die (or, with None, come back)."""
        home = self._host(host)
        home.pools[pool] = replace(home.pools[pool], problem=problem)

    def _host(self, name: str) -> SimHost:
        return self.world.hosts[name]

    def _find(self, uuid: str) -> tuple[SimHost, SimVm] | None:
        for host in self.world.hosts.values():
            if (guest := host.guests.get(uuid)) is not None:
                return host, guest
        return None

    def _numbered(self, number: int) -> str:
        name = {DEAF: "legacy01", CHURNING: "ledger01"}[number]
        for host in self.world.hosts.values():
            for uuid, guest in host.guests.items():
                if guest.vm.name == name:
                    return uuid
        return ""
