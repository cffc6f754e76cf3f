"""What guests need and hosts offer, read from recorded and hand-made XML."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.kvm.caps import lacking, machines, near_types, parse_caps, read_domcaps
from drivers.kvm.needs import numbers, parse_needs, read_cpu
from drivers.kvm.text import parse_xml
from drivers.model.caps import BoundDevice, HugePages

READINGS = Path(__file__).parent / "readings"
GIB = 1 << 30


def recorded(name: str) -> str:
    return (READINGS / name).read_text()


def needs(body: str, *, devices: str = "", kind: str = "kvm"):
    text = (
        f"<domain type='{kind}'><name>a</name><uuid>u</uuid>{body}"
        f"<devices>{devices}</devices></domain>"
    )
    found = parse_needs(text, 1.0)
    assert found is not None
    return found


def test_a_recorded_guest():
    """A running guest of libvirt 9.0 with one plain disk."""
    found = parse_needs(recorded("domain.xml"), 5.0)
    assert found is not None
    assert (found.arch, found.machine, found.virt) == ("x86_64", "pc-i440fx-7.2", "qemu")
    assert (found.cpu.mode, found.cpu.model) == ("custom", "qemu64")
    assert found.cpu.features == ("hypervisor", "lahf_lm")
    assert found.cpu.xml.startswith("<cpu ")
    assert found.memory == 96 << 20
    disk = found.disk("vda")
    assert disk is not None
    assert (disk.cache, disk.chain_known, disk.backing) == ("none", True, ())
    assert (found.devices, found.huge, found.tpm, found.loader) == ((), (), "", "")


def test_a_recorded_host():
    """CPUs, nodes and sizes of huge pages; none counts as free before libvirt was asked."""
    found = parse_caps(recorded("capabilities.xml"), "kvm1", 5.0)
    assert (found.cpu_model, found.cpu_vendor) == ("kvm64", "AMD")
    assert "avx2" in found.cpu_features
    assert found.cpus == (0, 1)
    assert found.nodes == (0,)
    assert [(p.node, p.size, p.free) for p in found.pages] == [(0, 2 << 20, 0), (0, GIB, 0)]


def test_recorded_machine_types_and_hypervisor():
    """Types of the guest's architecture and accelerator alone."""
    root = parse_xml(recorded("capabilities.xml"))
    offered = machines(root, "x86_64", "qemu")
    assert offered is not None
    assert {"pc", "pc-i440fx-7.2", "pc-q35-7.2"} <= set(offered)
    assert machines(root, "riscv64", "qemu") is None
    assert near_types("pc-q35-9.1", offered) == ("pc-q35-7.2", "pc-q35-7.1", "pc-q35-7.0")
    told = read_domcaps(recorded("domcapabilities.xml"))
    cpu = read_cpu(parse_xml(told.pop("host_cpu")))
    assert told == {
        "vcpus_max": 255, "host_model": "EPYC", "tpm": ("passthrough",), "loaders": (),
    }  # fmt: skip
    assert (cpu.mode, cpu.model) == ("custom", "EPYC")
    assert "vaes" in cpu.features
    assert "rdseed" not in cpu.features  # it is disabled there


def test_missing_features_are_named_from_what_libvirt_says():
    """libvirt's own sentence, as recorded; one without names gives none."""
    said = (
        "the CPU is incompatible with host CPU: Host CPU does not provide required features: "
        "vme, avx512f, sha-ni"
    )
    assert lacking(said) == ("vme", "avx512f", "sha-ni")
    assert lacking("the CPU is incompatible with host CPU") == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [("0-3,^2,8", (0, 1, 3, 8)), ("", ()), ("x,1-y,4", (4,)), ("7-5", ()), ("3", (3,))],
)
def test_sets_of_numbers(text, found):
    """As libvirt writes cpusets and nodesets; nonsense is left out."""
    assert numbers(text) == found


