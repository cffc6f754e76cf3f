"""Domains as odd as libvirt allows, from their XML through the sweep's parser to the screens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.kvm.domxml import parse_domain
from drivers.kvm.places import Places
from drivers.kvm.stats import Facts, build_vm
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, HostSpec, Link, LinkState
from drivers.model.vm import Vm
from screens.base import FleetScreen
from screens.host import HostScreen
from screens.storage import StorageScreen
from screens.vm import VmScreen
from screens.vms import VmsScreen
from tests.screens.conftest import until
from tests.screens.stage import NOW, Stage, shown_text, view

UUID = "c7a5fdbd-edaf-9455-926a-d65c16db1809"
LONG = "n" * 4000
WIDE = "日本" * 600

DISK = (
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
    "<source file='/images/{0}.qcow2'/><target dev='vd{0}' bus='virtio'/></disk>"
)
NIC = (
    "<interface type='bridge'><mac address='52:54:00:00:00:{0:02x}'/><source bridge='br{0}'/>"
    "<target dev='vnet{0}'/><model type='virtio'/></interface>"
)
VANISHED = (
    "<disk type='file' device='disk'><source file='/gone/away.img'/><target dev='hda'/></disk>"
    "<disk type='block' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>"
    "<disk type='volume' device='disk'><source pool='lost' volume='lost.img'/>"
    "<target dev='vdb'/></disk><disk/>"
)


def domain(name: str, devices: str = "", more: str = "") -> str:
    """Domain XML in libvirt's own shape."""
    return (
        f"<domain type='qemu'><name>{name}</name><uuid>{UUID}</uuid>{more}"
        "<memory unit='KiB'>219136</memory><currentMemory unit='KiB'>219136</currentMemory>"
        "<vcpu placement='static'>1</vcpu>"
        "<os><type arch='i686' machine='pc'>hvm</type><boot dev='hd'/></os>"
        f"<devices><emulator>/usr/bin/qemu-system-i386</emulator>{devices}</devices></domain>"
    )


DOMAINS = {
    "transient": (domain("passing"), "passing"),
    "untitled": (domain("bare", more="<title/><description/>"), "bare"),
    "vanished disk": (domain("holey", VANISHED), "holey"),
    "many devices": (
        domain("crowd", "".join(map(DISK.format, range(60))) + "".join(map(NIC.format, range(40)))),
        "crowd",
    ),
    "no devices": (f"<domain><name>empty</name><uuid>{UUID}</uuid></domain>", "empty"),
    "unreadable": ("<domain><name>torn", "torn"),
    "long name": (domain(LONG, VANISHED.replace("away", LONG), f"<title>{LONG}</title>"), LONG),
    "wide name": (domain(WIDE, DISK.format(0), f"<description>{WIDE}</description>"), WIDE),
}


def as_swept(text: str, name: str, *, running: bool, persistent: bool) -> Vm:
    """The VM that a first sweep makes of it."""
    facts = Facts(UUID, name, "kvm1", 7 if running else -1, persistent=persistent)
    stats: dict[str, object] = {"state.state": 1 if running else 5, "state.reason": 1}
    places = Places()
    made, _ = build_vm(
        facts, parse_domain(text), stats, None, places, at=NOW - 1, now=10.0, with_cpu=True
    )
    return made


def screens() -> list[FleetScreen]:
    return [VmScreen(UUID), VmsScreen(), StorageScreen(), HostScreen("kvm1")]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("kind", DOMAINS)
async def test_the_weirdest_domain_is_shown_with_its_name(
    kind: str, running: bool, number: int
) -> None:
    """In 80x24, running or not; Storage, which lists no VMs, draws and takes keys."""
    text, name = DOMAINS[kind]
    vm = as_swept(text, name, running=running, persistent=kind != "transient")
    spec = HostSpec("kvm1", "qemu+ssh://root@kvm1/system")
    host = Host(spec, Link(LinkState.UP, NOW - 9), vms=(vm,), slow_at=NOW - 1, fast_at=NOW - 1)
    shown = replace(view(), snapshot=FleetSnapshot(NOW, 1, (host,)), jobs=(), events=())
    screen = screens()[number]
    wanted = "Storage" if isinstance(screen, StorageScreen) else name[:6]
    app = Stage(screen, shown)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: wanted in shown_text(app))
        await pilot.press("j", "G", "g", "pagedown", "pageup")
        await until(pilot, lambda: wanted in shown_text(app))
        assert len(shown_text(app).splitlines()) == 24


def test_the_sweep_keeps_every_device() -> None:
    """Sixty disks and forty NICs are all there, and what has no source has none."""
    crowd = as_swept(*DOMAINS["many devices"], running=True, persistent=True)
    assert (len(crowd.disks), len(crowd.nics)) == (60, 40)
    holey = as_swept(*DOMAINS["vanished disk"], running=True, persistent=True)
    assert [disk.source for disk in holey.disks] == ["/gone/away.img", "", "lost/lost.img", ""]
