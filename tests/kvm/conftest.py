"""Drivers over libvirt's test driver and over throw-away real daemons."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from drivers.kvm.driver import KvmDriver
from drivers.model.ask import HostKeyQuestion, KeyDecision, SecretQuestion
from drivers.model.host import HostSpec, Protect
from tests.kvm.daemon import Daemon, available, pool_xml

Connect = Callable[..., Awaitable[KvmDriver]]


class Nobody:
    """A prompter with nobody behind it."""

    async def host_key(self, question: HostKeyQuestion) -> KeyDecision:
        return KeyDecision.REFUSE

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        return None


@pytest.fixture
def daemons() -> Iterator[tuple[Daemon, Daemon]]:
    """Two running session daemons with nothing defined."""
    why = available()
    if why:
        pytest.fail(why)
    # Short: a unix socket's path has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="nk", dir="/tmp"))
    folder.chmod(0o755)
    made: list[Daemon] = []
    try:
        for number in (1, 2):
            made.append(Daemon(folder, number))
            made[-1].start()
        yield made[0], made[1]
    finally:
        for daemon in made:
            daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connects drivers and closes them at the end."""
    drivers: list[KvmDriver] = []

    async def to(target: Daemon | str, **more: object) -> KvmDriver:
        daemon = target if isinstance(target, Daemon) else None
        name = f"kvm{daemon.number}" if daemon is not None else "kvm"
        options: dict[str, object] = {"protect": Protect.RW}
        if daemon is not None:
            options |= {
                "migrate_uri": "tcp://127.0.0.1",
                "peer_uri": daemon.uri,
                "tiers": {"hot": "hot", "cold": "cold"},
            }
        uri = daemon.uri if daemon is not None else str(target)
        driver = KvmDriver(HostSpec(name, uri, **(options | more)), Nobody())  # type: ignore[arg-type]
        drivers.append(driver)
        await driver.connect()
        return driver

    yield to
    for driver in drivers:
        await driver.close()


async def add_pools(driver: KvmDriver, daemon: Daemon) -> None:
    """Define and start the daemon's two pools, which no driver call does."""
    live = driver._up()

    def define() -> None:
        for name in ("hot", "cold"):
            pool = live.session.conn.storagePoolDefineXML(pool_xml(name, daemon.folder / name))
            pool.create()

    await live.session.call(define, "the pools could not be defined")