def test_huge_pages_with_and_without_a_size():
    """A page of no size is the host's default; one bound to guest nodes holds their memory."""
    plain = needs("<memory unit='GiB'>4</memory><memoryBacking><hugepages/></memoryBacking>")
    assert plain.huge == (HugePages(0, 4 * GIB),)
    parted = needs(
        "<memory unit='GiB'>4</memory><memoryBacking><hugepages>"
        "<page size='1' unit='G' nodeset='1'/><page size='2048'/></hugepages></memoryBacking>"
        "<cpu><numa><cell id='0' memory='1' unit='GiB'/><cell id='1' memory='3' unit='GiB'/></numa>"
        "</cpu>"
    )
    assert parted.huge == (HugePages(GIB, 3 * GIB), HugePages(2 << 20, 4 * GIB))


def test_binding_to_nodes_and_cpus():
    """Only strict binding keeps a guest off a host without these nodes."""
    found = needs(
        "<vcpu cpuset='1-2'>2</vcpu><cputune><vcpupin vcpu='0' cpuset='8'/></cputune>"
        "<numatune><memory mode='strict' nodeset='0-1'/>"
        "<memnode cellid='0' mode='preferred' nodeset='7'/></numatune>"
    )
    assert found.pinned == (1, 2, 8)
    assert found.nodes == (0, 1)


def test_devices_of_the_host():
    """Each is named as a person would look for it on the host."""
    found = needs(
        "",
        devices="<hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x03' "
        "slot='0x00' function='0x1'/></source></hostdev>"
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1d6b'/>"
        "<product id='0x0002'/></source></hostdev>"
        "<hostdev mode='subsystem' type='mdev'><source><address uuid='abc'/></source></hostdev>"
        "<interface type='hostdev'><source><address domain='0x0000' bus='0x05' slot='0x10' "
        "function='0x0'/></source><teaming type='transient' persistent='ua-0'/></interface>"
        "<filesystem type='mount'><driver type='virtiofs'/><source dir='/srv/x'/></filesystem>"
        "<filesystem type='mount'><source dir='/srv/y'/></filesystem><shmem name='ivsh'/>",
    )
    assert found.devices == (
        BoundDevice("pci", "0000:03:00.1"),
        BoundDevice("usb", "1d6b:0002"),
        BoundDevice("mdev", "abc"),
        BoundDevice("pci", "0000:05:10.0", failover=True),
        BoundDevice("virtiofs", "/srv/x"),
        BoundDevice("9p", "/srv/y"),
        BoundDevice("shmem", "ivsh"),
    )


def test_firmware_tpm_and_sealed_memory():
    """What lies beside the disks and must come along or exist there."""
    found = needs(
        "<os><loader type='pflash'>/usr/share/OVMF/CODE.fd</loader>"
        "<nvram template='x'>/var/lib/libvirt/qemu/nvram/a.fd</nvram></os>"
        "<launchSecurity type='sev'/>",
        devices="<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>",
    )
    assert found.loader == "/usr/share/OVMF/CODE.fd"
    assert found.nvram == "/var/lib/libvirt/qemu/nvram/a.fd"
    assert (found.tpm, found.sealed) == ("emulator", "sev")


def test_disks_with_chain_copy_job_and_servers():
    """The chain ends where libvirt says so; a mirror is a block job; a network disk has servers."""
    found = needs(
        "",
        devices="<disk type='file' device='disk'><driver name='qemu' cache='writeback'/>"
        "<source file='/a'/><backingStore type='file'><source file='/base'/><backingStore/>"
        "</backingStore><target dev='vda'/><shareable/></disk>"
        "<disk type='file' device='disk'><source file='/b'/><backingStore type='file'>"
        "<source file='/base'/></backingStore><mirror type='file' job='copy'/>"
        "<target dev='vdb'/></disk>"
        "<disk type='network' device='disk'><source protocol='rbd' name='p/i'>"
        "<host name='mon1'/><host name='mon2' port='6790'/></source><target dev='vdc'/></disk>",
    )
    vda, vdb, vdc = found.disks
    assert (vda.cache, vda.backing, vda.chain_known) == ("writeback", ("/base",), True)
    assert vda.shareable
    assert (vdb.backing, vdb.chain_known, vdb.block_job) == (("/base",), False, "copy")
    assert vdc.servers == (("mon1", 6789), ("mon2", 6790))


@given(st.text(max_size=300))
def test_any_text_is_survived(text):
    """A host may send anything: nothing raises."""
    parse_needs(text, 0.0)
    parse_caps(text, "h", 0.0)
    read_domcaps(text)
    lacking(text)
    numbers(text)
