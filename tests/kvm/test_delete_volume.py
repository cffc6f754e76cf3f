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

    def __init__(self, gate: threading.Event | None = None, backing: str = "") -> None:
        self.asked: list[str] = []
        self._gate = gate
        self._backing = backing

    def storageVolLookupByPath(self, path: str) -> Any:  # noqa: N802 - libvirt's name
        return SimpleNamespace(delete=lambda _flags: self.asked.append(f"delete {path}"))

    def listAllDomains(self) -> list[Any]:  # noqa: N802 - libvirt's name
        self.asked.append("domains")
        return []

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

    def __init__(self, extra: Connection) -> None:
        spec = HostSpec("kvm1", "qemu:///system", deadline_s=0.3)
        super().__init__(spec, cast(Prompter, None), lambda _why: None, Desk())
        self.conn = Connection()
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


async def test_a_volume_nobody_needs_is_deleted() -> None:
    """The domains are looked at last, right before it goes."""
    session = TwoConnections(Connection())
    await volumes.delete(session, "/srv/a.qcow2")
    assert session.conn.asked == ["domains", "delete /srv/a.qcow2"]
    assert session.another.asked == ["pools", "close"]
