"""Deleting a volume while one of the host's pools hangs."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drivers.errors import Refused, TimedOut
from drivers.kvm import volumes
from drivers.kvm.session import Session
from drivers.model.host import HostSpec
from drivers.protocol import Prompter
from drivers.ssh.desk import Desk


class LibvirtError(Exception):
    """Stands in for libvirt.libvirtError."""


class Connection:
    """A connection that notes what it was asked; its pools hang until ``gate`` is set."""

    def __init__(
        self, gate: threading.Event | None = None, backing: str = "", disk: str = ""
    ) -> None:
        self.asked: list[str] = []
        self._disk = disk
        self._gate = gate
        self._backing = backing

    def storageVolLookupByPath(self, path: str) -> Any:  # noqa: N802 - libvirt's name
        return SimpleNamespace(
            delete=lambda _flags: self.asked.append(f"delete {path}"),
            name=lambda: path.rpartition("/")[2],
            storagePoolLookupByVolume=lambda: SimpleNamespace(name=lambda: "warm"),
        )

    def listAllDomains(self) -> list[Any]:  # noqa: N802 - libvirt's name
        self.asked.append("domains")
        if not self._disk:
            return []
        text = f"<domain><devices><disk{self._disk}</disk></devices></domain>"
        return [SimpleNamespace(XMLDesc=lambda _flags: text, name=lambda: "web2")]

    def listAllStoragePools(self, _flags: int) -> list[Any]:  # noqa: N802 - libvirt's name
        self.asked.append("pools")
        if self._gate is not None:
            self._gate.wait(30)
        text = f"<volume><backingStore><path>{self._backing}</path></backingStore></volume>"
        volume = SimpleNamespace(XMLDesc=lambda _flags: text, path=lambda: "/srv/top.qcow2")
        return [SimpleNamespace(listAllVolumes=lambda: [volume])]

    def close(self) -> None:
        self.asked.append("close")


class TwoConnections(Session):
    """A session with a first connection and one for long questions."""

    def __init__(self, extra: Connection, disk: str = "") -> None:
        spec = HostSpec("kvm1", "qemu:///system", deadline_s=0.3)
        super().__init__(spec, cast(Prompter, None), lambda _why: None, Desk())
        self.conn = Connection(disk=disk)
        self.lv = SimpleNamespace(
            libvirtError=LibvirtError,
            VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE=2,
            VIR_DOMAIN_XML_INACTIVE=2,
        )
        self.another = extra

    async def second(self) -> Any:
        return self.another


async def test_a_pool_that_hangs_costs_the_first_connection_no_turn() -> None:
    """The deletion gives up with its reason; what reads the host was asked nothing."""
    gate = threading.Event()
    session = TwoConnections(Connection(gate))
    try:
        with pytest.raises(TimedOut, match="what is built on it could not be read"):
            await volumes.delete(session, "/srv/a.qcow2")
        assert session.conn.asked == []
    finally:
        gate.set()


async def test_an_overlay_forbids_the_deletion() -> None:
    """It is named, and nothing is deleted."""
    session = TwoConnections(Connection(backing="/srv/a.qcow2"))
    with pytest.raises(Refused, match=r"/srv/top\.qcow2 is built on it"):
        await volumes.delete(session, "/srv/a.qcow2")
    assert session.conn.asked == []


@pytest.mark.parametrize(
    "disk",
    [
        " type='file'><source file='/srv/a.qcow2'/>",
        " type='volume'><source pool='warm' volume='a.qcow2'/>",
        " type='file'><source file='/other/top.qcow2'/><backingStore type='file'>"
        "<source file='/other/middle.qcow2'/><backingStore type='file'>"
        "<source file='/srv/a.qcow2'/></backingStore></backingStore>",
        " type='file'><source file='/other/top.qcow2'/><backingStore type='volume'>"
        "<source pool='warm' volume='a.qcow2'/></backingStore>",
        " type='file'><source file='/other/b.qcow2'/><mirror type='file'>"
        "<source file='/srv/a.qcow2'/></mirror>",
    ],
)
async def test_whatever_way_a_domain_needs_it_forbids_the_deletion(disk: str) -> None:
    """By its path or its pool and name, and below a disk that lies in no pool."""
    session = TwoConnections(Connection(), disk)
    with pytest.raises(Refused, match="web2 uses it"):
        await volumes.delete(session, "/srv/a.qcow2")
    assert session.conn.asked == ["domains"]


async def test_a_volume_nobody_needs_is_deleted() -> None:
    """The domains are looked at last, right before it goes."""
    session = TwoConnections(Connection())
    await volumes.delete(session, "/srv/a.qcow2")
    assert session.conn.asked == ["domains", "delete /srv/a.qcow2"]
    assert session.another.asked == ["pools", "close"]
