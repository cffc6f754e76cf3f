"""What a domain needs of a host it might move to: its XML, and what only calls tell."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from drivers.errors import Failed
from drivers.kvm.domxml import disk_source, memory_bytes
from drivers.kvm.mainloop import main_thread_work
from drivers.kvm.session import Session
from drivers.kvm.text import clean, parse_xml, whole
from drivers.model.caps import BoundDevice, CpuNeed, DiskNeed, DomainNeeds, HugePages

# virDomainBlockJobType in words; 0 is "no job" or one this list does not know yet.
_BLOCK_JOBS = {1: "pull", 2: "copy", 3: "commit", 4: "active commit", 5: "backup"}
_NBD_PORT = 10809
_LONG = 20  # letters of two numbers that make sense in a list of CPUs or cells
_PORTS = {"nbd": _NBD_PORT, "iscsi": 3260, "rbd": 6789, "gluster": 24007, "ssh": 22, "http": 80,
          "https": 443, "ftp": 21, "ftps": 990, "tftp": 69, "nfs": 2049}  # fmt: skip


async def read_needs(
    session: Session, uuid: str, name: str, clock: Callable[[], float], *, stuck: bool
) -> DomainNeeds:
    """Definition, snapshots, checkpoints and block jobs of one domain.

    Args:
        stuck: Its monitor hangs: then what would wait for it is not asked.

    Raises:
        DriverError: libvirt did not answer, or its XML could not be read.
    """

    def ask() -> DomainNeeds:
        domain = session.conn.lookupByUUIDString(uuid)
        found = parse_needs(str(domain.XMLDesc(0)), clock())
        if found is None:
            raise Failed(f"the definition of {name} could not be read", "libvirt sent no plain XML")
        saved = _count(session.lv, lambda: domain.hasManagedSaveImage(0))
        jobs_known, disks = (False, found.disks) if stuck else _jobs(session.lv, domain, found)
        return replace(
            found,
            disks=disks,
            jobs_known=jobs_known,
            autostart=bool(domain.autostart()),
            persistent=bool(domain.isPersistent()),
            snapshots=_count(session.lv, domain.snapshotNum),
            checkpoints=_count(session.lv, lambda: len(domain.listAllCheckpoints(0))),
            saved=None if saved is None else bool(saved),
        )

    return await session.call(ask, f"what {name} needs could not be read")


def _count(lv: Any, call: Callable[[], int]) -> int | None:
    """How many there are; None where libvirt cannot tell, its other errors are the caller's."""
    try:
        return int(call())
    except lv.libvirtError as error:
        if error.get_error_code() != lv.VIR_ERR_NO_SUPPORT:
            raise
        return None


def _jobs(lv: Any, domain: Any, found: DomainNeeds) -> tuple[bool, tuple[DiskNeed, ...]]:
    """Whether block jobs are known, and the disks with theirs; the XML tells only of copies."""
    if not domain.isActive():
        return True, found.disks
    told: list[DiskNeed] = []
    for disk in found.disks:
        try:
            info = domain.blockJobInfo(disk.target, 0)
        except lv.libvirtError:
            return False, found.disks
        kind = _BLOCK_JOBS.get(info.get("type", 0), "job") if info else ""
        told.append(replace(disk, block_job=kind or disk.block_job))
    return True, tuple(told)


def parse_needs(text: str, at: float) -> DomainNeeds | None:
    """What domain XML alone tells; None when it cannot be read. Pure."""
    root = parse_xml(text)
    if root is None:
        return None
    vcpu, os_type = root.find("vcpu"), root.find("os/type")
    loader, nvram = root.find("os/loader"), root.find("os/nvram")
    memory = memory_bytes(root.find("maxMemory")) or memory_bytes(root.find("memory"))
    sealed = root.find("launchSecurity")
    return DomainNeeds(
        uuid=clean(root.findtext("uuid")).strip(),
        digest=hashlib.sha256(text.encode(errors="replace")).hexdigest(),
        at=at,
        arch="" if os_type is None else clean(os_type.get("arch")),
        machine="" if os_type is None else clean(os_type.get("machine")),
        virt=clean(root.get("type")),
        emulator=clean(root.findtext("devices/emulator")).strip(),
        memory=memory,
        vcpus=0 if vcpu is None else max(0, whole(vcpu.text)),
        cpu=read_cpu(root.find("cpu")),
        huge=_huge(root, memory_bytes(root.find("memory"))),
        nodes=_strict_nodes(root),
        pinned=_pinned(root),
        disks=tuple(_disk(disk) for disk in root.findall("devices/disk")),
        devices=tuple(_devices(root)),
        tpm=_tpm(root.find("devices/tpm/backend")),
        loader="" if loader is None else clean(loader.text).strip(),
        nvram="" if nvram is None else _nvram(nvram),
        sealed="" if sealed is None else clean(sealed.get("type")),
        main_thread=main_thread_work(root),
    )


def read_cpu(cpu: ET.Element | None) -> CpuNeed:
    """A ``<cpu>`` element; nothing where there is none."""
    if cpu is None:
        return CpuNeed()
    wanted = (f for f in cpu.findall("feature") if f.get("policy") in ("require", "force", None))
    return CpuNeed(
        mode=clean(cpu.get("mode")) or "custom",
        model=clean(cpu.findtext("model")).strip(),
        features=tuple(clean(f.get("name")) for f in wanted),
        xml=ET.tostring(cpu, encoding="unicode"),
    )


