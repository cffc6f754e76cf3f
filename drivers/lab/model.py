"""What a practice fleet is made of and how it stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

TIERS = ("hot", "warm", "cold")
"""Names of the three dir pools each host has."""

TINY_POOL = "tiny"
"""A small pool on a tmpfs, on hosts in namespaces: full after a few MiB."""


class Mode(StrEnum):
    """How the hosts are kept apart: an ordinary user's processes, or root's namespaces."""

    USER = "user"
    NETNS = "netns"


class Initial(StrEnum):
    """State that ``up`` brings a guest to."""

    RUNNING = "running"
    PAUSED = "paused"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class GuestSpec:
    """One guest and the load it makes inside itself.

    Attributes:
        name: Unique in the lab.
        memory_mib: Memory, MiB.
        tier: Pool of its disk; the disk of a shared guest is in the network store instead.
        shared: The disk is reached over the network, so a migration copies no storage.
        cpu_pct: Share of one vCPU that it burns, 0 to 100.
        dirty_mib_s: MiB of its memory that it rewrites each second.
        dirty_span_mib: MiB over which it does so, evenly and round and round; with 0 it rewrites
            the same ``dirty_mib_s`` MiB at once and rests for a second.
        write_counter: It writes a growing counter to its disk, each number to a block of its own.
        counter_ms: Milliseconds between two numbers.
        disk_mib: Size of the disk, MiB.
        disk_format: ``raw`` or ``qcow2``.
        initial: What ``up`` brings it to.
        deaf: It does not heed the power button, and its agent hears nothing.
        channel: It has a channel for a guest agent, and no agent.
        agent: It has the channel, and a guest agent of a few words.
        nic: It has a network card.
        vcpus: Virtual CPUs.
        tags: Written to its metadata as the console's tags.
        tenant: Written to its metadata as the console's tenant.
    """

    name: str
    memory_mib: int = 96
    tier: str = "hot"
    shared: bool = False
    cpu_pct: int = 0
    dirty_mib_s: int = 0
    dirty_span_mib: int = 0
    write_counter: bool = False
    counter_ms: int = 1000
    disk_mib: int = 32
    disk_format: str = "raw"
    initial: Initial = Initial.RUNNING
    deaf: bool = False
    channel: bool = False
    agent: bool = False
    nic: bool = True
    vcpus: int = 1
    tags: tuple[str, ...] = ()
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Counter:
    """What a guest's counter left on its disk: the newest number, and those lost before it."""

    newest: int
    lost: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HostStatus:
    """How one practice host stands."""

    name: str
    uri: str
    libvirtd: bool
    sshd: bool
    guests: int
    running: int


@dataclass(frozen=True, slots=True)
class LabStatus:
    """How a lab stands; ``exists`` is False where there is none in the folder."""

    folder: str
    exists: bool
    mode: str = ""
    store: bool = False
    hosts: tuple[HostStatus, ...] = ()

    @property
    def healthy(self) -> bool:
        """Every daemon of every host answers."""
        return (
            self.exists and self.store and all(host.libvirtd and host.sshd for host in self.hosts)
        )

    def as_dict(self) -> dict[str, Any]:
        """The status as plain values for JSON."""
        return {**asdict(self), "healthy": self.healthy}


STARTER_GUESTS = (
    GuestSpec("web1", tags=("web",), tenant="shop", cpu_pct=6),
    GuestSpec("db1", shared=True, write_counter=True, tags=("db",), tenant="shop"),
    GuestSpec("cache1", dirty_mib_s=4, tier="warm", shared=True, tags=("cache",), tenant="shop"),
    GuestSpec("web2", tags=("web",), tenant="shop", write_counter=True, disk_format="qcow2"),
    GuestSpec("batch1", cpu_pct=20, tier="warm", tags=("batch",), tenant="lab"),
    GuestSpec("archive1", tier="cold", initial=Initial.OFF, disk_format="qcow2", tenant="lab"),
    GuestSpec("build1", tier="warm", initial=Initial.PAUSED, write_counter=True, tenant="lab"),
    GuestSpec("spare1", tier="cold", initial=Initial.OFF),
)
"""The guests of a new lab, dealt to the hosts in turn; a larger lab repeats them."""


def starter_guests(count: int) -> tuple[GuestSpec, ...]:
    """The first ``count`` guests of a lab, names made unique by a round number."""
    found = []
    for index in range(count):
        turn, place = divmod(index, len(STARTER_GUESTS))
        spec = STARTER_GUESTS[place]
        values = {name: getattr(spec, name) for name in GuestSpec.__slots__}
        values["name"] = spec.name if turn == 0 else f"{spec.name[:-1]}{turn + 1}{spec.name[-1]}"
        found.append(GuestSpec(**values))
    return tuple(found)
