"""A fleet as most fleets are: most guests idle, a few at work, all drifting slowly.

Seven guests in ten only tick: a timer's worth of CPU, a journal flush now and then, a few ARP
broadcasts. Two work a little around a level of their own. One is as busy as the noisy ones, whose
every figure is independent noise. Memory creeps, and no guest loses CPU to others.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from drivers.model.host import Host
from drivers.model.vm import Vm, VmDisk, VmNic
from tests.store.fleet import make_host, make_vm, noisy_fleet

_MIB = 1 << 20


@dataclass(slots=True)
class _Guest:
    """Where a guest's figures stand between two samples."""

    kind: str
    cpu: float
    used: int
    rss: int
    rx: float


class CalmFleet:
    """Makes one sample of every guest after another.

    Args:
        hosts: Number of hosts.
        vms: Guests of each.
        seed: Another seed, another fleet.
    """

    def __init__(self, hosts: int, vms: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._shape = hosts, vms
        self._guests = [self._new(n) for n in range(hosts * vms)]

    def next(self, at: float) -> tuple[Host, ...]:
        """The whole fleet at a moment."""
        hosts, vms = self._shape
        noisy = noisy_fleet(hosts, vms, at, self._chance)
        return tuple(
            make_host(
                f"kvm{h}", at, tuple(self._vm(h * vms + v, noisy[h].vms[v]) for v in range(vms))
            )
            for h in range(hosts)
        )

    def _new(self, number: int) -> _Guest:
        chance = self._chance
        kind = "busy" if number % 10 == 0 else "light" if number % 10 < 3 else "idle"
        level = chance.uniform(0.2, 1.5) if kind == "idle" else chance.uniform(3, 25)
        return _Guest(kind, level, chance.randrange(200, 900), chance.randrange(900, 2000), 400.0)

    def _vm(self, number: int, noisy: Vm) -> Vm:
        guest, chance = self._guests[number], self._chance
        if guest.kind == "busy":
            return noisy
        if chance.random() < 0.05:
            guest.used = max(100, guest.used + chance.choice((-1, 1)))
        if chance.random() < 0.02:
            guest.rss += 1
        light = guest.kind == "light"
        cpu = max(0.0, chance.gauss(guest.cpu, 0.15 * guest.cpu if light else 0.1))
        writes = chance.random() < (0.6 if light else 0.08)
        iops = chance.lognormvariate(1, 0.5) if writes else 0.0
        disk = VmDisk(
            "vda",
            read_iops=0.0,
            write_iops=iops,
            write_ms=chance.lognormvariate(0, 0.3) if writes else None,
        )
        rate = chance.lognormvariate(6, 0.4) * (20 if light else 1)
        quiet = not light and chance.random() < 0.5
        nic = VmNic("vnet0", rx_bps=0.0 if quiet else rate, tx_bps=rate / 2 if light else 0.0)
        vm = make_vm(number, noisy.host, noisy.fast_at)
        return replace(
            vm, cpu_pct=cpu, steal_pct=0.0, delay_pct=0.0, memory_used=guest.used * _MIB,
            rss=guest.rss * _MIB, read_bps=0.0, write_bps=iops * 6000, disks=(disk,), nics=(nic,),
        )  # fmt: skip


def fresh(hosts: Sequence[Host], at: float) -> tuple[Host, ...]:
    """The same figures as of another moment, such as one at which they never become stale."""
    return tuple(
        replace(
            host,
            fast_at=at,
            slow_at=at,
            vms=tuple(replace(vm, fast_at=at, slow_at=at) for vm in host.vms),
        )
        for host in hosts
    )