def _huge(root: ET.Element, memory: int) -> tuple[HugePages, ...]:
    backing = root.find("memoryBacking/hugepages")
    if backing is None:
        return ()
    cells = {whole(c.get("id"), -1): memory_bytes(c, "memory") for c in
             root.findall("cpu/numa/cell")}  # fmt: skip
    found: list[HugePages] = []
    for page in backing.findall("page"):
        nodes = numbers(page.get("nodeset") or "")
        held = sum(cells.get(node, 0) for node in nodes) if nodes else memory
        found.append(HugePages(memory_bytes(page, "size"), held))
    return tuple(found) or (HugePages(0, memory),)


def _strict_nodes(root: ET.Element) -> tuple[int, ...]:
    found: list[int] = []
    for bound in (*root.findall("numatune/memory"), *root.findall("numatune/memnode")):
        if bound.get("mode", "strict") in ("strict", "restrictive"):
            found += numbers(bound.get("nodeset") or "")
    return tuple(sorted(set(found)))


def _pinned(root: ET.Element) -> tuple[int, ...]:
    texts = [p.get("cpuset") or "" for p in root.findall("cputune/vcpupin")]
    vcpu = root.find("vcpu")
    texts.append("" if vcpu is None else vcpu.get("cpuset") or "")
    return tuple(sorted({number for text in texts for number in numbers(text)}))


def numbers(text: str) -> tuple[int, ...]:
    """The numbers of ``0-3,^2,8``; what makes no sense, or is beyond any host, is left out."""
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        low, dash, high = part.removeprefix("^").partition("-")
        high = high if dash else low
        if not (low.isdecimal() and high.isdecimal() and len(low + high) < _LONG):
            continue
        span = range(int(low), min(int(high), 65_535) + 1)
        found = found - set(span) if part.startswith("^") else found | set(span)
    return tuple(sorted(found))


def _disk(disk: ET.Element) -> DiskNeed:
    driver, target, mirror = disk.find("driver"), disk.find("target"), disk.find("mirror")
    backing, known = _chain(disk)
    job = "" if mirror is None else clean(mirror.get("job")) or "copy"
    return DiskNeed(
        target="" if target is None else clean(target.get("dev")),
        cache="" if driver is None else clean(driver.get("cache")),
        shareable=disk.find("shareable") is not None,
        backing=backing,
        chain_known=known,
        block_job=job,
        servers=tuple(_servers(disk.find("source"))),
    )


def _chain(disk: ET.Element) -> tuple[tuple[str, ...], bool]:
    """Sources below the top; libvirt ends a chain it knows with an empty element."""
    found: list[str] = []
    below = disk.find("backingStore")
    while below is not None:
        if not below.attrib and below.find("source") is None:
            return tuple(found), True
        found.append(disk_source(below.find("source"), clean(below.get("type")) or "file"))
        below = below.find("backingStore")
    return tuple(found), False


def _servers(source: ET.Element | None) -> Iterator[tuple[str, int]]:
    if source is None or not source.get("protocol"):
        return
    default = _PORTS.get(source.get("protocol") or "", 0)
    for host in source.findall("host"):
        name, port = clean(host.get("name")), whole(host.get("port"), default)
        if name and port:
            yield name, port


def _devices(root: ET.Element) -> Iterator[BoundDevice]:
    for device in root.findall("devices/hostdev"):
        kind = clean(device.get("type")) or clean(device.get("mode"))
        teamed = device.find("teaming")
        failover = teamed is not None and teamed.get("type") == "transient"
        yield BoundDevice(kind, _address(device.find("source")), failover)
    for nic in root.findall("devices/interface"):
        if nic.get("type") in ("hostdev", "vdpa"):
            teamed = nic.find("teaming")
            source = nic.find("source")
            name = _address(source) or ("" if source is None else clean(source.get("dev")))
            failover = teamed is not None and teamed.get("type") == "transient"
            yield BoundDevice("pci" if nic.get("type") == "hostdev" else "vdpa", name, failover)
    for shared in root.findall("devices/filesystem"):
        driver, source = shared.find("driver"), shared.find("source")
        kind = "virtiofs" if driver is not None and driver.get("type") == "virtiofs" else "9p"
        yield BoundDevice(kind, "" if source is None else clean(source.get("dir")))
    for memory in root.findall("devices/shmem"):
        yield BoundDevice("shmem", clean(memory.get("name")))


def _address(source: ET.Element | None) -> str:
    """``0000:03:00.0``, ``vendor:product``, a path or a UUID: whatever names the device."""
    if source is None:
        return ""
    address, vendor = source.find("address"), source.find("vendor")
    if address is not None and address.get("uuid"):
        return clean(address.get("uuid"))
    if address is not None and address.get("slot"):
        a = {key: (address.get(key) or "0").removeprefix("0x") for key in address.attrib}
        bus = f"{a.get('domain', '0000')}:{a.get('bus', '0')}:{a.get('slot', '0')}"
        return clean(f"{bus}.{a.get('function', '0')}")
    if vendor is not None:
        product = source.find("product")
        ids = (vendor.get("id"), None if product is None else product.get("id"))
        return clean(":".join((text or "?").removeprefix("0x") for text in ids))
    if address is not None:
        return clean(f"bus {address.get('bus')} device {address.get('device')}")
    adapter = source.find("adapter")
    return "" if adapter is None else clean(adapter.get("name"))


def _tpm(backend: ET.Element | None) -> str:
    return "" if backend is None else clean(backend.get("type")) or "unknown"


def _nvram(nvram: ET.Element) -> str:
    source = nvram.find("source")
    return clean(nvram.text).strip() or disk_source(source, clean(nvram.get("type")) or "file")
