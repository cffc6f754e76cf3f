"""What QEMU does with a guest's memory in the thread that also answers its monitor. Pure.

After a switch to post-copy whoever touches a page that has not arrived waits for it. While the
link is broken such a wait has no end. A vCPU may wait; but QEMU's main thread, or whoever holds
its big lock, then leaves the monitor without an answer, and libvirt can tell that QEMU no more
where to fetch the rest. Stacks of such QEMUs (7.2) showed it with software emulation, where an
interrupt is delivered to the guest's stack under that lock. Queues of devices that no other thread
serves, and the timer of the balloon's statistics, run in the main thread itself.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from drivers.kvm.text import clean, whole

_VHOST_KINDS = frozenset({"network", "bridge", "direct", "ethernet"})
_OWN_PROCESS = frozenset({"vhostuser", "hostdev", "vdpa"})


def main_thread_work(root: ET.Element) -> tuple[str, ...]:
    """Parts of a domain that may make QEMU's main thread wait for memory, in plain words.

    Args:
        root: The running domain's XML.
    """
    emulated = root.get("type") == "qemu"
    return (
        *(("software emulation",) if emulated else ()),
        *_disks(root),
        *_nics(root, emulated=emulated),
        *_balloon(root),
    )


def _disks(root: ET.Element) -> Iterator[str]:
    threaded = {
        controller.get("index") or "0"
        for controller in root.findall("devices/controller")
        if controller.get("type") == "scsi" and _has(controller, "iothread")
    }
    for disk in root.findall("devices/disk"):
        target, address = disk.find("target"), disk.find("address")
        scsi = target is not None and target.get("bus") == "scsi"
        controller = "0" if address is None else address.get("controller") or "0"
        if _has(disk, "iothread") or disk.get("type") in _OWN_PROCESS:
            continue
        if not (scsi and controller in threaded):
            name = "" if target is None else clean(target.get("dev"))
            yield f"disk {name or '?'} without iothread"


def _nics(root: ET.Element, *, emulated: bool) -> Iterator[str]:
    for nic in root.findall("devices/interface"):
        model, driver, target = nic.find("model"), nic.find("driver"), nic.find("target")
        virtio = model is not None and (model.get("type") or "").startswith("virtio")
        barred = driver is not None and driver.get("name") == "qemu"
        # libvirt takes vhost for these by itself, and never for an emulated guest.
        vhost = virtio and not barred and not emulated and nic.get("type") in _VHOST_KINDS
        if not vhost and nic.get("type") not in _OWN_PROCESS:
            name = "" if target is None else clean(target.get("dev"))
            yield f"network card {name}".rstrip() + " without vhost"


def _balloon(root: ET.Element) -> Iterator[str]:
    period = root.find("devices/memballoon/stats")
    if period is not None and whole(period.get("period")) > 0:
        yield "balloon statistics"


def _has(element: ET.Element, key: str) -> bool:
    driver = element.find("driver")
    return driver is not None and bool(driver.get(key) or driver.find(f"{key}s") is not None)
