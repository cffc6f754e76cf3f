"""What a host offers to guests: its CPUs and pages, and what its hypervisor says of one guest."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from drivers.kvm.domxml import memory_bytes
from drivers.kvm.needs import read_cpu
from drivers.kvm.session import Session
from drivers.kvm.text import clean, parse_xml, whole
from drivers.model.caps import CpuMatch, CpuNeed, DomainNeeds, FreePages, GuestFit, HostCaps

_MATCHES = {0: CpuMatch.INCOMPATIBLE, 1: CpuMatch.IDENTICAL, 2: CpuMatch.SUPERSET}
# libvirt names the features after this, parted by commas.
_LACKS = re.compile(r"features?:\s*(?P<names>[\w.,\s+-]+)")
_NEAR = 3  # machine types of the same family worth telling


async def read_caps(session: Session, clock: Callable[[], float]) -> HostCaps:
    """CPUs, NUMA nodes and free huge pages.

    Raises:
        DriverError: libvirt did not answer.
    """
    lv, conn = session.lv, session.conn

    def ask() -> HostCaps:
        caps = parse_caps(str(conn.getCapabilities()), session.spec.name, clock())
        sizes = sorted({page.size for page in caps.pages})
        return caps if not sizes else _with_free(lv, conn, caps, sizes)

    return await session.call(ask, f"the capabilities of {session.spec.name} could not be read")


def parse_caps(text: str, host: str, at: float) -> HostCaps:
    """Capabilities XML; its huge pages count as all taken until free ones are asked for. Pure."""
    root = parse_xml(text)
    cpu = None if root is None else root.find("host/cpu")
    if root is None or cpu is None:
        return HostCaps(host, at)
    cells = root.findall("host/topology/cells/cell")
    base = min((memory_bytes(p, "size") for p in cpu.findall("pages")), default=4096)
    pages = tuple(
        FreePages(whole(cell.get("id")), size, 0)
        for cell in cells
        for page in cell.findall("pages")
        if (size := memory_bytes(page, "size")) > base
    )
    microcode = cpu.find("microcode")
    return HostCaps(
        host,
        at,
        cpu_model=clean(cpu.findtext("model")).strip(),
        cpu_vendor=clean(cpu.findtext("vendor")).strip(),
        cpu_features=frozenset(clean(f.get("name")) for f in cpu.findall("feature")),
        microcode="" if microcode is None else clean(microcode.get("version")),
        cpus=tuple(sorted(whole(c.get("id")) for cell in cells for c in cell.findall("cpus/cpu"))),
        nodes=tuple(whole(cell.get("id")) for cell in cells),
        pages=pages,
    )


def _with_free(lv: Any, conn: Any, caps: HostCaps, sizes: list[int]) -> HostCaps:
    """virConnectGetFreePages; without it no huge page is known, rather than none is free."""
    try:
        first, count = min(caps.nodes), max(caps.nodes) - min(caps.nodes) + 1
        told = conn.getFreePages([size // 1024 for size in sizes], first, count, 0)
    except lv.libvirtError:
        return replace(caps, pages=())
    free = {(node, kib * 1024): n for node, row in told.items() for kib, n in row.items()}
    pages = (FreePages(p.node, p.size, free.get((p.node, p.size), 0)) for p in caps.pages)
    return replace(caps, pages=tuple(pages))


async def guest_fit(session: Session, needs: DomainNeeds, clock: Callable[[], float]) -> GuestFit:
    """What this host's hypervisor says of such a guest; asks, and changes nothing.

    Raises:
        DriverError: libvirt did not answer.
    """
    what = f"{session.spec.name} could not be asked about this guest"
    return await session.call(lambda: _ask(session, needs, clock()), what)


def _ask(session: Session, needs: DomainNeeds, at: float) -> GuestFit:
    lv, conn = session.lv, session.conn
    host = session.spec.name
    offered = machines(parse_xml(str(conn.getCapabilities())), needs.arch, needs.virt)
    if offered is None:
        return GuestFit(host, needs.digest, at, virt=False, machine=False)
    known = needs.machine in offered
    arch, virt = needs.arch or None, needs.virt or None
    machine = needs.machine if known else None
    fit: dict[str, Any] = {}
    try:
        fit = read_domcaps(str(conn.getDomainCapabilities(None, arch, machine, virt, 0)))
    except lv.libvirtError as error:
        fit["said"] = clean(error.get_error_message())
    near = () if known else near_types(needs.machine, offered)
    if needs.cpu.xml and not needs.cpu.of_the_host:
        fit |= _compare(lv, conn, needs, machine)
    return GuestFit(host, needs.digest, at, machine=known, near=near, **fit)


def _compare(lv: Any, conn: Any, needs: DomainNeeds, machine: str | None) -> dict[str, Any]:
    """virConnectCompareHypervisorCPU, which names the missing features only as it fails."""
    names = (None, needs.arch or None, machine, needs.virt or None)
    try:
        flag = lv.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE
        answer = conn.compareHypervisorCPU(*names, needs.cpu.xml, flag)
    except lv.libvirtError as error:
        said = clean(error.get_error_message())
        if error.get_error_code() != lv.VIR_ERR_CPU_INCOMPATIBLE:
            return {"cpu": CpuMatch.UNKNOWN, "said": said}
        return {"cpu": CpuMatch.INCOMPATIBLE, "said": said, "missing": lacking(said)}
    return {"cpu": _MATCHES.get(int(answer), CpuMatch.UNKNOWN)}


def lacking(said: str) -> tuple[str, ...]:
    """The features that libvirt names as missing; none where it names none."""
    found = _LACKS.search(said)
    names = found["names"].split(",") if found else []
    return tuple(name.strip() for name in names if name.strip())


def machines(root: ET.Element | None, arch: str, virt: str) -> tuple[str, ...] | None:
    """Machine types offered for an architecture and accelerator; None where it runs neither."""
    if root is None:
        return None
    for guest in root.findall("guest/arch"):
        kinds = {kind.get("type"): kind for kind in guest.findall("domain")}
        if guest.get("name") != arch or virt not in kinds:
            continue
        listed = kinds[virt].findall("machine") or guest.findall("machine")
        return tuple(clean(machine.text).strip() for machine in listed)
    return None


def near_types(machine: str, offered: tuple[str, ...]) -> tuple[str, ...]:
    """Offered types of the same family, newest first: ``pc-q35-7.2`` and ``pc-q35-8.0``."""
    family = machine.rpartition("-")[0]
    same = [one for one in offered if family and one.rpartition("-")[0] == family]

    def version(name: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", name.rpartition("-")[2])]

    return tuple(sorted(same, key=version, reverse=True)[:_NEAR])


def read_domcaps(text: str) -> dict[str, Any]:
    """Of domain capabilities: vCPUs, the CPU of mode host-model, TPM backends, firmware. Pure."""
    root = parse_xml(text)
    if root is None:
        return {}
    vcpu = root.find("vcpu")
    mode = root.find("cpu/mode[@name='host-model']")
    model = None if mode is None else mode.find("model")
    tpm, loader = root.find("devices/tpm"), root.find("os/loader")
    return {
        "vcpus_max": None if vcpu is None else whole(vcpu.get("max")) or None,
        "host_model": "" if model is None else clean(model.text).strip(),
        "host_cpu": "" if mode is None or model is None else _as_cpu(mode),
        "tpm": None if tpm is None else _values(tpm, "backendModel"),
        "loaders": None if loader is None else tuple(
            clean(value.text).strip() for value in loader.findall("value")
        ),
    }  # fmt: skip


def _as_cpu(mode: ET.Element) -> str:
    """What a guest of mode host-model gets, as a guest's own ``<cpu>``."""
    cpu = ET.Element("cpu", mode="custom", match="exact")
    cpu.extend(mode.findall("*"))
    return ET.tostring(cpu, encoding="unicode")


async def cpu_baseline(session: Session, cpus: tuple[str, ...], needs: DomainNeeds) -> CpuNeed:
    """The most capable CPU that all of ``cpus`` can be (virConnectBaselineHypervisorCPU).

    Raises:
        DriverError: There is none, or libvirt did not answer.
    """
    lv, conn = session.lv, session.conn

    def ask() -> str:
        flags = lv.VIR_CONNECT_BASELINE_CPU_MIGRATABLE
        names = (None, needs.arch or None, None, needs.virt or None)
        return str(conn.baselineHypervisorCPU(*names, list(cpus), flags))

    text = await session.call(ask, "no CPU was found that these hosts have in common")
    return read_cpu(parse_xml(text))


def _values(element: ET.Element, name: str) -> tuple[str, ...]:
    if element.get("supported") == "no":
        return ()
    found = element.findall(f"enum[@name='{name}']/value")
    return tuple(clean(value.text).strip() for value in found)
