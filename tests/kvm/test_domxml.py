"""Domain XML, however weird, becomes a row."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import Failed
from drivers.kvm.domxml import DomainDef, parse_domain
from drivers.kvm.editxml import copy_target, repoint
from drivers.kvm.text import clean

FULL = """<domain type='kvm'><name>web1</name><uuid>u-1</uuid><title>Shop</title>
<metadata><nova:novacron xmlns:nova='https://novacron.dev/xmlns/domain/1'>
<nova:tags>web, prod web</nova:tags><nova:tenant> acme </nova:tenant></nova:novacron>
<other xmlns='https://else.where'><tags>not ours</tags></other></metadata>
<memory unit='GiB'>2</memory><currentMemory unit='KiB'>1048576</currentMemory>
<vcpu current='2'>4</vcpu><os><type machine='pc-q35-7.2'>hvm</type></os><devices>
<disk type='file' device='disk'><driver type='qcow2'/><source file='/hot/a.qcow2'/>
 <target dev='vda'/><mirror type='file' job='copy' ready='yes'><source file='/cold/a.qcow2'/>
 </mirror></disk>
<disk type='block' device='disk'><source dev='/dev/vg/b'/><target dev='vdb'/></disk>
<disk type='network' device='disk'><source protocol='nbd' name='x'>
 <host name='store' port='10809'/></source><target dev='vdc'/></disk>
<disk type='network' device='disk'><source protocol='rbd' name='pool/img'/>
 <target dev='vdd'/></disk>
<disk type='volume' device='disk'><source pool='warm' volume='v'/><target dev='vde'/></disk>
<disk type='nvme' device='disk'><source type='pci'><address domain='0x0000' bus='0x01' slot='0x00'
 function='0x0'/></source><target dev='vdf'/></disk>
<disk type='vhostuser' device='disk'><source type='unix' path='/run/vhost.sock'/>
 <target dev='vdg'/></disk>
<disk type='dir' device='disk'><source dir='/export'/><target dev='vdh'/></disk>
<disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>
<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/>
 <target dev='vnet0'/><model type='virtio'/></interface>
