"""Readings for a pre-flight of the small fleet: everything answered, nothing in the way."""

from __future__ import annotations

from dataclasses import replace

from console.policy.preflight.grounds import Evidence, Grounds
from console.policy.preflight.matrix import preflight
from drivers.model.caps import (
    CpuMatch,
    CpuNeed,
    DirtyRate,
    DiskNeed,
    DomainNeeds,
    FreePages,
    GuestFit,
    HostCaps,
    PeerLogin,
    Reach,
    Reached,
)
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Check
from drivers.model.matrix import Cell
from tests.policy.fleet import GIB, NOW, UUID, change, fleet

MIB = 1 << 20


def needs(**changes: object) -> DomainNeeds:
    plain = DomainNeeds(
        UUID, "d" * 64, NOW, arch="x86_64", machine="pc-q35-7.2", virt="kvm", memory=2 * GIB,
        vcpus=2, cpu=CpuNeed("custom", "EPYC", xml="<cpu/>"),
        disks=(DiskNeed("vda", "none", chain_known=True),),
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def fit(host: str = "kvm2", **changes: object) -> GuestFit:
    plain = GuestFit(
        host, "d" * 64, NOW, vcpus_max=288, cpu=CpuMatch.SUPERSET, host_model="EPYC-Milan",
        tpm=("emulator",), loaders=("/usr/share/OVMF/CODE.fd",),
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def caps(host: str, **changes: object) -> HostCaps:
    plain = HostCaps(
        host, NOW, "EPYC", "AMD", frozenset(("avx2", "sse4a")), "7", tuple(range(8)), (0, 1),
        (FreePages(0, 2 * MIB, 100), FreePages(1, 2 * MIB, 2000)),
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def reach(outcome: Reached = Reached.REFUSED, said: str = "Connection refused") -> Reach:
    return Reach("kvm1", "kvm2", 49152, outcome, NOW, "bash", said, "br0", 10_000)


def evidence(**changes: object) -> Evidence:
    plain = Evidence(
        needs={UUID: needs()},
        caps={"kvm1": caps("kvm1"), "kvm2": caps("kvm2")},
        fits={(UUID, "kvm2"): fit()},
        data={("kvm1", "kvm2"): reach()},
        login={("kvm1", "kvm2"): PeerLogin("kvm1", "qemu+ssh://kvm2/system", True, NOW, "root")},
        dirty={UUID: DirtyRate(UUID, 10 * MIB, 1, NOW, "page-sampling")},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def grounds(**changes: object) -> Grounds:
    return Grounds(evidence=evidence(**changes))


def skewed(snapshot: FleetSnapshot, name: str, seconds: float | None = 0.0) -> FleetSnapshot:
    found = snapshot.host(name)
    assert found is not None
    assert found.facts is not None
    return change(snapshot, name, facts=replace(found.facts, clock_skew_s=seconds))


def whole(**kinds: object) -> FleetSnapshot:
    """The small fleet, with clocks that were compared."""
    return skewed(skewed(fleet(**kinds), "kvm1"), "kvm2")  # type: ignore[arg-type]


def cell(given_grounds: Grounds, snapshot: FleetSnapshot | None = None) -> Cell:
    shown = snapshot or whole()
    found = preflight(shown, (UUID,), ("kvm2",), now=NOW, grounds=given_grounds)
    return found.rows[0].cells[0]


def check(name: str, given_grounds: Grounds, snapshot: FleetSnapshot | None = None) -> Check:
    fits = cell(given_grounds, snapshot).fit
    assert fits is not None
    return next(c for c in fits.reasons if c.name == name)
