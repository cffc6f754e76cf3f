"""What of a guest QEMU's main thread serves, read from libvirt's XML."""

from __future__ import annotations

import pytest

from drivers.kvm.mainloop import main_thread_work
from drivers.kvm.needs import parse_needs
from drivers.kvm.text import parse_xml

VIRTIO = "<target dev='vda' bus='virtio'/>"
SCSI = "<target dev='sda' bus='scsi'/><address type='drive' controller='1'/>"
BRIDGE = "<interface type='bridge'><target dev='vnet0'/>"


def work(devices: str, kind: str = "kvm") -> tuple[str, ...]:
    root = parse_xml(f"<domain type='{kind}'><devices>{devices}</devices></domain>")
    assert root is not None
    return main_thread_work(root)


@pytest.mark.parametrize(
    "devices",
    [
        "",
        f"<disk type='block'><driver name='qemu' iothread='1'/>{VIRTIO}</disk>",
        "<disk type='block'><driver><iothreads><iothread id='1'/></iothreads></driver>"
        f"{VIRTIO}</disk>",
        f"<disk type='vhostuser'>{VIRTIO}</disk>",
        f"<disk type='block'>{SCSI}</disk>"
        "<controller type='scsi' index='1'><driver iothread='2'/></controller>",
        f"{BRIDGE}<model type='virtio'/></interface>",
        f"{BRIDGE}<model type='virtio-transitional'/><driver name='vhost'/></interface>",
        "<interface type='vhostuser'><model type='virtio'/></interface>",
        "<memballoon model='virtio'/>",
        "<memballoon model='virtio'><stats period='0'/></memballoon>",
    ],
)
def test_what_other_threads_serve_is_no_matter(devices: str) -> None:
    assert work(devices) == ()


@pytest.mark.parametrize(
    ("devices", "named"),
    [
        (f"<disk type='block'><driver name='qemu'/>{VIRTIO}</disk>", "disk vda without iothread"),
        (
            f"<disk type='block'>{SCSI}</disk>"
            "<controller type='scsi' index='0'><driver iothread='2'/></controller>",
            "disk sda without iothread",
        ),
        ("<disk/>", "disk ? without iothread"),
        (f"{BRIDGE}<model type='e1000'/></interface>", "network card vnet0 without vhost"),
        (
            f"{BRIDGE}<model type='virtio'/><driver name='qemu'/></interface>",
            "network card vnet0 without vhost",
        ),
        ("<interface type='user'><model type='virtio'/></interface>", "network card without vhost"),
        ("<memballoon><stats period='5'/></memballoon>", "balloon statistics"),
    ],
)
def test_what_the_main_thread_serves_is_named(devices: str, named: str) -> None:
    assert work(devices) == (named,)


def test_an_emulated_guest_has_no_vhost_either() -> None:
    """The lock is held while an interrupt is delivered, whatever the devices are."""
    card = f"{BRIDGE}<model type='virtio'/></interface>"
    assert work(card, "qemu") == ("software emulation", "network card vnet0 without vhost")


def test_a_domains_needs_carry_it() -> None:
    needs = parse_needs("<domain type='qemu'><devices/></domain>", 1.0)
    assert needs is not None
    assert needs.main_thread == ("software emulation",)
