"""A host without privileges: an ordinary user's libvirtd and sshd with folders of their own."""

from __future__ import annotations

import os
import pwd
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from drivers.errors import Refused
from drivers.lab import keys, xml
from drivers.lab.host import LabHost
from drivers.lab.model import TIERS
from drivers.lab.plan import PORTS_PER_HOST, LabPlan
from drivers.lab.processes import MARK, Process, every_pid, from_pidfile, probes_of


class UserHost(LabHost):
    """Reached by sshd on a high loopback port; its disks are at paths of its own."""

    def __init__(self, lab: Path, plan: LabPlan, number: int) -> None:
        super().__init__(lab, plan, number)
        user = _login()
        port = plan.first_port + (number - 1) * PORTS_PER_HOST
        self.place = keys.SshPlace(self.name, "127.0.0.1", port, user)
        socket = quote(str(self.folder / "r" / "libvirt" / "libvirt-sock"), safe="/")
        self.direct_uri = f"qemu+unix:///session?socket={socket}"
        self.uri = f"qemu+ssh://{user}@{self.name}/session?socket={socket}"
        self.peer_uri = self.direct_uri
        self.migrate_uri = "tcp://127.0.0.1"

    def prepare(self) -> None:
        """Make folders, configuration and keys."""
        for name in ("r", "c/libvirt", "d", "h", "etc", "log", "ssh", *TIERS):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        port = self.place.port
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"novacron-lab/{self.plan.token}/{self.name}")
        (self.folder / "etc" / "libvirtd.conf").write_text(
            f'host_uuid = "{identity}"\n'
            f'log_outputs = "3:file:{self.folder}/log/libvirtd.log"\n'
            'auth_unix_rw = "none"\n'
        )
        (self.folder / "c" / "libvirt" / "qemu.conf").write_text(
            'security_driver = "none"\n'
            'stdio_handler = "file"\n'
            f"migration_port_min = {port + 1}\n"
            f"migration_port_max = {port + PORTS_PER_HOST - 1}\n"
        )
        keys.make_key(self.lab, self.host_key, self.name)

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command itself: only the environment tells hosts apart."""
        return list(argv)

    def environment(self) -> dict[str, str]:
        """XDG folders of the host's own, and the lab's mark."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
            "USER": self.place.user,
            "LIBVIRT_AUTOSTART": "0",
            **self._folders(),
        }

    def _folders(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder / "h"),
            "XDG_RUNTIME_DIR": str(self.folder / "r"),
            "XDG_CONFIG_HOME": str(self.folder / "c"),
            "XDG_CACHE_HOME": str(self.folder / "d" / "cache"),
            "XDG_DATA_HOME": str(self.folder / "d"),
            MARK: str(self.lab),
        }

    def inside(self, path: Path) -> str:
        """The same path."""
        return str(path)

    def pool_path(self, pool: str) -> str:
        """A folder of the host's own."""
        return str(self.folder / pool)

    def pool_folder(self, pool: str) -> Path:
        """The same folder."""
        return self.folder / pool

    def daemon(self, program: str) -> Process | None:
        """By pidfile, when the process really is that program."""
        files = {
            "libvirtd": self.folder / "r" / "libvirt" / "libvirtd.pid",
            "sshd": self.folder / "ssh" / "sshd.pid",
        }
        return from_pidfile(files[program], program)

    def qemu(self, vm: str) -> Process | None:
        """By libvirt's pidfile."""
        return from_pidfile(self.folder / "r" / "libvirt/qemu/run" / f"{vm}.pid", "qemu")

    def probes(self) -> tuple[Process, ...]:
        """By the monitor's path, which is in the host's folder."""
        return probes_of(f"{self.folder}/c/libvirt/qemu/lib", every_pid())

    def base_sshd_options(self) -> dict[str, str]:
        """An sshd that an ordinary user can run: no PAM, its own keys, its own port."""
        settings = " ".join(f"{name}={value}" for name, value in self._folders().items())
        return {
            "Port": str(self.place.port),
            "ListenAddress": "127.0.0.1",
            "HostKey": str(self.host_key),
            "PidFile": str(self.folder / "ssh" / "sshd.pid"),
            "AuthorizedKeysFile": str(self.lab / "ssh" / "authorized_keys"),
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "Subsystem": "sftp internal-sftp",
            "SetEnv": settings,
        }

    def nic(self, mac: str) -> str:
        """QEMU's own user-mode network: taps need privileges."""
        return xml.nic_xml("user", mac)


def _login() -> str:
    """The name under which sshd finds who runs this.

    Raises:
        Refused: There is none, as in a container run under a bare user id.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError as error:
        raise Refused(
            f"user id {os.getuid()} has no name on this machine, and sshd needs one",
            "there is no entry in /etc/passwd",
            "run it as a user of this machine, or use novacron demo --simulated",
        ) from error
