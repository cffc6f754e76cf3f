"""A host in namespaces: its own network, mounts, hostname and processes; needs root.

Inside, everything is where a real host has it: sshd on port 22, ``qemu:///system``, pools under
/var/lib/libvirt, names that resolve, root's SSH key for the other hosts.
"""

from __future__ import annotations

import pwd
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from drivers.errors import Failed
from drivers.lab import keys, xml
from drivers.lab.box import Box
from drivers.lab.faults import Cable
from drivers.lab.host import LabHost
from drivers.lab.model import TIERS, TINY_POOL
from drivers.lab.plan import LabPlan
from drivers.lab.processes import Process, probes_of, program_of
from drivers.lab.switch import Switch

OPERATOR = "operator"
"""A second login of each host, which may use libvirt and has a password."""

OPERATOR_PASSWORD = "practice fleet only"  # noqa: S105 - of a login that exists in the lab alone
"""Password of ``OPERATOR``; sshd takes it once ``reconfigure_sshd`` allows passwords."""

_OPERATOR_ID = 64901
_ROOT_SHADOW = "root:*:19000:0:99999:7:::"
_ACCOUNTS = Path("/etc")
_LAB = Path("/run/novacron")
_WHOLE = "run/whole"  # in the box's own /run: its network is complete
_TINY_MIB = 12


