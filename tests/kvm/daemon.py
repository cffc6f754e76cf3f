"""Throw-away libvirtd daemons for tests: unprivileged, each in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

NOBODY = 65534


def available() -> str:
    """Why real daemons cannot run here; empty when they can."""
    for tool in ("libvirtd", "qemu-system-x86_64", "qemu-img"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    return ""


def until(condition: Callable[[], object], seconds: float = 90.0) -> None:
    """Wait for a condition; AssertionError after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class Daemon:
    """One session libvirtd with its own identity, pools and migration ports.

    Args:
        folder: Where everything lies; removed by the caller.
        number: Tells daemons of one test apart.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder / f"d{number}"
        self.number = number
        self.process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(parents=True)
        for name in ("run", "config/libvirt", "cache", "data", "hot", "cold"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "run").chmod(0o700)
        port = 49200 + 40 * number + (os.getpid() % 20) * 200 % 10000
        (self.folder / "config/libvirt/libvirtd.conf").write_text(f'host_uuid = "{uuid.uuid4()}"\n')
        (self.folder / "config/libvirt/qemu.conf").write_text(
            f'stdio_handler = "file"\nmigration_port_min = {port}\n'
            f"migration_port_max = {port + 30}\n"
        )
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(self.folder)], check=True)

    @property
    def socket(self) -> Path:
        return self.folder / "run/libvirt/libvirt-sock"

    @property
    def uri(self) -> str:
        return f"qemu+unix:///session?socket={self.socket}"

    def start(self) -> None:
        env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin",
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_DATA_HOME": str(self.folder / "data"),
        }
        conf = self.folder / "config/libvirt/libvirtd.conf"
        drop: list[str] = []
        if os.geteuid() == 0:
            drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*drop, "libvirtd", "-f", str(conf)], env=env, stdout=log, stderr=log
            )
        until(self.socket.is_socket)

    def kill(self) -> None:
        """Kill libvirtd alone; its guests run on."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.socket.unlink(missing_ok=True)

    def qemu_pids(self) -> dict[str, int]:
        """Guest name to process id."""
        found: dict[str, int] = {}
        for path in self.folder.glob("run/libvirt/qemu/run/*.pid"):
            found[path.stem] = int(path.read_text())
        return found

    def stop(self) -> None:
        """End guests and daemon."""
        for pid in self.qemu_pids().values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.kill()

    def image(self, pool: str, name: str, size: str = "64M", fmt: str = "qcow2") -> Path:
        path = self.folder / pool / name
        subprocess.run(["qemu-img", "create", "-q", "-f", fmt, str(path), size], check=True)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        return path


def guest_xml(
    name: str, disk: Path, fmt: str = "qcow2", *, extra: str = "", memory: int = 32
) -> str:
    """A guest without an operating system: SeaBIOS looks for one and then waits."""
    return f"""<domain type='qemu'><name>{name}</name><uuid>{uuid.uuid4()}</uuid>
<metadata><nova:novacron xmlns:nova='https://novacron.dev/xmlns/domain/1'>
<nova:tags>web, prod</nova:tags><nova:tenant>acme</nova:tenant></nova:novacron></metadata>
<memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><bios useserial='yes'/></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='{fmt}' cache='none'/>
<source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
<serial type='pty'/><console type='pty'/>
<graphics type='vnc' port='-1' autoport='yes' passwd='hunter2'/>
<memballoon model='virtio'><stats period='5'/></memballoon>{extra}</devices></domain>"""


def pool_xml(name: str, path: Path) -> str:
    return f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
