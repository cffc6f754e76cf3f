"""libvirt's XML of simulated guests and hosts, both ways."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from drivers.errors import Refused
from drivers.model.host import HostFacts
from drivers.model.vm import Vm, VmDisk, VmState
from drivers.sim.waves import Character, mix
from drivers.sim.world import SimHost, SimVm


def domain_xml(vm: Vm, *, inactive: bool) -> str:
    """Domain XML as libvirt would show it, without what this program never reads."""
    active = vm.state.active and not inactive
    ident = f" id='{vm.domain_id}'" if active else ""
    title = f"  <title>{escape(vm.title)}</title>\n" if vm.title else ""
    disks = "".join(_disk_xml(disk) for disk in vm.disks)
    nics = "".join(
        f"    <interface type={quoteattr(nic.kind)}>\n"
        f"      <mac address={quoteattr(nic.mac)}/>\n"
        f"      <source {nic.kind}={quoteattr(nic.source)}/>\n"
        + (f"      <target dev={quoteattr(nic.target)}/>\n" if active else "")
        + f"      <model type={quoteattr(nic.model)}/>\n"
        "    </interface>\n"
        for nic in vm.nics
    )
    return (
        f"<domain type='kvm'{ident}>\n"
        f"  <name>{escape(vm.name)}</name>\n"
        f"  <uuid>{vm.uuid}</uuid>\n{title}"
        f"  <memory unit='KiB'>{vm.memory // 1024}</memory>\n"
        f"  <vcpu placement='static'>{vm.vcpus}</vcpu>\n"
        "  <os>\n"
        f"    <type arch='x86_64' machine={quoteattr(vm.machine)}>hvm</type>\n"
        "  </os>\n"
        "  <cpu mode='custom' match='exact'><model>Skylake-Server-IBRS</model></cpu>\n"
        f"  <devices>\n{disks}{nics}"
        "    <serial type='pty'><target port='0'/></serial>\n"
        "    <console type='pty'><target type='serial' port='0'/></console>\n"
        "  </devices>\n"
        "</domain>\n"
    )


def _disk_xml(disk: VmDisk) -> str:
    if disk.kind == "network":
        name = quoteattr(disk.source.rpartition("/")[2])
        source = f"<source protocol='nbd' name={name}><host name='store.example'/></source>"
    else:
        source = f"<source file={quoteattr(disk.source)}/>"
    return (
        f"    <disk type={quoteattr(disk.kind)} device={quoteattr(disk.device)}>\n"
        f"      <driver name='qemu' type={quoteattr(disk.format)}/>\n"
        f"      {source}\n"
        f"      <target dev={quoteattr(disk.target)} bus='virtio'/>\n"
        "    </disk>\n"
    )


def guest_from_xml(xml: str, host: SimHost) -> SimVm:
    """The guest that a definition describes, keeping what an existing one already is.

    Raises:
        Refused: It is no domain XML.
    """
    try:
        root = ET.fromstring(xml)  # noqa: S314 - expat as built into Python expands no entities here
    except ET.ParseError as error:
        raise Refused("That is no XML.", proof=str(error)) from error
    uuid, name = root.findtext("uuid", "").strip(), root.findtext("name", "").strip()
    if root.tag != "domain" or not uuid or not name:
        raise Refused("That is no domain XML.", proof=f"root <{root.tag}>, uuid '{uuid}'")
    known = host.guests.get(uuid)
    if known is None:
        kib, vcpus = root.findtext("memory", "0").strip(), root.findtext("vcpu", "1").strip()
        memory = _count(kib, 0) * 1024
        vm = Vm(uuid, name, host.name, VmState.OFF, memory=memory, memory_limit=memory)
        vm = replace(vm, vcpus=_count(vcpus, 1))
        known = SimVm(vm, Character(mix(zlib.crc32(uuid.encode())), 5.0, 10.0, 0.0))
    old = {disk.target: disk for disk in known.vm.disks}
    found = (_disk(node, host, old) for node in root.iterfind("devices/disk"))
    disks = tuple(disk for disk in found if disk is not None)
    known.vm = replace(known.vm, name=name, disks=disks, persistent=True)
    return known


def _count(text: str, default: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 16 else default


def _disk(node: ET.Element, host: SimHost, old: dict[str, VmDisk]) -> VmDisk | None:
    target = node.find("target")
    if target is None:
        return None
    dev = target.get("dev", "")
    disk = old.get(dev, VmDisk(dev, kind=node.get("type", "file")))
    source, driver = node.find("source"), node.find("driver")
    path = source.get("file", "") if source is not None else ""
    if not path:
        return disk
    fmt = driver.get("type", disk.format) if driver is not None else disk.format
    volume = host.volumes.get(path)
    pool = volume.pool if volume is not None else ""
    return replace(
        disk,
        source=path,
        format=fmt,
        pool=pool,
        volume=volume.name if volume is not None else PurePosixPath(path).name,
        tier=str(host.pools[pool].tier) if pool else "",
        capacity=volume.capacity if volume is not None else disk.capacity,
        allocation=volume.allocation if volume is not None else disk.allocation,
    )


def machines_of(facts: HostFacts) -> tuple[str, ...]:
    """Machine types, newest first; a host with QEMU 5 lacks the first."""
    machines = ("pc-q35-7.2", "pc-q35-5.2", "pc-i440fx-5.2", "pc-q35-3.1")
    return machines[1:] if facts.qemu_version.startswith("5") else machines


def capabilities_xml(facts: HostFacts) -> str:
    """Host capabilities: CPU model, architecture and machine types."""
    offered = machines_of(facts)
    lines = "".join(f"      <machine maxCpus='288'>{name}</machine>\n" for name in offered)
    return (
        "<capabilities>\n"
        "  <host>\n"
        f"    <cpu><arch>{facts.arch}</arch><model>{facts.cpu_model}</model></cpu>\n"
        "    <migration_features><live/></migration_features>\n"
        "  </host>\n"
        "  <guest>\n    <os_type>hvm</os_type>\n"
        f"    <arch name='{facts.arch}'>\n{lines}"
        "      <domain type='qemu'/><domain type='kvm'/>\n"
        "    </arch>\n  </guest>\n"
        "</capabilities>\n"
    )
