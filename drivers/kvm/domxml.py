"""Domain XML to values. Pure, and never raises: the weirdest domain still gives a row.

Tags and tenant are read from the domain's metadata, in our namespace::

    <metadata>
      <novacron xmlns="https://novacron.dev/xmlns/domain/1">
        <tags>web, prod</tags>
        <tenant>acme</tenant>
      </novacron>
    </metadata>

set with ``virsh metadata NAME https://novacron.dev/xmlns/domain/1 --key nova --set '...'``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from drivers.kvm.text import clean, parse_xml, whole

NAMESPACE = "https://novacron.dev/xmlns/domain/1"
_UNITS = {
    "b": 1,
    "bytes": 1,
    "kb": 1000,
    "k": 1024,
    "kib": 1024,
    "mb": 10**6,
    "m": 1 << 20,
    "mib": 1 << 20,
    "gb": 10**9,
    "g": 1 << 30,
    "gib": 1 << 30,
    "tb": 10**12,
    "t": 1 << 40,
    "tib": 1 << 40,
}
# Where each kind of disk source keeps its location.
_SOURCE_KEYS = ("file", "dev", "dir", "name", "path")


@dataclass(frozen=True, slots=True)
class DiskDef:
    """One ``<disk>``; ``mirror`` is the destination of a block copy under way."""

    target: str
    source: str = ""
    kind: str = "file"
    device: str = "disk"
    format: str = ""
    pool: str = ""
    volume: str = ""
    read_only: bool = False
    shared: bool = False
    mirror: str = ""
    mirror_ready: bool = False


@dataclass(frozen=True, slots=True)
class NicDef:
    """One ``<interface>``; ``target`` is the host's tap, empty where there is none."""

    target: str = ""
    mac: str = ""
    kind: str = ""
    source: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class DomainDef:
    """What a domain's XML says. Memory in bytes; ``readable`` False when it could not be parsed."""

    uuid: str = ""
    name: str = ""
    title: str = ""
    description: str = ""
    memory: int = 0
    memory_limit: int = 0
    vcpus: int = 0
    machine: str = ""
    kind: str = ""
    disks: tuple[DiskDef, ...] = ()
    nics: tuple[NicDef, ...] = ()
    tags: tuple[str, ...] = ()
    tenant: str = ""
    balloon_period: int = 0
    balloon: bool = False
    readable: bool = True


def parse_domain(text: str) -> DomainDef:
    """Read domain XML (virDomainGetXMLDesc); what is absent or nonsense stays at its default."""
    root = parse_xml(text)
    if root is None:
        return DomainDef(readable=False)
    limit = memory_bytes(root.find("memory"))
    tags, tenant = _metadata(root)
    balloon = root.find("devices/memballoon")
    period = root.find("devices/memballoon/stats")
    os_type = root.find("os/type")
    return DomainDef(
        uuid=clean(root.findtext("uuid")).strip(),
        name=clean(root.findtext("name")),
        title=clean(root.findtext("title")),
        description=clean(root.findtext("description")),
        memory=memory_bytes(root.find("currentMemory")) or limit,
        memory_limit=limit,
        vcpus=_vcpus(root.find("vcpu")),
        machine="" if os_type is None else clean(os_type.get("machine")),
        kind=clean(root.get("type")),
        disks=tuple(_disk(disk) for disk in root.findall("devices/disk")),
        nics=tuple(_nic(nic) for nic in root.findall("devices/interface")),
        tags=tags,
        tenant=tenant,
        balloon_period=0 if period is None else whole(period.get("period")),
        balloon=balloon is not None and balloon.get("model") != "none",
    )


def memory_bytes(element: ET.Element | None, attribute: str = "") -> int:
    """Bytes an element's text (or ``attribute``) tells in its ``unit``, KiB unless it says so."""
    if element is None:
        return 0
    unit = _UNITS.get((element.get("unit") or "KiB").strip().lower(), 1024)
    return max(0, whole(element.get(attribute) if attribute else element.text)) * unit


def _vcpus(element: ET.Element | None) -> int:
    if element is None:
        return 0
    return max(0, whole(element.get("current")) or whole(element.text))


def _metadata(root: ET.Element) -> tuple[tuple[str, ...], str]:
    tags: list[str] = []
    tenant = ""
    for element in root.iterfind("metadata//*"):
        if element.tag == f"{{{NAMESPACE}}}tags":
            tags += [word for word in clean(element.text).replace(",", " ").split() if word]
        elif element.tag == f"{{{NAMESPACE}}}tenant":
            tenant = clean(element.text).strip()
    return tuple(dict.fromkeys(tags)), tenant


def _disk(disk: ET.Element) -> DiskDef:
    source = disk.find("source")
    target = disk.find("target")
    driver = disk.find("driver")
    mirror = disk.find("mirror")
    kind = clean(disk.get("type")) or "file"
    return DiskDef(
        target="" if target is None else clean(target.get("dev")),
        source=disk_source(source, kind),
        kind=kind,
        device=clean(disk.get("device")) or "disk",
        format="" if driver is None else clean(driver.get("type")),
        pool="" if source is None else clean(source.get("pool")),
        volume="" if source is None else clean(source.get("volume")),
        read_only=disk.find("readonly") is not None,
        shared=kind == "network",
        mirror=_mirror(mirror),
        mirror_ready=mirror is not None and mirror.get("ready") == "yes",
    )


def disk_source(source: ET.Element | None, kind: str) -> str:
    """A path, or a readable name such as ``nbd:host:10809/export``; empty for an empty drive."""
    if source is None:
        return ""
    if kind == "network":
        host = source.find("host")
        where = ""
        if host is not None:
            where = host.get("socket") or ":".join(
                part for part in (host.get("name"), host.get("port")) if part
            )
        name = source.get("name") or ""
        return clean(f"{source.get('protocol') or 'network'}:{where}{'/' if where else ''}{name}")
    if kind == "nvme":
        address = source.find("address")
        parts = {} if address is None else address.attrib
        words = [parts.get(key, "?").removeprefix("0x") for key in ("domain", "bus", "slot")]
        return clean(f"nvme:{':'.join(words)}.{parts.get('function', '?').removeprefix('0x')}")
    if kind == "volume":
        return clean(f"{source.get('pool') or ''}/{source.get('volume') or ''}")
    for key in _SOURCE_KEYS:
        if value := source.get(key):
            return clean(value)
    return ""


def _mirror(mirror: ET.Element | None) -> str:
    if mirror is None:
        return ""
    source = mirror.find("source")
    return clean(mirror.get("file")) or disk_source(source, clean(mirror.get("type")) or "file")


def _nic(nic: ET.Element) -> NicDef:
    source = nic.find("source")
    attributes = {} if source is None else source.attrib
    found = (attributes.get(key) for key in ("network", "bridge", "dev", "path", "name", "portid"))
    return NicDef(
        target=_attribute(nic, "target", "dev"),
        mac=_attribute(nic, "mac", "address"),
        kind=clean(nic.get("type")),
        source=clean(next((value for value in found if value), "")),
        model=_attribute(nic, "model", "type"),
    )


def _attribute(parent: ET.Element, child: str, name: str) -> str:
    element = parent.find(child)
    return "" if element is None else clean(element.get(name))
