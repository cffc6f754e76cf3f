"""The whole way: sshd, one SSH connection, a forwarded libvirt socket, a real guest."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.model.vm import VmState
from tests.kvm.conftest import Connect
from tests.kvm.daemon import Daemon, guest_xml, until

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab


@pytest.fixture
def remote(daemons: tuple[Daemon, Daemon], tmp_path: Path) -> Iterator[str]:
    """URI of the first daemon through an sshd of our own."""
    sshd = shutil.which("sshd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
    if sshd is None or os.geteuid() != 0:
        pytest.skip("needs sshd and root")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for key in ("host", "id"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)]
        subprocess.run(argv, check=True)
    host_key = (tmp_path / "host.pub").read_text()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {host_key}")
    shutil.copy(tmp_path / "id.pub", tmp_path / "authorized")
    (tmp_path / "conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nUsePAM no\n"
        f"AuthorizedKeysFile {tmp_path}/authorized\nStrictModes no\nPermitRootLogin yes\n"
        "PidFile none\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", str(tmp_path / "conf")], stderr=log)
    try:
        until(lambda: b"listening" in (tmp_path / "log").read_bytes())
        yield (
            f"qemu+ssh://root@127.0.0.1:{port}/session?socket={daemons[0].socket}"
            f"&keyfile={tmp_path}/id&known_hosts={tmp_path}/known"
        )
    finally:
        server.terminate()
        server.wait()


async def test_one_ssh_connection_carries_everything(
    remote: str, daemons: tuple[Daemon, Daemon], connect: Connect
) -> None:
    """Sweep, figures and shell work, and the event loop never waits for libvirt."""
    one, _ = daemons
    late = 0.0

    async def watch() -> None:
        nonlocal late
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            late = max(late, time.monotonic() - began)

    watcher = asyncio.create_task(watch())
    driver = await connect(remote)
    assert driver.route.endswith("forwarded socket")
    disk = one.image("hot", "web1.qcow2")
    await driver.redefine(guest_xml("web1", disk))
    (vm,) = (await driver.read_slow()).vms
    await driver.start(vm.uuid)
    (vm,) = (await driver.read_slow()).vms
    assert vm.state is VmState.RUNNING
    figures = (await driver.read_fast()).vms[vm.uuid]
    assert figures.rss
    shell = await driver.open_shell(80, 24, "xterm")
    await shell.write(b"echo seen-$((40+2))\n")
    said = b""
    async with asyncio.timeout(90):
        while b"seen-42" not in said:
            said += await shell.read()
    await shell.close()
    await driver.destroy(vm.uuid)
    await driver.close()
    watcher.cancel()
    assert late < 5.0  # far below the keepalive that a blocked loop would run into
