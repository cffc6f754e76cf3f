"""Volumes made outside libvirt, looked for on real daemons without ever stopping a pool."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from drivers.kvm.driver import KvmDriver
from drivers.model.host import Protect
from drivers.model.storage import Pool
from tests.kvm.conftest import Connect, add_pools
from tests.kvm.daemon import Daemon

pytest.importorskip("libvirt")

Daemons = tuple[Daemon, Daemon]


async def pools(driver: KvmDriver) -> dict[str, Pool]:
    return {pool.name: pool for pool in await driver.read_pools()}


def names(pool: Pool) -> set[str]:
    return {volume.name for volume in pool.volumes}


async def test_a_file_made_outside_libvirt_is_seen_once_asked(
    daemons: Daemons, connect: Connect
) -> None:
    """An image copied into the pool's folder is a volume after a refresh, and not before."""
    one, _ = daemons
    driver = await connect(one)
    await add_pools(driver, one)
    await asyncio.to_thread((one.folder / "hot" / "copied.raw").write_bytes, bytes(1 << 20))
    assert "copied.raw" not in names((await pools(driver))["hot"])
    await driver.refresh_pools()
    assert "copied.raw" in names((await pools(driver))["hot"])


async def test_a_pool_whose_folder_is_gone_is_not_touched(
    daemons: Daemons, connect: Connect
) -> None:
    """libvirt would stop it: it stays active until the folder is back, and others are refreshed."""
    one, _ = daemons
    driver = await connect(one)
    await add_pools(driver, one)
    one.image("cold", "kept.raw")
    await driver.refresh_pools()
    await asyncio.to_thread(shutil.move, one.folder / "cold", one.folder / "away")
    one.image("hot", "new.raw")
    await driver.refresh_pools()
    after = await pools(driver)
    assert after["cold"].active
    assert "new.raw" in names(after["hot"])
    await asyncio.to_thread(shutil.move, one.folder / "away", one.folder / "cold")
    assert "kept.raw" in names((await pools(driver))["cold"])


async def test_a_pool_that_a_refresh_stopped_is_started_again(
    daemons: Daemons, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder goes in the moment between the proof and the refresh, and is back at once."""
    from drivers.kvm import rescan

    one, _ = daemons
    driver = await connect(one)
    await add_pools(driver, one)
    cold, away = one.folder / "cold", one.folder / "away"

    async def answered(_session: object, folder: str) -> bool:
        if folder == str(cold):
            await asyncio.to_thread(shutil.move, cold, away)
        return True

    refresh = rescan.refresh

    def fail_then_return(session: object, uuid: str) -> None:
        handle = session.conn.storagePoolLookupByUUIDString(uuid)  # type: ignore[attr-defined]
        if handle.name() != "cold":
            refresh(session, uuid)  # type: ignore[arg-type]
            return
        with pytest.raises(session.lv.libvirtError):  # type: ignore[attr-defined]
            handle.refresh(0)
        shutil.move(away, cold)
        assert not handle.isActive()
        with pytest.raises(session.lv.libvirtError):  # type: ignore[attr-defined]
            refresh(session, uuid)  # type: ignore[arg-type]

    monkeypatch.setattr(rescan, "answers", answered)
    monkeypatch.setattr(rescan, "refresh", fail_then_return)
    await driver.refresh_pools()
    assert (await pools(driver))["cold"].active


async def test_a_read_only_host_is_not_asked(daemons: Daemons, connect: Connect) -> None:
    """protect = "ro": a refresh changes what libvirt knows, so it is left out without a word."""
    one, _ = daemons
    owner = await connect(one)
    await add_pools(owner, one)
    driver = await connect(one, protect=Protect.RO)
    one.image("hot", "new.raw")
    await driver.refresh_pools()
    assert "new.raw" not in names((await pools(driver))["hot"])