class NetnsHost(LabHost):
    """Reached by sshd on port 22 of an address in the lab's own subnet."""

    def __init__(self, lab: Path, plan: LabPlan, number: int, switch: Switch) -> None:
        super().__init__(lab, plan, number)
        self.switch = switch
        self.box = Box(lab, self.name)
        self.address = f"{plan.subnet}.{10 + number}"
        self.place = keys.SshPlace(self.name, self.address, 22, "root")
        self.cable: Cable = Cable(self.name, self.address, self.box, switch)
        self.home = pwd.getpwuid(0).pw_dir
        self.direct_uri = "qemu:///system"
        self.uri = f"qemu+ssh://root@{self.name}/system"
        identity = f"{self.home}/.ssh/id_ed25519"
        self.peer_uri = f"qemu+ssh://root@{self.name}/system?keyfile={identity}&no_tty=1"
        self.migrate_uri = f"tcp://{self.address}"

    def prepare(self) -> None:
        """Make the box with its mounts and network unless it is there, and mend its cable."""
        keys.make_key(self.lab, self.host_key, self.name)
        if self.box.process is None or not (self.box.root / _WHOLE).exists():
            self._make_box()
        self.cable.link_up()

    def _make_box(self) -> None:
        """The hardware address is always the same: nobody has to forget an old one."""
        self._write_files()
        self.box.start(self._setup_script())
        self.switch.plug(self.name, self.box)
        token = bytes.fromhex(self.plan.token)
        nic = bytes([2, *token, 0, self.number]).hex(":")
        self.box.ip("link", "add", "br0", "address", nic, "type", "bridge")
        self.box.ip("link", "set", "eth0", "master", "br0", "up")
        self.box.ip("addr", "add", f"{self.address}/24", "dev", "br0")
        self.box.ip("link", "set", "br0", "up")
        (self.box.root / _WHOLE).touch()

    def _write_files(self) -> None:
        for name in ("etc/libvirt", "lib", "log/libvirt", "cache", "run", "ssh", "home/.ssh"):
            (self.folder / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        for tier in (*TIERS, TINY_POOL):
            self.pool_folder(tier).mkdir(mode=0o711, parents=True, exist_ok=True)
        etc = self.folder / "etc"
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"novacron-lab/{self.plan.token}/{self.name}")
        (etc / "libvirtd.conf").write_text(
            f'host_uuid = "{identity}"\n'
            'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"\n'
            f'unix_sock_group = "{OPERATOR}"\n'
            'unix_sock_rw_perms = "0770"\n'
            'auth_unix_ro = "none"\n'
            'auth_unix_rw = "none"\n'
        )
        (etc / "libvirt" / "qemu.conf").write_text(
            'user = "root"\n'
            'group = "root"\n'
            'security_driver = "none"\n'
            "cgroup_controllers = [ ]\n"
            "namespaces = [ ]\n"
            'stdio_handler = "file"\n'
            "remember_owner = 0\n"
        )
        names = "".join(
            f"{self.plan.subnet}.{11 + index} {name}\n"
            for index, name in enumerate(self.plan.host_names)
        )
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        self._write_accounts(etc)
        ssh = self.folder / "home" / ".ssh"
        for name in ("id_ed25519", "id_ed25519.pub"):
            shutil.copy(self.lab / "ssh" / name.replace("id_", "peer_"), ssh / name)
        shutil.copy(self.lab / "ssh" / "known_hosts", ssh / "known_hosts")

    def _write_accounts(self, etc: Path) -> None:
        """This machine's accounts and the operator's, for the box alone."""
        number = _OPERATOR_ID
        extra = {
            "passwd": f"{OPERATOR}:x:{number}:{number}:Practice operator:/run/operator:/bin/sh",
            "group": f"{OPERATOR}:x:{number}:",
            "shadow": f"{OPERATOR}:{_crypt(OPERATOR_PASSWORD)}:19000:0:99999:7:::",
        }
        for name, line in extra.items():
            lines = (_ACCOUNTS / name).read_text().splitlines()
            # Debian has an operator of its own, and the first of a name is the one that counts.
            kept = [old for old in lines if not old.startswith(f"{OPERATOR}:")]
            if name == "shadow":  # Ubuntu's root is locked, and sshd lets such a login in by no key
                kept = [_ROOT_SHADOW if old.startswith("root:") else old for old in kept]
            keys.write_private(etc / name, "\n".join([*kept, line]) + "\n")
            (etc / name).chmod(0o640 if name == "shadow" else 0o644)
        (etc / "pam-sshd").write_text(
            "auth required pam_unix.so\n"
            "account required pam_unix.so\n"
            "session required pam_permit.so\n"
        )

    def _setup_script(self) -> str:
        """Shell lines that mount the host's own folders over the system's, inside the box."""
        mine = _LAB / self.name
        binds = [
            (f"{mine}/etc/libvirt", "/etc/libvirt"),
            (f"{mine}/etc/hosts", "/etc/hosts"),
            (f"{mine}/etc/passwd", "/etc/passwd"),
            (f"{mine}/etc/group", "/etc/group"),
            (f"{mine}/etc/shadow", "/etc/shadow"),
            (f"{mine}/etc/pam-sshd", "/etc/pam.d/sshd"),
            (f"{mine}/lib", "/var/lib/libvirt"),
            (f"{mine}/log/libvirt", "/var/log/libvirt"),
            (f"{mine}/cache", "/var/cache/libvirt"),
            (f"{mine}/home", self.home),
        ]
        return "\n".join(
            [
                f"run='{self.folder}/run'",
                'mount -n -t tmpfs -o mode=755 tmpfs "$run"',
                'mkdir -p "$run/novacron" "$run/sshd" "$run/operator" "$run/lock"',
                f"mount -n --bind '{self.lab}' \"$run/novacron\"",
                'mount -n --move "$run" /run',
                f"chown {_OPERATOR_ID} /run/operator",
                *(f"mount -n --bind {source} {target}" for source, target in binds),
                f"mount -n -t tmpfs -o size={_TINY_MIB}m tmpfs /var/lib/libvirt/{TINY_POOL}",
                "mount -n -t sysfs sysfs /sys",
                f"hostname {self.name}",
                "ip link set lo up",
            ]
        )

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command inside the host's box."""
        return self.box.command(argv)

    def environment(self) -> dict[str, str]:
        """The lab's mark and root's own home."""
        return {**self.box.environment(), "HOME": self.home, "USER": "root"}

    def inside(self, path: Path) -> str:
        """The lab's folder is /run/novacron on each host."""
        return str(_LAB / path.relative_to(self.lab))

    def pool_path(self, pool: str) -> str:
        """The same on each host."""
        return f"/var/lib/libvirt/{pool}"

    def pool_folder(self, pool: str) -> Path:
        """In the host's own folder; a tmpfs inside the box for the tiny pool."""
        if pool == TINY_POOL and self.box.process is not None:
            return self.box.root / "var/lib/libvirt" / pool
        return self.folder / "lib" / pool

    def extra_pools(self) -> tuple[str, ...]:
        """The pool that is soon full."""
        return (TINY_POOL,)

    def daemon(self, program: str) -> Process | None:
        """By the pidfile inside the box, when the process really is that program."""
        return self._by_pidfile(f"run/{program}.pid", program)

    def qemu(self, vm: str) -> Process | None:
        """By libvirt's pidfile inside the box."""
        return self._by_pidfile(f"run/libvirt/qemu/{vm}.pid", "qemu")

    def probes(self) -> tuple[Process, ...]:
        """By the monitor's path, among the processes of the box."""
        if self.box.process is None:
            return ()
        return probes_of("/var/lib/libvirt/qemu", self.box.pids())

    def _by_pidfile(self, path: str, program: str) -> Process | None:
        if self.box.process is None:
            return None
        try:
            inner = int((self.box.root / path).read_text().strip())
        except (OSError, ValueError):
            return None
        found = self.box.outer(inner)
        return found if found and program_of(found.pid).startswith(program) else None

    def base_sshd_options(self) -> dict[str, str]:
        """sshd as distributions have it, with the lab's keys."""
        return {
            "Port": "22",
            "HostKey": self.inside(self.host_key),
            "PidFile": "/run/sshd.pid",
            "AuthorizedKeysFile": self.inside(self.lab / "ssh" / "authorized_keys"),
            "StrictModes": "no",
            "PermitRootLogin": "prohibit-password",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "UseDNS": "no",
            "Subsystem": "sftp internal-sftp",
        }

    def nic(self, mac: str) -> str:
        """A tap on the host's bridge, through the lab's network."""
        return xml.nic_xml("network", mac)

    def ensure_network(self) -> None:
        """Define and start the libvirt network that joins guests to the host's bridge."""
        if xml.NETWORK not in self.virsh("net-list", "--name").split():
            path = self.folder / "etc" / "network.xml"
            path.write_text(xml.network_xml("br0"))
            steps = [f"net-start {xml.NETWORK}"]
            if xml.NETWORK not in self.virsh("net-list", "--all", "--name").split():
                define = [f"net-define {self.inside(path)}", f"net-autostart {xml.NETWORK}"]
                steps = [*define, *steps]
            self.virsh("; ".join(steps))


def _crypt(password: str) -> str:
    """A SHA-512 crypt of a password, by busybox or, where that one cannot, by openssl."""
    said = ""
    for argv in (("busybox", "mkpasswd", "-m", "sha512", "-P", "0"), _OPENSSL):
        if shutil.which(argv[0]) is not None:
            done = subprocess.run(argv, input=password, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout.strip()
            said = said or done.stderr.strip()
    raise Failed("a password for the lab's operator could not be hashed", said)


_OPENSSL = ("openssl", "passwd", "-6", "-stdin")
