"""One practice host: a real libvirtd and a real sshd, however it is kept apart from the others."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from drivers.errors import Failed, Gone, TimedOut, Unsupported
from drivers.lab import keys, xml
from drivers.lab.faults import Cable
from drivers.lab.model import TIERS, GuestSpec, HostStatus
from drivers.lab.plan import LabPlan
from drivers.lab.processes import Process, is_alive, send, wait_until
from drivers.model.host import HostSpec

START_S = 90.0
"""Seconds a daemon may take to start on a busy machine."""


class LabHost(ABC):
    """What both kinds of host share: daemons, pools, domains and the words to reach them.

    Attributes:
        name: ``kvm1`` and so on.
        folder: The host's own folder inside the lab's.
        uri: libvirt URI over SSH, for the console; needs the lab's ssh_config.
        direct_uri: libvirt URI for the stock ``virsh`` run through ``run``.
        peer_uri: libvirt URI that the other hosts' daemons use to reach this one.
        migrate_uri: Where the other hosts send migration data.
        place: Where ssh finds it.
        cable: Its network cable; None where hosts share this machine's network.
    """

    uri: str
    direct_uri: str
    peer_uri: str
    migrate_uri: str
    place: keys.SshPlace
    cable: Cable | None = None

    def __init__(self, lab: Path, plan: LabPlan, number: int) -> None:
        self.lab = lab
        self.plan = plan
        self.number = number
        self.name = f"kvm{number}"
        self.folder = lab / self.name
        self.sshd_options: dict[str, str] = {}

    # How this kind of host does things.

    @abstractmethod
    def prepare(self) -> None:
        """Make folders, configuration and whatever keeps the host apart; safe to repeat."""

    @abstractmethod
    def command(self, argv: Sequence[str]) -> list[str]:
        """``argv`` as this machine must run it so that it runs on the host."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Environment of everything run on the host."""

    @abstractmethod
    def inside(self, path: Path) -> str:
        """A path of this machine, as the host sees it."""

    @abstractmethod
    def pool_path(self, pool: str) -> str:
        """A pool's directory, as the host sees it."""

    @abstractmethod
    def pool_folder(self, pool: str) -> Path:
        """A pool's directory, as this machine sees it."""

    @abstractmethod
    def daemon(self, program: str) -> Process | None:
        """The running ``libvirtd`` or ``sshd`` of this host."""

    @abstractmethod
    def qemu(self, vm: str) -> Process | None:
        """The QEMU process of a running guest."""

    @abstractmethod
    def probes(self) -> tuple[Process, ...]:
        """QEMUs that a libvirtd started to learn what they can do; they outlive a killed one."""

    @abstractmethod
    def base_sshd_options(self) -> dict[str, str]:
        """sshd's configuration before ``reconfigure_sshd``."""

    @abstractmethod
    def nic(self, mac: str) -> str:
        """XML of a guest's network card."""

    def extra_pools(self) -> tuple[str, ...]:
        """Pools besides the three tiers."""
        return ()

    # Running things on the host.

    def run(
        self, argv: Sequence[str], *, timeout: float = 60.0, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host.

        Raises:
            Failed: It ended with an error and ``check`` is set.
            TimedOut: It took longer than ``timeout`` seconds.
        """
        try:
            done = subprocess.run(
                self.command(argv),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TimedOut(
                f"{argv[0]} on {self.name} gave no answer within {timeout:g} s"
            ) from error
        if check and done.returncode:
            raise Failed(
                f"{argv[0]} failed on the practice host {self.name}",
                f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()[-600:]}",
                "run: novacron lab down, then novacron lab up",
            )
        return done

    def virsh(self, *argv: str, timeout: float = 60.0, check: bool = True) -> str:
        """Run a virsh command on the host's own daemon; returns what it printed."""
        done = self.run(["virsh", "-q", "-c", self.direct_uri, *argv], timeout=timeout, check=check)
        return done.stdout.strip()

    def spec(self) -> HostSpec:
        """What the console needs to reach this host."""
        return HostSpec(
            name=self.name,
            uri=self.uri,
            site="lab",
            tags=("practice",),
            tiers={tier: tier for tier in TIERS},
            ssh_config=str(self.lab / "ssh" / "config"),
            migrate_uri=self.migrate_uri,
            peer_uri=self.peer_uri,
        )

    # The network, where the host has one of its own.

    def link_down(self) -> None:
        """Pull the host's network cable."""
        self._cable().link_down()

    def link_up(self) -> None:
        """Mend whatever was done to the cable."""
        self._cable().link_up()

    def blackhole(self) -> None:
        """Swallow every packet to and from the host without any error."""
        self._cable().blackhole()

    def slow(self, delay_ms: float, mbit: float = 0.0) -> None:
        """Add a delay to every round trip (ms) and cap the rate (Mbit/s); zeros end it."""
        self._cable().slow(delay_ms, mbit)

    def _cable(self) -> Cable:
        if self.cable is None:
            raise Unsupported(
                "links can be broken only between hosts in namespaces",
                fix="run the lab as root with --mode netns",
            )
        return self.cable

    # Daemons.

    @property
    def libvirtd_pid(self) -> int | None:
        """Process id of the host's libvirtd on this machine."""
        found = self.daemon("libvirtd")
        return found.pid if found else None

    @property
    def sshd_pid(self) -> int | None:
        """Process id of the host's sshd on this machine."""
        found = self.daemon("sshd")
        return found.pid if found else None

    def libvirtd_start(self) -> None:
        """Start libvirtd unless it runs, and wake a stopped one; it finds running guests again."""
        found = self.daemon("libvirtd")
        if found is not None:
            send(found, signal.SIGCONT)
        else:
            for probe in self.probes():
                send(probe, signal.SIGKILL)
            config = self.inside(self.folder / "etc" / "libvirtd.conf")
            self.run(["libvirtd", "-d", "-f", config], timeout=START_S)

    def libvirtd_kill(self) -> None:
        """Kill libvirtd as a crash would; guests run on."""
        self._kill("libvirtd")

    def libvirtd_stop(self) -> None:
        """SIGSTOP libvirtd: it keeps its sockets and answers nobody."""
        self._signal("libvirtd", signal.SIGSTOP)

    def libvirtd_continue(self) -> None:
        """SIGCONT libvirtd."""
        self._signal("libvirtd", signal.SIGCONT)

    def sshd_start(self) -> None:
        """Start sshd unless it runs.

        Its log is a file of the lab, which every process of a session keeps open: by it those
        are known to be the lab's.
        """
        if self.daemon("sshd") is None:
            self._write_sshd_config()
            config = self.inside(self.folder / "ssh" / "sshd_config")
            log = self.inside(self.folder / "log" / "sshd.log")
            self.run(["/usr/sbin/sshd", "-E", log, "-f", config], timeout=START_S)
            if not wait_until(lambda: self.daemon("sshd") is not None, START_S):
                raise Failed(f"sshd of {self.name} did not start", self._sshd_log())

    def sshd_kill(self) -> None:
        """Kill the sshd that listens; open sessions live on."""
        self._kill("sshd")

    def reconfigure_sshd(self, options: Mapping[str, str]) -> None:
        """Restart sshd with these options over the usual ones; an empty mapping restores those."""
        self.sshd_kill()
        self.sshd_options = dict(options)
        self.sshd_start()

    def rotate_host_key(self) -> str:
        """Give sshd another host key and restart it; known_hosts keeps the old. Returns the new."""
        self.sshd_kill()
        key = self.host_key
        key.unlink()
        keys.make_key(self.lab, key, self.name)
        self.sshd_start()
        return keys.public_key(key)

    @property
    def host_key(self) -> Path:
        """The private host key of sshd."""
        return self.folder / "ssh" / "host_key"

    def _sshd_log(self) -> str:
        with contextlib.suppress(OSError):
            return (self.folder / "log" / "sshd.log").read_text()[-300:]
        return ""

    def _write_sshd_config(self) -> None:
        options = {**self.base_sshd_options(), **self.sshd_options}
        text = "".join(f"{name} {value}\n" for name, value in options.items())
        keys.write_private(self.folder / "ssh" / "sshd_config", text)

    def _kill(self, program: str) -> None:
        found = self.daemon(program)
        if found is not None:
            send(found, signal.SIGKILL)
            wait_until(lambda: not is_alive(found), START_S, 0.01)

    def _signal(self, program: str, number: int) -> None:
        found = self.daemon(program)
        if found is None:
            raise Gone(f"{program} of {self.name} does not run")
        send(found, number)

    # Pools and guests.

    def pools(self) -> tuple[str, ...]:
        """Names of the host's pools."""
        return (*TIERS, *self.extra_pools())

    def ensure_pools(self) -> None:
        """Define and start the host's pools."""
        wanted = self.pools()
        active = self.virsh("pool-list", "--name").split()
        defined = self.virsh("pool-list", "--all", "--name").split()
        steps = []
        for pool in wanted:
            if pool not in defined:
                path = self.folder / "etc" / f"pool-{pool}.xml"
                path.write_text(xml.pool_xml(pool, self.pool_path(pool)))
                steps += [f"pool-define {self.inside(path)}", f"pool-autostart {pool}"]
            if pool not in active:
                steps.append(f"pool-start {pool}")
        if steps:
            self.virsh("; ".join(steps))

    def domains(self, *, running: bool = False) -> dict[str, str]:
        """UUID to name of the domains here."""
        words = self.virsh("list", "--uuid", "--name", *([] if running else ["--all"])).split()
        return dict(zip(words[::2], words[1::2], strict=True))

    def make_disk(self, spec: GuestSpec) -> str:
        """Make a guest's disk in its pool unless it is there; returns its path on the host."""
        volume = f"{spec.name}.{spec.disk_format}"
        if not (self.pool_folder(spec.tier) / volume).exists():
            size = f"{spec.disk_mib}MiB"
            self.virsh(f"pool-refresh {spec.tier}")
            self.virsh("vol-create-as", spec.tier, volume, size, "--format", spec.disk_format)
        return f"{self.pool_path(spec.tier)}/{volume}"

    def disk_path(self, vm: str, target: str = "vda") -> str:
        """Source of a guest's disk as the host sees it.

        Raises:
            Gone: The guest has no such disk.
        """
        for line in self.virsh("domblklist", vm).splitlines():
            name, _, source = line.strip().partition(" ")
            if name == target:
                return source.strip()
        raise Gone(f"{vm} on {self.name} has no disk {target}")

    def disk_file(self, vm: str, target: str = "vda") -> Path:
        """A guest's disk as this machine sees it; in the network store for a shared one."""
        source = self.disk_path(vm, target)
        for pool in self.pools():
            if source.startswith(self.pool_path(pool) + "/"):
                return self.pool_folder(pool) / Path(source).name
        return self.lab / "store" / f"{source.rpartition('/')[2]}.raw"

    def qemu_pid(self, vm: str) -> int:
        """Process id of a guest's QEMU on this machine.

        Raises:
            Gone: It does not run here.
        """
        found = self.qemu(vm)
        if found is None:
            raise Gone(f"{vm} does not run on {self.name}")
        return found.pid

    def qemu_stop(self, vm: str) -> None:
        """SIGSTOP a guest's QEMU, so that its monitor hangs."""
        self._signal_qemu(vm, signal.SIGSTOP)

    def qemu_continue(self, vm: str) -> None:
        """SIGCONT a guest's QEMU."""
        self._signal_qemu(vm, signal.SIGCONT)

    def wake(self, vm: str) -> None:
        """SIGCONT a guest's QEMU if it runs."""
        found = self.qemu(vm)
        if found is not None:
            send(found, signal.SIGCONT)

    def qemu_kill(self, vm: str) -> None:
        """SIGKILL a guest's QEMU, as a crash would."""
        self._signal_qemu(vm, signal.SIGKILL)

    def _signal_qemu(self, vm: str, number: int) -> None:
        found = self.qemu(vm)
        if found is None:
            raise Gone(f"{vm} does not run on {self.name}")
        send(found, number)

    def status(self) -> HostStatus:
        """How the host stands now; asks its libvirtd only when that runs."""
        libvirtd = self.daemon("libvirtd") is not None
        guests: dict[str, str] = {}
        running: dict[str, str] = {}
        if libvirtd:
            with contextlib.suppress(Failed, TimedOut):
                guests, running = self.domains(), self.domains(running=True)
        return HostStatus(
            name=self.name,
            uri=self.uri,
            libvirtd=libvirtd,
            sshd=self.daemon("sshd") is not None,
            guests=len(guests),
            running=len(running),
        )