<interface type='user'/>
<memballoon model='virtio'><stats period='5'/></memballoon></devices></domain>"""


def test_a_full_domain_is_read_whole() -> None:
    """Every kind of disk has a readable source, tags and tenant come from our own metadata."""
    read = parse_domain(FULL)
    assert (read.name, read.title, read.vcpus, read.machine) == ("web1", "Shop", 2, "pc-q35-7.2")
    assert (read.memory, read.memory_limit) == (1 << 30, 2 << 30)
    assert (read.tags, read.tenant) == (("web", "prod"), "acme")
    assert [d.source for d in read.disks] == [
        "/hot/a.qcow2",
        "/dev/vg/b",
        "nbd:store:10809/x",
        "rbd:pool/img",
        "warm/v",
        "nvme:0000:01:00.0",
        "/run/vhost.sock",
        "/export",
        "",
    ]
    assert [d.shared for d in read.disks][:4] == [False, False, True, True]
    assert (read.disks[0].mirror, read.disks[0].mirror_ready) == ("/cold/a.qcow2", True)
    assert (read.disks[4].pool, read.disks[4].volume) == ("warm", "v")
    assert (read.disks[8].device, read.disks[8].read_only) == ("cdrom", True)
    assert (read.nics[0].target, read.nics[0].source, read.nics[1].kind) == ("vnet0", "br0", "user")
    assert (read.balloon, read.balloon_period) == (True, 5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "<domain",
        "<domain/>",
        "<domain><devices/></domain>",
        "<!DOCTYPE d [<!ENTITY a 'aaaa'>]><domain><name>&a;</name></domain>",
        "<domain><memory unit='furlong'>many</memory><vcpu>several</vcpu></domain>",
        "<domain><memory>-5</memory><vcpu current='-1'>-2</vcpu></domain>",
        "<domain><devices><disk/><interface/><disk type='file'><source/></disk></devices></domain>",
        f"<domain><name>{'n' * 100_000}</name></domain>",
        "<domain><metadata><tags xmlns='https://novacron.dev/xmlns/domain/1'/></metadata></domain>",
    ],
)
def test_weird_domains_still_give_a_definition(text: str) -> None:
    """No domain breaks a sweep: what cannot be read is empty."""
    read = parse_domain(text)
    assert isinstance(read, DomainDef)
    assert read.memory >= 0
    assert read.vcpus >= 0


def test_a_thousand_devices_are_all_there() -> None:
    """A domain with very many devices shows every one."""
    disks = "".join(f"<disk><target dev='d{n}'/></disk>" for n in range(1000))
    assert len(parse_domain(f"<domain><devices>{disks}</devices></domain>").disks) == 1000


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    """Whatever a host sends instead of XML, the console goes on."""
    parse_domain(text)


_NAMES = st.sampled_from(
    ["domain", "name", "memory", "vcpu", "devices", "disk", "source", "target", "driver",
     "interface", "mac", "metadata", "memballoon", "stats", "mirror", "host", "os", "type"]
)  # fmt: skip
_KEYS = st.sampled_from(["dev", "file", "type", "unit", "current", "period", "name", "pool"])
_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=30)


def _element(name: str, attributes: dict[str, str], text: str, children: list[ET.Element]):  # type: ignore[no-untyped-def]
    element = ET.Element(name, attributes)
    element.text = text
    element.extend(children)
    return element


_TREES = st.recursive(
    st.builds(_element, _NAMES, st.dictionaries(_KEYS, _WORDS), _WORDS, st.just([])),
    lambda inner: st.builds(
        _element, _NAMES, st.dictionaries(_KEYS, _WORDS), _WORDS, st.lists(inner, max_size=5)
    ),
    max_leaves=30,
)


@given(st.lists(_TREES, max_size=6))
def test_any_tree_of_known_elements_is_survived(children: list[ET.Element]) -> None:
    """Elements in the wrong place, twice or nested give values, not errors."""
    devices = ET.Element("devices")
    devices.extend(children)
    root = ET.Element("domain")
    root.extend([devices, *children])
    read = parse_domain(ET.tostring(root, encoding="unicode"))
    assert all(disk.target == clean(disk.target) for disk in read.disks)


@given(st.text())
def test_cleaned_text_cannot_move_the_cursor(text: str) -> None:
    """Names from hosts show without escape sequences, line breaks or reordering."""
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2028" for c in cleaned)


def test_repointing_a_disk_keeps_everything_else() -> None:
    """Only the chosen disk moves; secrets, prefixes and other disks stay as libvirt wrote them."""
    text = FULL.replace("</devices>", "<graphics type='vnc' passwd='s3'/></devices>")
    moved = repoint(text, {"vda": ("/cold/<&'>.raw", "raw")})
    read = parse_domain(moved)
    assert (read.disks[0].source, read.disks[0].format) == ("/cold/<&'>.raw", "raw")
    assert read.disks[0].mirror == ""
    assert read.disks[1:] == parse_domain(FULL).disks[1:]
    assert 'passwd="s3"' in moved
    assert "<nova:tags>" in moved


def test_repointing_an_absent_disk_is_an_error() -> None:
    """A disk that is not there is named, and nothing is sent to libvirt."""
    with pytest.raises(Failed, match="vdz"):
        repoint(FULL, {"vdz": ("/x", "")})


def test_a_copy_goes_to_files_and_devices() -> None:
    """The copy's destination says what kind of thing it is; names are escaped."""
    assert copy_target("/a'b", "qcow2").startswith("<disk type='file'>")
    assert copy_target("/dev/vg/x", "raw").startswith("<disk type='block'>")
    assert ET.fromstring(copy_target("/a'\"<&b", "q'\"<")) is not None  # noqa: S314 - our own
