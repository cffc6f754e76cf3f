"""libvirt XML of a lab's guests, pools and network."""

from __future__ import annotations

import uuid
from xml.sax.saxutils import escape, quoteattr

from drivers.lab.model import GuestSpec

METADATA = "https://novacron.dev/xmlns/domain/1"
"""Namespace of the console's tags and tenant in a domain's metadata."""

NETWORK = "lab"

_CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"


def guest_uuid(token: str, name: str) -> str:
    """The UUID of a lab's guest: the same each time, another in another lab."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"novacron-lab/{token}/{name}"))


def pool_xml(name: str, path: str) -> str:
    """A dir pool."""
    return (
        f"<pool type='dir'><name>{escape(name)}</name>"
        f"<target><path>{escape(path)}</path></target></pool>"
    )


def network_xml(bridge: str) -> str:
    """A network that joins guests to the host's own bridge."""
    return (
        f"<network><name>{NETWORK}</name><forward mode='bridge'/>"
        f"<bridge name={quoteattr(bridge)}/></network>"
    )


def disk_xml(spec: GuestSpec, source: str) -> str:
    """The guest's disk: a file on the host, or ``name@host:port`` in the network store."""
    if spec.shared:
        export, _, place = source.partition("@")
        host, _, port = place.partition(":")
        return (
            "<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none'/>"
            f"<source protocol='nbd' name={quoteattr(export)}>"
            f"<host name={quoteattr(host)} port={quoteattr(port)}/></source>"
            "<target dev='vda' bus='virtio'/></disk>"
        )
    return (
        "<disk type='file' device='disk'>"
        f"<driver name='qemu' type={quoteattr(spec.disk_format)} cache='none' discard='unmap'/>"
        f"<source file={quoteattr(source)}/><target dev='vda' bus='virtio'/></disk>"
    )


def guest_xml(
    spec: GuestSpec,
    uuid_text: str,
    *,
    kernel: str,
    initrd: str,
    disk: str,
    nic: str,
    command_line: str,
) -> str:
    """A domain that boots the lab's kernel under software emulation.

    Emulation everywhere: a distribution kernel is known to hang under nested /dev/kvm on some
    machines, and the guests do little enough.
    """
    tags = f"<nova:tags>{escape(', '.join(spec.tags))}</nova:tags>"
    tenant = f"<nova:tenant>{escape(spec.tenant)}</nova:tenant>"
    return f"""<domain type='qemu'>
  <name>{escape(spec.name)}</name>
  <uuid>{uuid_text}</uuid>
  <metadata><nova:novacron xmlns:nova='{METADATA}'>{tags}{tenant}</nova:novacron></metadata>
  <memory unit='MiB'>{spec.memory_mib}</memory>
  <vcpu>{spec.vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{escape(kernel)}</kernel>
    <initrd>{escape(initrd)}</initrd>
    <cmdline>{escape(command_line)}</cmdline>
  </os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    {disk}
    {nic}
    <serial type='pty'><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <video><model type='none'/></video>
    {_CHANNEL if spec.channel or spec.agent else ""}
    <memballoon model='virtio'><stats period='5'/></memballoon>
  </devices>
</domain>
"""


def nic_xml(source: str, mac: str) -> str:
    """A virtio NIC; ``source`` is ``network`` (the lab's) or ``user`` (QEMU's own)."""
    inner = f"<source network='{NETWORK}'/>" if source == "network" else ""
    return (
        f"<interface type='{source}'><mac address='{mac}'/>{inner}"
        "<model type='virtio'/><rom enabled='no'/></interface>"
    )
