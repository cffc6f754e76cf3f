"""The practice fleet: up, status, down, and handles on its hosts for tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from drivers.errors import DriverError, Failed, Gone, Refused
from drivers.lab import guests, keys, xml
from drivers.lab.ground import Ground, check_path, default_folder
from drivers.lab.host import LabHost
from drivers.lab.image import GuestImage, cache_folder, ensure_image
from drivers.lab.model import Counter, GuestSpec, Initial, LabStatus, Mode, starter_guests
from drivers.lab.nbd import NetworkStore, Place
from drivers.lab.netns import NetnsHost
from drivers.lab.plan import (
    PORTS_PER_HOST,
    STORE_PORTS,
    LabPlan,
    allocation,
    free_ports,
    free_subnet,
    read_plan,
    token_of,
    write_plan,
)
from drivers.lab.preflight import check_machine, choose_mode
from drivers.lab.processes import belonging_to, end_all
from drivers.lab.switch import Switch
from drivers.lab.user import UserHost
from drivers.model.host import HostSpec

__all__ = ["LabFleet", "default_folder"]

T = TypeVar("T")
Progress = Callable[[str], None]


class LabFleet:
    """Real hosts on this machine, all in one folder.

    Args:
        folder: Where everything of the lab is kept; its path is the lab's identity.
        hosts: Number of hosts of a new lab.
        guests: Number of guests of a new lab, dealt to the hosts in turn.
        mode: ``user`` (no privileges), ``netns`` (root, namespaces), or ``auto``.
    """

    def __init__(
        self, folder: Path, *, hosts: int = 3, guests: int = 8, mode: str = "auto"
    ) -> None:
        self.folder = folder.resolve()
        self._ground = Ground(self.folder)
        self._hosts = hosts
        self._guests = guests
        self._mode = mode
        self._plan: LabPlan | None = None
        self._made: tuple[LabHost, ...] = ()
        self._switch: Switch | None = None

    # What people and the console use.

    def up(self, progress: Progress = lambda _text: None) -> None:
        """Make the lab, or repair it: whatever runs already is left as it is.

        Raises:
            DriverError: Something is missing or failed; what was made stays for ``down``.
        """
        mode = choose_mode(self._mode)
        check_path(self.folder, mode)
        self._ground.claim()
        with self._ground.lock():
            self._check_plan(progress)
            try:
                check_machine(mode, self.folder)
                image = self._image(progress)
            except DriverError:
                if not (self.folder / "lab.json").exists():
                    self._ground.release()
                raise
            self._make_keys()
            with allocation():
                self._load(mode)
                self._write_client_files()
                progress(f"starting {len(self._made)} hosts")
                if self._switch is not None and self._switch.ensure():
                    self._stop_boxes()
                self._each_host(self._start_access)
            self._each_host(self._start_libvirt)
            self._ensure_guests(image, progress)
        progress("the practice fleet is up")

    def status(self) -> LabStatus:
        """How the lab stands now; changes nothing."""
        plan = self._read()
        if plan is None:
            return LabStatus(str(self.folder), exists=False)
        return LabStatus(
            folder=str(self.folder),
            exists=True,
            mode=plan.mode,
            store=self.store.healthy(),
            hosts=tuple(self._each_host(LabHost.status)),
        )

    def down(self) -> None:
        """End every process of the lab and remove all that ``up`` made; safe to repeat.

        Raises:
            Failed: Some process could not be ended.
        """
        if self._ground.is_lab:
            with self._ground.lock():
                self._end_everything()
                self._ground.release()
        elif not self.folder.exists():  # removed by hand, perhaps, and all else still there
            self._end_everything()
        self._plan, self._made, self._switch = None, (), None

    def specs(self) -> tuple[HostSpec, ...]:
        """What the console needs to reach each host."""
        return tuple(host.spec() for host in self.hosts)

    # What tests use besides.

    @property
    def mode(self) -> Mode:
        """How the hosts are kept apart."""
        return self._known().mode

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """All hosts."""
        self._known()
        return self._made

    def host(self, name: str) -> LabHost:
        """One host.

        Raises:
            Gone: There is none of this name.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        raise Gone(f"the lab has no host {name}")

    @property
    def store(self) -> NetworkStore:
        """The network disk store."""
        plan = self._known()
        place: Place = self._made[0] if self._switch is None else self._switch.box
        return NetworkStore(self.folder, plan, place)

    @property
    def ssh_config(self) -> Path:
        """An ssh_config that reaches every host."""
        return self.folder / "ssh" / "config"

    @property
    def identity(self) -> Path:
        """The private key that every host lets in."""
        return self.folder / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The hosts' keys, as ``up`` made them."""
        return self.folder / "ssh" / "known_hosts"

    def define_guest(self, spec: GuestSpec, *, on: str = "kvm1", start: bool = True) -> str:
        """Make one more guest; returns its UUID."""
        image = self._image(lambda _text: None)
        host = self.host(on)
        identity = guests.make_guest(host, self.store, image, spec, self._known())
        if start:
            guests.bring_to(host, spec)
        return identity

    def remove_guest(self, name: str) -> None:
        """Destroy and undefine a guest wherever it is; remove its disks and their copies."""
        for host in self.hosts:
            guests.remove_guest(host, name)
        others = {other for host in self.hosts for other in host.domains().values()}
        for host in self.hosts:
            for path in guests.disks_of(host, name, others):
                path.unlink(missing_ok=True)
        self.store.forget(name)

    def where(self, name: str) -> LabHost:
        """The host on which a guest runs, else one where it is defined."""
        return guests.find_guest(self.hosts, name)

    def counter(self, name: str) -> Counter:
        """What a guest's counter has left on its disk (raw disks)."""
        return guests.read_counter(self.where(name).disk_file(name))

    # How it is made.

    def _known(self) -> LabPlan:
        plan = self._read()
        if plan is None:
            raise Gone(f"there is no lab in {self.folder}", fix="run: novacron lab up")
        return plan

    def _read(self) -> LabPlan | None:
        if self._plan is None:
            plan = read_plan(self.folder)
            if plan is not None:
                self._adopt(plan)
        return self._plan

    def _adopt(self, plan: LabPlan) -> None:
        self._plan = plan
        numbers = range(1, plan.hosts + 1)
        if plan.mode is Mode.NETNS:
            switch = self._switch = Switch(self.folder, plan)
            self._made = tuple(NetnsHost(self.folder, plan, n, switch) for n in numbers)
        else:
            self._made = tuple(UserHost(self.folder, plan, n) for n in numbers)

    def _check_plan(self, progress: Progress) -> None:
        """Begin anew where the plan is damaged or gone: nothing else knows what belongs to what."""
        try:
            lost = read_plan(self.folder) is None and any(self.folder.glob("kvm*"))
        except Failed:
            lost = True
        if lost:
            progress("the lab's plan is damaged: ending what is left and making the lab anew")
            self._end_everything()
            self._ground.clear()
            self._plan, self._made, self._switch = None, (), None

    def _end_everything(self) -> None:
        """End the lab's processes, and with them its namespaces, mounts and interfaces."""
        if not end_all(lambda: belonging_to(self.folder)):
            raise Failed(f"some processes of the lab in {self.folder} do not end")
        if os.geteuid() == 0 and shutil.which("ip"):
            Switch(self.folder, LabPlan(Mode.NETNS, token_of(self.folder), 0, 0)).remove_uplink()

    def _load(self, mode: Mode) -> None:
        plan = self._read()
        if plan is None:
            plan = self._new_plan(mode)
            self._adopt(plan)
            write_plan(self.folder, plan)
        elif plan.mode is not mode:
            raise Refused(
                f"the lab in {self.folder} was made in {plan.mode} mode",
                fix="use that mode, or run: novacron lab down",
            )

    def _new_plan(self, mode: Mode) -> LabPlan:
        token = token_of(self.folder)
        plan = LabPlan(mode, token, self._hosts, self._guests)
        if mode is Mode.NETNS:
            return replace(plan, subnet=free_subnet(token))
        count = self._hosts * PORTS_PER_HOST + STORE_PORTS
        return replace(plan, first_port=free_ports(token, count))

    def _image(self, progress: Progress) -> GuestImage:
        """The guest image inside the lab's folder, where every host can read it."""
        mine = self.folder / "image"
        image = GuestImage(mine / "vmlinuz", mine / "initrd.gz")
        if not image.kernel.exists() or not image.initrd.exists():
            mine.mkdir(mode=0o755, exist_ok=True)
            cached = ensure_image(cache_folder() or mine / "cache", progress)
            for source, target in ((cached.kernel, image.kernel), (cached.initrd, image.initrd)):
                shutil.copy(source, target.with_suffix(".new"))
                target.with_suffix(".new").rename(target)
        return image

    def _make_keys(self) -> None:
        ssh = self.folder / "ssh"
        keys.make_key(self.folder, ssh / "id_ed25519", "novacron lab")
        keys.make_key(self.folder, ssh / "peer_ed25519", "novacron lab, host to host")
        allowed = [keys.public_key(ssh / name) for name in ("id_ed25519", "peer_ed25519")]
        keys.write_private(ssh / "authorized_keys", "\n".join(allowed) + "\n")
        (ssh / "authorized_keys").chmod(0o644)

    def _write_client_files(self) -> None:
        """Host keys, known_hosts and ssh_config; host keys that exist are kept."""
        lines = []
        for host in self._made:
            keys.make_key(self.folder, host.host_key, host.name)
            lines.append(keys.known_hosts_line(host.place, keys.public_key(host.host_key)))
        keys.write_private(self.known_hosts, "\n".join(lines) + "\n")
        places = [host.place for host in self._made]
        text = keys.client_config(places, self.identity, self.known_hosts)
        keys.write_private(self.ssh_config, text)

    def _each_host(self, work: Callable[[LabHost], T]) -> list[T]:
        with ThreadPoolExecutor(max_workers=len(self._made) or 1) as pool:
            return list(pool.map(work, self._made))

    def _stop_boxes(self) -> None:
        for host in self._made:
            if isinstance(host, NetnsHost):
                host.box.stop()

    @staticmethod
    def _start_access(host: LabHost) -> None:
        host.prepare()
        host.sshd_start()

    @staticmethod
    def _start_libvirt(host: LabHost) -> None:
        host.libvirtd_start()
        host.ensure_pools()
        if isinstance(host, NetnsHost):
            host.ensure_network()

    def _ensure_guests(self, image: GuestImage, progress: Progress) -> None:
        plan = self._known()
        specs = starter_guests(plan.guests)
        progress(f"starting {len(specs)} guests")
        lost = self.store.restore()
        known = {identity for host in self._made for identity in host.domains()}
        homes: dict[str, list[GuestSpec]] = {}
        for index, spec in enumerate(specs):
            home = self._made[index % len(self._made)]
            if xml.guest_uuid(plan.token, spec.name) not in known:
                guests.make_guest(home, self.store, image, spec, plan)
            else:
                home = self.where(spec.name)
                if spec.name in lost:  # QEMU does not come back to a disk server that went away
                    home.virsh("destroy", spec.name, check=False)
            homes.setdefault(home.name, []).append(spec)
        self._each_host(lambda host: self._bring_up(host, homes.get(host.name, ())))

    @staticmethod
    def _bring_up(host: LabHost, specs: Sequence[GuestSpec]) -> None:
        for spec in sorted(specs, key=lambda each: each.initial is Initial.PAUSED):
            host.wake(spec.name)
            guests.bring_to(host, spec)
