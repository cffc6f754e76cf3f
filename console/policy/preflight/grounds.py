"""What a verdict rests on beside the snapshot: configured rules, cordons and gathered readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from console.policy.bounds import SMALL_AT_ONCE
from drivers.model.caps import (
    CpuNeed,
    DirtyRate,
    DomainNeeds,
    GuestFit,
    HostCaps,
    PeerLogin,
    Reach,
)
from drivers.model.job import Check, Verdict
from drivers.model.migration import AS_USUAL, MoveProfile
from drivers.model.problem import Problem

T = TypeVar("T")

TOGETHER = "together"
APART = "apart"

USUAL_VCPUS = 8.0
"""vCPUs a host CPU carries where nothing is configured: most guests idle most of the time."""

USUAL_MEMORY = 1.0
"""Promised memory as a share of what there is where nothing is configured: no more than that."""


@dataclass(frozen=True, slots=True)
class Group:
    """VMs that should share a host, or must not.

    A VM belongs to it by name, UUID or tag; a tag ``together:NAME`` or ``apart:NAME`` of a VM
    makes such a group without any configuration.

    Attributes:
        rule: ``together`` or ``apart``.
        strict: What breaks it is refused; otherwise it is only warned of.
    """

    name: str
    rule: str
    vms: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    strict: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """What the fleet file allows.

    Capacity that is not configured is as usual: a single move beyond it is only warned of, and an
    operation, which chooses targets itself, places nothing beyond it.

    Attributes:
        cpu_overcommit: vCPUs of running VMs a host CPU may carry; None where it is not configured.
        memory_overcommit: Share of a host's memory its running VMs may be promised; None likewise.
        memory_reserve: Bytes of a host that are never given to VMs.
        clock_skew_s: Seconds two hosts' clocks may be apart without a warning.
        link_bps: Bytes a second that a migration gets; None where it is not configured.
        moves_per_host: Moves at a time that leave or enter one host.
        moves_per_link: Moves at a time from one host to one other.
        small_per_host: Moves at a time on one host while the one that begins is of a small guest.
        small_per_link: The same from one host to one other.
        profile: How drains, returns and upgrades migrate, where they are not told.
    """

    cpu_overcommit: float | None = None
    memory_overcommit: float | None = None
    memory_reserve: int = 0
    clock_skew_s: float = 2.0
    link_bps: float | None = None
    moves_per_host: int = 2
    moves_per_link: int = 2
    small_per_host: int = SMALL_AT_ONCE
    small_per_link: int = SMALL_AT_ONCE
    groups: tuple[Group, ...] = ()
    profile: MoveProfile = AS_USUAL

    @property
    def vcpu_share(self) -> float:
        """vCPUs a host CPU may carry, configured or usual: what every planner counts with."""
        return self.cpu_overcommit or USUAL_VCPUS

    @property
    def memory_share(self) -> float:
        """Promised memory as a share of what there is, configured or usual."""
        return self.memory_overcommit or USUAL_MEMORY


NO_RULES = Rules()
"""Nothing is configured."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Bytes a second between two hosts, and where the figure comes from (``3 migrations...``).

    ``at`` is when it was measured, epoch seconds; 0 where it was not.
    """

    bps: float
    source: str
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Readings made for a pre-flight; a missing key was not asked, a Problem is why it failed.

    Attributes:
        needs: VM's UUID to what it needs.
        caps: Host to what it is made of.
        fits: (UUID, host) to what the host's hypervisor says of the VM.
        baselines: (UUID, target) to the CPU that both hosts have, where the VM's own does not fit.
        data: (source, target) to the attempt to reach the target's migration address.
        login: (source, target) to the attempt to open the target's libvirt from the source.
        servers: (host, address, port) to the attempt to reach a network disk's server.
        dirty: UUID to how fast it writes to its memory.
        bandwidth: (source, target) to what was measured between them.
    """

    needs: Mapping[str, DomainNeeds | Problem] = field(default_factory=dict)
    caps: Mapping[str, HostCaps | Problem] = field(default_factory=dict)
    fits: Mapping[tuple[str, str], GuestFit | Problem] = field(default_factory=dict)
    baselines: Mapping[tuple[str, str], CpuNeed | Problem] = field(default_factory=dict)
    data: Mapping[tuple[str, str], Reach | Problem] = field(default_factory=dict)
    login: Mapping[tuple[str, str], PeerLogin | Problem] = field(default_factory=dict)
    servers: Mapping[tuple[str, str, int], Reach | Problem] = field(default_factory=dict)
    dirty: Mapping[str, DirtyRate | Problem] = field(default_factory=dict)
    bandwidth: Mapping[tuple[str, str], Bandwidth] = field(
        default_factory=lambda: MappingProxyType({})
    )


@dataclass(frozen=True, slots=True)
class Grounds:
    """All of it; ``evidence`` None where only the snapshot is judged.

    Attributes:
        cordoned: Hosts that take no VMs, and who said so.
    """

    rules: Rules = NO_RULES
    cordoned: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    evidence: Evidence | None = None


NO_GROUNDS = Grounds()


def untested(name: str, what: str, reading: Problem | None) -> Check:
    """A check that was not made: why the reading failed, or that nobody asked for it."""
    if reading is None:
        return Check(name, Verdict.NOT_TESTED, what, "it was not asked for")
    proof = f"{reading.what}: {reading.proof}" if reading.proof else reading.what
    return Check(name, Verdict.NOT_TESTED, what, proof, reading.fix)


def told(reading: T | Problem | None) -> T | None:
    """The reading itself; None where it failed or was not made."""
    return None if isinstance(reading, Problem) else reading


def failed(reading: object) -> Problem | None:
    """Why the reading failed; None where it did not, or was not made."""
    return reading if isinstance(reading, Problem) else None
