"""A pool that hangs, as on a dead NFS server, holds up nothing but itself."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any, cast

from drivers.kvm.calls import Calls
from drivers.kvm.pools import PoolReader
from drivers.kvm.session import Session
from drivers.model.host import HostSpec


class LibvirtError(Exception):
    """Stands in for libvirt.libvirtError."""


class FakePool:
    """A storage pool; ``gate`` holds up whoever asks for its sizes until it is set."""

    def __init__(self, name: str, gate: threading.Event | None = None) -> None:
        self._name = name
        self._gate = gate
        self.asked = 0

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's name
        return f"uuid of {self._name}"

    def name(self) -> str:
        return self._name

    def info(self) -> tuple[int, int, int, int]:
        self.asked += 1
        if self._gate is not None:
            self._gate.wait(30)
        return 2, 100, 40, 60

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802 - libvirt's name
        return f"<pool type='dir'><target><path>/{self._name}</path></target></pool>"

    def listAllVolumes(self) -> list[object]:  # noqa: N802 - libvirt's name
        return []

    def autostart(self) -> int:
        return 1


def session_of(*pools: FakePool) -> Session:
    """A session whose connection knows these pools."""

    async def call(ask: Any, _what: str) -> Any:
        return ask()

    conn = SimpleNamespace(
        listAllStoragePools=lambda: list(pools),
        storagePoolLookupByUUIDString=lambda uuid: next(p for p in pools if p.UUIDString() == uuid),
    )
    spec = HostSpec("kvm1", "qemu:///system", deadline_s=2.0, tiers={"dead": "cold"})
    lv = SimpleNamespace(libvirtError=LibvirtError)
    known = SimpleNamespace(spec=spec, conn=conn, lv=lv, call=call, calls=Calls())
    return cast(Session, known)


async def test_a_hung_pool_holds_up_no_other() -> None:
    """The others show their sizes; the hung one shows why, is asked once, and comes back."""
    gate = threading.Event()
    dead, first, last = FakePool("dead", gate), FakePool("alpha"), FakePool("zulu")
    reader = PoolReader(session_of(first, dead, last))
    try:
        told = {pool.name: pool for pool in await reader.read([])}
        assert [told[name].capacity for name in ("alpha", "zulu")] == [100, 100]
        problem = told["dead"].problem
        assert problem is not None
        assert "pool dead of kvm1" in problem.what
        assert told["dead"].tier == "cold"
        began = time.monotonic()
        told = {pool.name: pool for pool in await reader.read([])}
        assert time.monotonic() - began < 1.9  # it is not waited for a second time
        assert told["dead"].problem is not None
        assert dead.asked == 1
        gate.set()
        end = time.monotonic() + 60
        while {p.name: p for p in await reader.read([])}["dead"].problem is not None:
            assert time.monotonic() < end
        assert first.asked >= 3
    finally:
        gate.set()
        reader.close()


async def test_a_pool_that_is_gone_leaves_no_thread() -> None:
    """Pools come and go over days; the console holds a thread for those that are there."""
    pools = [FakePool("keep"), FakePool("passing")]
    reader = PoolReader(session_of(*pools))
    try:
        await reader.read([])
        threads = {t.name: t for t in threading.enumerate() if t.name.startswith("pool ")}
        passing = threads["pool passing of kvm1"]
        conn = cast(Any, reader._session.conn)
        conn.listAllStoragePools = lambda: pools[:1]
        assert [pool.name for pool in await reader.read([])] == ["keep"]
        passing.join(60)
        assert not passing.is_alive()
        assert threads["pool keep of kvm1"].is_alive()
    finally:
        reader.close()


async def test_ages_of_pools_follow_the_clock_of_the_console() -> None:
    """A pool's age is told by the same clock as everything else, whether it answered or not."""
    gate = threading.Event()
    reader = PoolReader(session_of(FakePool("alpha"), FakePool("dead", gate)), lambda: 1234.5)
    try:
        assert [pool.at for pool in await reader.read([])] == [1234.5, 1234.5]
    finally:
        gate.set()
        reader.close()
