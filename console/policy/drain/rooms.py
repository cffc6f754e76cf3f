"""What hosts have left, and who must be kept apart or together.

VMs that carry the same tag ``apart:NAME`` never share a host; those with the same tag
``together:NAME`` move to one and the same host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from drivers.model.host import Host
from drivers.model.operation import Limits
from drivers.model.vm import Vm

_APART, _TOGETHER = "apart:", "together:"

NO_VCPUS = "has too few vCPUs left"
"""How the refusal of a host ends whose CPUs carry as many vCPUs as they may."""


def apart_of(vm: Vm) -> frozenset[str]:
    """Groups whose members must not share a host with this VM."""
    return frozenset(t for t in vm.tags if t.startswith(_APART) and t != _APART)


def together_of(vm: Vm) -> frozenset[str]:
    """Groups whose members must be on this VM's host."""
    return frozenset(t for t in vm.tags if t.startswith(_TOGETHER) and t != _TOGETHER)


@dataclass(frozen=True, slots=True)
class Need:
    """What one VM takes of a host; bytes and vCPUs, and bytes of each pool it copies into."""

    memory: int
    vcpus: int
    apart: frozenset[str] = frozenset()
    pools: tuple[tuple[str, int], ...] = ()


def need_of(vm: Vm, pools: tuple[tuple[str, int], ...] = ()) -> Need:
    """What a VM takes."""
    return Need(vm.memory, vm.vcpus, apart_of(vm), pools)


@dataclass(slots=True)
class Bin:
    """One host's room, counted down while VMs are given to it.

    Attributes:
        memory: Bytes left; None when it is not known, and then nothing is admitted.
        vcpus: vCPUs left; None likewise.
        apart: How many VMs of each ``apart`` group it holds.
        pools: Bytes left in each pool.
        size: Bytes it may give in all; 0 where that is not known.
    """

    name: str
    memory: int | None
    vcpus: int | None
    apart: dict[str, int] = field(default_factory=dict)
    pools: dict[str, int] = field(default_factory=dict)
    size: int = 0

    def refuses(self, need: Need) -> str:
        """Why there is no room for that; empty when there is."""
        if self.memory is None or self.vcpus is None:
            return f"how much room {self.name} has is not known"
        if need.memory > self.memory:
            return f"{self.name} has too little memory"
        if need.vcpus > self.vcpus:
            return f"{self.name} {NO_VCPUS}"
        for group in need.apart:
            if self.apart.get(group):
                return f"{self.name} holds another VM of {group}"
        for pool, size in need.pools:
            if size > self.pools.get(pool, 0):
                return f"pool {pool} of {self.name} is too full"
        return ""

    def take(self, need: Need) -> None:
        """Give it a VM."""
        self._count(need, 1)

    def release(self, need: Need) -> None:
        """Take a VM away; what was copied into a pool stays there."""
        self._count(Need(need.memory, need.vcpus, need.apart), -1)

    def untake(self, need: Need) -> None:
        """As if it had never been given."""
        self._count(need, -1)

    def _count(self, need: Need, sign: int) -> None:
        if self.memory is not None:
            self.memory -= sign * need.memory
        if self.vcpus is not None:
            self.vcpus -= sign * need.vcpus
        for group in need.apart:
            self.apart[group] = self.apart.get(group, 0) + sign
        for pool, size in need.pools:
            self.pools[pool] = self.pools.get(pool, 0) - sign * size

    def copy(self) -> Bin:
        """An independent copy."""
        return Bin(
            self.name, self.memory, self.vcpus, dict(self.apart), dict(self.pools), self.size
        )

    def key(self) -> tuple[object, ...]:
        """Equal for equal room."""
        groups = tuple(sorted(g for g, n in self.apart.items() if n))
        return (self.memory, self.vcpus, groups, tuple(sorted(self.pools.items())))


def totals(host: Host, limits: Limits) -> tuple[int, int]:
    """(bytes, vCPUs) a host may give to guests, overcommit included; 0 is not known."""
    memory = (host.load.memory_total if host.load else None) or (
        host.facts.memory if host.facts else 0
    )
    cpus = host.facts.cpus if host.facts else 0
    usable = max(0, memory - limits.memory_reserve)
    return int(usable * limits.memory_overcommit), int(cpus * limits.vcpu_overcommit)


def given(vms: Iterable[Vm]) -> tuple[int, int]:
    """(bytes, vCPUs) that VMs have been given."""
    memory = vcpus = 0
    for vm in vms:
        memory += vm.memory
        vcpus += vm.vcpus
    return memory, vcpus


def bin_of(host: Host, limits: Limits) -> Bin:
    """What a host has left: the lesser of what was not given away and what is available now.

    With memory overcommitted, what is available now says little, and only promises count.
    """
    memory_total, vcpus_total = totals(host, limits)
    active = [vm for vm in host.vms if vm.state.active]
    memory_given, vcpus_given = given(active)
    memory: int | None = memory_total - memory_given if memory_total else None
    available = host.load.memory_available if host.load else None
    if memory is not None and available is not None and limits.memory_overcommit <= 1:
        memory = min(memory, available - limits.memory_reserve)
    apart: dict[str, int] = {}
    for vm in active:
        if vm.tags:
            for group in apart_of(vm):
                apart[group] = apart.get(group, 0) + 1
    return Bin(
        host.name,
        memory,
        vcpus_total - vcpus_given if vcpus_total else None,
        apart,
        {pool.name: pool.available for pool in host.pools},
        memory_total,
    )


def bins_of(hosts: Iterable[Host], limits: Limits) -> Mapping[str, Bin]:
    """The room of each host by name."""
    return {host.name: bin_of(host, limits) for host in hosts}
