"""Making, finding and reading a lab's guests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterator
from pathlib import Path

from drivers.errors import Gone, TimedOut
from drivers.lab import xml
from drivers.lab.host import LabHost
from drivers.lab.image import GuestImage
from drivers.lab.model import Counter, GuestSpec, Initial
from drivers.lab.nbd import NetworkStore
from drivers.lab.plan import LabPlan
from drivers.lab.processes import wait_until

_BLOCK = 512


def make_guest(
    host: LabHost, store: NetworkStore, image: GuestImage, spec: GuestSpec, plan: LabPlan
) -> str:
    """Make a guest's disk and define it on a host; returns its UUID."""
    disk = store.ensure(spec.name, spec.disk_mib) if spec.shared else host.make_disk(spec)
    identity = xml.guest_uuid(plan.token, spec.name)
    number = hashlib.sha256(spec.name.encode()).digest()
    mac = f"52:54:00:{number[0]:02x}:{number[1]:02x}:{number[2]:02x}"
    path = host.folder / "etc" / f"guest-{identity}.xml"
    path.write_text(
        xml.guest_xml(
            spec,
            identity,
            kernel=host.inside(image.kernel),
            initrd=host.inside(image.initrd),
            disk=xml.disk_xml(spec, disk),
            nic=host.nic(mac) if spec.nic else "",
            command_line=_command_line(spec, plan, host, number[3]),
        )
    )
    host.virsh("define", host.inside(path))
    return identity


def _command_line(spec: GuestSpec, plan: LabPlan, host: LabHost, number: int) -> str:
    """What ``guest_init.sh`` reads: the load to make, and whom to ping.

    Without ``no_timer_check`` the kernel gives up at boot when this machine is so busy that the
    emulated timer's first ticks come late.
    """
    if plan.subnet:
        address, peer = f"{plan.subnet}.{100 + number % 150}/24", host.place.address
    else:
        address, peer = "10.0.2.15/24", "10.0.2.2"
    return (
        f"console=ttyS0 quiet no_timer_check nova.name={spec.name} nova.cpu={spec.cpu_pct} "
        f"nova.dirty={spec.dirty_mib_s} nova.span={spec.dirty_span_mib} "
        f"nova.count={spec.counter_ms if spec.write_counter else 0} "
        f"nova.deaf={int(spec.deaf)} nova.agent={int(spec.agent)} "
        f"nova.ip={address} nova.peer={peer}"
    )


def bring_to(host: LabHost, spec: GuestSpec) -> None:
    """Bring a defined guest to its initial state; a paused one is let run until it counts."""
    state = host.virsh("domstate", spec.name)
    if state == "shut off" and spec.initial is not Initial.OFF:
        host.virsh("start", spec.name)
        if spec.initial is Initial.PAUSED:
            if spec.write_counter:
                wait_until(lambda: read_counter(host.disk_file(spec.name)).newest > 0, 120.0, 0.2)
            host.virsh("suspend", spec.name)


def remove_guest(host: LabHost, name: str) -> None:
    """Destroy and undefine a guest on one host, if it is there."""
    if name in host.domains().values():
        host.virsh("destroy", name, check=False)
    if name in host.domains().values():  # one that was only passing through is gone by now
        host.virsh("undefine", name)


def disks_of(host: LabHost, name: str, others: Container[str]) -> Iterator[Path]:
    """Files in a host's pools that are a guest's disk, or a copy of it as moves name them.

    A copy is ``web1-2.raw`` where ``web1.raw`` was taken; not when another guest has that name.
    """
    mine = re.compile(rf"({re.escape(name)}(?:-\d+)?)\..+")
    for pool in host.pools():
        for path in host.pool_folder(pool).iterdir():
            found = mine.fullmatch(path.name)
            if found and (found.group(1) == name or found.group(1) not in others):
                yield path


def read_counter(image: Path) -> Counter:
    """Read what a guest's counter left in a raw image: block n holds the number n.

    Valid until the ring of half the disk is full (hours); numbers older than a full ring are
    overwritten and do not count as lost.
    """
    with image.open("rb") as stream:
        newest = _number(stream.read(_BLOCK))
        stream.seek(0, 2)
        ring = stream.tell() // _BLOCK // 2 - 1
        stream.seek(_BLOCK)
        blocks = stream.read(min(newest, ring) * _BLOCK)
    lost = []
    for place in range(min(newest, ring)):
        expected = newest - (newest - 1 - place) % ring
        if _number(blocks[place * _BLOCK : (place + 1) * _BLOCK]) < expected:
            lost.append(expected)
    return Counter(newest, tuple(sorted(lost)))


def _number(block: bytes) -> int:
    found = re.match(rb"\s*(\d+)\s*\n", block)
    return int(found.group(1)) if found else 0


def find_guest(hosts: tuple[LabHost, ...], name: str) -> LabHost:
    """The host on which a guest runs, else one where it is defined.

    Raises:
        Gone: No host knows it.
    """
    for running in (True, False):
        for host in hosts:
            if name in host.domains(running=running).values():
                return host
    raise Gone(f"no practice host has a guest {name}")


def wait_for_count(image: Path, at_least: int, deadline_s: float = 60.0) -> Counter:
    """Wait until a guest's counter reaches a number.

    Raises:
        TimedOut: It does not within the deadline.
    """
    if not wait_until(lambda: read_counter(image).newest >= at_least, deadline_s, 0.1):
        raise TimedOut(
            f"the guest's counter did not reach {at_least} within {deadline_s:g} s",
            f"it stands at {read_counter(image).newest} in {image}",
        )
    return read_counter(image)
