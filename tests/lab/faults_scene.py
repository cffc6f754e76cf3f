"""A fleet and a few guests to break in the middle of a drain, and to put together again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import libvirt

from console.backend import News, OperationsReady
from drivers.errors import TimedOut
from drivers.lab.fleet import LabFleet
from drivers.lab.host import LabHost
from drivers.lab.model import TINY_POOL, GuestSpec
from drivers.lab.netns import NetnsHost
from drivers.lab.processes import wait_until
from drivers.model.operation import Choice, Operation, OperationState
from tests.lab.e2e_console import PATIENCE_S, Console, defined_on, sweep, volumes

HOME = "kvm1"
VICTIM = "flt-disk"
"""On a local disk, which is copied along: it leaves the most behind."""

CALM = ("flt-a", "flt-b")
FILLER = "filler"
DISK_MIB = 6

ANSWER_S = 20.0
"""Seconds a daemon may take to answer about one guest before it counts as hung."""

HELD_MIB_S = "1"
"""Rate of a migration that must last until a fault has struck."""

HURRY_S = 5.0
"""Seconds between two looks at what may crawl."""

SETTLED = (OperationState.DONE, OperationState.PAUSED, OperationState.CANCELLED)


class Upkeep(Console):
    """A console whose operations are followed too."""

    def __init__(self, lab: LabFleet, folder: Path) -> None:
        super().__init__(lab.specs(), folder)
        self.operations: tuple[Operation, ...] = ()

    def _take(self, news: News) -> None:
        if isinstance(news, OperationsReady):
            self.operations = news.operations
        super()._take(news)

    def operation(self, ident: str) -> Operation:
        """As last published."""
        return next(o for o in self.operations if o.id == ident)

    def known(self, ident: str) -> bool:
        """Whether it was published."""
        return any(o.id == ident for o in self.operations)

    def settles(self, ident: str, meanwhile: Callable[[], None] = lambda: None) -> Operation:
        """Wait until it has ended, or waits for a person; ``meanwhile`` is called at each look."""

        def settled() -> Operation | None:
            meanwhile()
            found = self.operation(ident) if self.known(ident) else None
            waits = found is not None and found.state in SETTLED
            return found if waits and (found.state.ended or found.problem is not None) else None

        operation = self.wait(f"{ident} has settled", settled)
        assert operation is not None
        return operation


@dataclass
class Scene:
    """One fleet and one set of guests on kvm1, whole before each fault."""

    lab: LabFleet
    guests: dict[str, str] = field(default_factory=dict)
    xml: dict[str, str] = field(default_factory=dict)
    due: float = 0.0

    @property
    def victim(self) -> str:
        """UUID of the guest that the fault meets."""
        return self.guests[VICTIM]

    def host(self, name: str) -> NetnsHost:
        """A host in namespaces."""
        host = self.lab.host(name)
        assert isinstance(host, NetnsHost)
        return host

    def make(self) -> None:
        """Define and start the guests."""
        for name in (VICTIM, *CALM):
            shared = name != VICTIM
            spec = GuestSpec(name, tier=TINY_POOL, shared=shared, disk_mib=DISK_MIB)
            self.guests[name] = self.lab.define_guest(spec, on=HOME)
            self.xml[name] = self.lab.host(HOME).virsh("dumpxml", "--inactive", name)
        disk = self.lab.host(HOME).disk_file(VICTIM)
        disk.write_bytes(b"\xa5" * disk.stat().st_size)  # not free to copy

    def remove(self) -> None:
        """Take the guests away."""
        for name in self.guests:
            self.lab.remove_guest(name)
            sweep(self.lab, name)

    def mend(self) -> None:
        """Links, clocks, disks and daemons are whole again."""
        for host in self.lab.hosts:
            host.link_up()
            set_clock(host, 0)
            (host.pool_folder(TINY_POOL) / FILLER).unlink(missing_ok=True)
            host.sshd_start()
            host.libvirtd_start()

    def restore(self) -> None:
        """Every guest runs on kvm1 again and nowhere else, unhurried, whatever became of it."""
        self.mend()
        for name, uuid in self.guests.items():
            if not self._well(uuid):
                for host in self.lab.hosts:
                    _rid(host, uuid)
                self._anew(name, uuid)
            self.lab.host(HOME).virsh("migrate-setspeed", uuid, "1000")
        for place in volumes(self.lab, VICTIM):
            host_name, _, rest = place.partition(":")
            if host_name != HOME:
                pool, _, file = rest.partition("/")
                (self.lab.host(host_name).pool_folder(pool) / file).unlink()
        for host in self.lab.hosts:
            host.virsh("pool-refresh", TINY_POOL)
            assert wait_until(partial(_unleased, host), PATIENCE_S), f"{host.name} stays leased"

    def _well(self, uuid: str) -> bool:
        """Whether a guest runs on kvm1, is known nowhere else, and no job holds it."""
        home = self.lab.host(HOME)
        if defined_on(self.lab, uuid) != [HOME]:
            return False
        try:
            state = home.virsh("domstate", uuid, timeout=ANSWER_S, check=False)
            control = home.virsh("domcontrol", uuid, timeout=ANSWER_S, check=False)
            job = home.virsh("domjobinfo", uuid, timeout=ANSWER_S, check=False)
        except TimedOut:
            return False
        return state == "running" and control == "ok" and job.split()[-1:] == ["None"]

    def _anew(self, name: str, uuid: str) -> None:
        home = self.lab.host(HOME)
        disk = home.pool_folder(TINY_POOL) / f"{VICTIM}.raw"
        if name == VICTIM and not disk.exists():
            disk.write_bytes(b"\xa5" * (DISK_MIB << 20))
        path = home.folder / "etc" / f"{name}.xml"
        path.write_text(self.xml[name])
        home.virsh("define", home.inside(path))
        home.virsh("start", uuid)

    def hold(self, *names: str) -> None:
        """The migrations of these guests will crawl."""
        for name in names:
            self.lab.host(HOME).virsh("migrate-setspeed", name, HELD_MIB_S)

    def release(self) -> None:
        """What crawls, on whatever host, hurries; a QEMU that waits for a lost host cannot."""
        for host in self.lab.hosts:
            for name in (VICTIM, *CALM) if host.libvirtd_pid is not None else ():
                with suppress(TimedOut):
                    host.virsh("migrate-setspeed", name, "1000", check=False, timeout=5.0)

    def hurry(self) -> None:
        """Release what was begun anew too, every few seconds.

        libvirt gives a guest whose migration failed the speed back that it began with.
        """
        if time.monotonic() >= self.due:
            self.release()
            self.due = time.monotonic() + HURRY_S

    def others(self) -> dict[str, Choice]:
        """What else runs on kvm1 is left there."""
        running = self.lab.host(HOME).domains(running=True)
        left = {uuid: Choice.LEAVE for uuid in running if uuid not in self.guests.values()}
        return {**left, self.victim: Choice.COPY}


def _rid(host: LabHost, uuid: str) -> None:
    """End and forget a guest on a host, whose daemon may hold it in a job that never ends."""

    def gone() -> bool:
        with suppress(TimedOut):
            host.virsh("destroy", uuid, timeout=ANSWER_S, check=False)
            host.virsh("undefine", uuid, timeout=ANSWER_S, check=False)
        return uuid not in host.domains()

    if uuid not in host.domains() or gone():
        return
    host.libvirtd_kill()
    host.libvirtd_start()
    assert wait_until(gone, PATIENCE_S, 0.5), f"{host.name} keeps {uuid}"


def _unleased(host: LabHost) -> bool:
    """Whether no console holds it; the lease behind a link that was cut ends by itself."""
    script = 'for f in /run/*.lease; do [ ! -e "$f" ] || flock -n -s "$f" true || exit 1; done'
    return host.run(["sh", "-c", script], check=False).returncode == 0


def set_clock(host: LabHost, ahead_s: int) -> None:
    """Make ``date`` of a host tell another time than this machine; 0 for the true one."""
    script = (
        "while umount /usr/bin/date 2>/dev/null; do :; done; "
        'if [ "$1" != 0 ]; then cp /usr/bin/date /run/date.real; '
        "printf '#!/bin/sh\\nn=$(/run/date.real +%%s.%%N)\\n"
        'echo "$((${n%%.*} + %s)).${n#*.}"\\n\' "$1" >/run/date.ahead; '
        "chmod 755 /run/date.ahead; mount -n --bind /run/date.ahead /usr/bin/date; fi"
    )
    host.run(["sh", "-c", script, "sh", str(ahead_s)])


def fill(host: LabHost) -> None:
    """Leave no byte in the small pool of a host."""
    place = f"{host.pool_path(TINY_POOL)}/{FILLER}"
    host.run(["sh", "-c", f"cat /dev/zero >{place} 2>/dev/null; :"])


@contextmanager
def watching(host: NetnsHost, uuid: str) -> Iterator[Callable[[], int | None]]:
    """Asks the host's own libvirtd for the state of a guest; None when it does not run there."""
    socket = host.box.root / "run/libvirt/libvirt-sock"
    connection = libvirt.open(f"qemu+unix:///system?socket={socket}")
    domain = connection.lookupByUUIDString(uuid)

    def state() -> int | None:
        try:
            found = int(domain.state()[0])
        except libvirt.libvirtError:
            return None
        return None if found == libvirt.VIR_DOMAIN_SHUTOFF else found

    try:
        yield state
    finally:
        connection.close()
