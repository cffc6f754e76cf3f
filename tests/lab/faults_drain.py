"""A drain of real guests into which faults are thrown, and what must be true after each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import libvirt

from console.backend import News, OperationsReady
from console.policy.recovery import UNDO
from drivers.errors import DriverError
from drivers.lab.fleet import LabFleet
from drivers.lab.host import LabHost
from drivers.lab.model import GuestSpec
from drivers.lab.netns import NetnsHost
from drivers.lab.processes import wait_until
from drivers.model.job import Action, JobState
from drivers.model.operation import Choice, MoveRun, MoveState, Operation, OperationState
from drivers.model.vm import VmState
from tests.lab.e2e_console import (
    PATIENCE_S,
    Console,
    defined_on,
    running_on,
    sweep,
    volumes,
)

HOME = "kvm1"
VICTIM = "flt-disk"
"""On a local disk, which is copied along: it leaves the most behind."""

CALM = ("flt-a", "flt-b")
HELD_MIB_S = "1"
"""Rate of a migration that must last until a fault has struck."""

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

    def run_of(self, ident: str, uuid: str) -> MoveRun:
        """A VM's move."""
        return next(r for r in self.operation(ident).runs if r.move.uuid == uuid)

    def settles(self, ident: str) -> Operation:
        """Wait until it has ended, or waits for a person."""

        def settled() -> Operation | None:
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
            spec = GuestSpec(name, shared=name != VICTIM, disk_mib=24)
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
            (host.pool_folder("hot") / "filler").unlink(missing_ok=True)
            host.sshd_start()
            host.libvirtd_start()

    def restore(self) -> None:
        """Every guest runs on kvm1 again and nowhere else, unhurried."""
        self.mend()
        for name, uuid in self.guests.items():
            for host in self.lab.hosts:
                if host.name != HOME and uuid in host.domains():
                    host.virsh("destroy", uuid, check=False)
                    host.virsh("undefine", uuid, check=False)
            self._home(name, uuid)
        for place in volumes(self.lab, VICTIM):
            host_name, _, rest = place.partition(":")
            if host_name != HOME:
                pool, _, file = rest.partition("/")
                (self.lab.host(host_name).pool_folder(pool) / file).unlink()
        for host in self.lab.hosts:
            host.virsh("pool-refresh", "hot")

    def _home(self, name: str, uuid: str) -> None:
        home = self.lab.host(HOME)
        disk = home.pool_folder("hot") / f"{VICTIM}.raw"
        if name == VICTIM and not disk.exists():
            disk.write_bytes(b"\xa5" * (24 << 20))
        if uuid not in home.domains():
            path = home.folder / "etc" / f"{name}.xml"
            path.write_text(self.xml[name])
            home.virsh("define", home.inside(path))
        if uuid not in home.domains(running=True):
            home.virsh("start", uuid)
        home.virsh("migrate-setspeed", uuid, "1000")

    def hold(self, *names: str) -> None:
        """The migrations of these guests will crawl."""
        for name in names:
            self.lab.host(HOME).virsh("migrate-setspeed", name, HELD_MIB_S)

    def release(self) -> None:
        """What crawls, on whatever host, hurries."""
        for host in self.lab.hosts:
            if host.libvirtd_pid is not None:
                for name in (VICTIM, *CALM):
                    host.virsh("migrate-setspeed", name, "1000", check=False)

    def others(self) -> dict[str, Choice]:
        """What else runs on kvm1 is left there."""
        running = self.lab.host(HOME).domains(running=True)
        left = {uuid: Choice.LEAVE for uuid in running if uuid not in self.guests.values()}
        return {**left, self.victim: Choice.COPY}


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
    """Leave no byte in the file system of a pool that is a small tmpfs."""
    place = host.pool_path("hot")
    host.run(["sh", "-c", f"cat /dev/zero >{place}/filler 2>/dev/null; :"])


@contextmanager
def small_pool(host: LabHost, mib: int) -> Iterator[None]:
    """The host's hot pool lies on a file system of that size meanwhile."""
    place = host.pool_path("hot")
    host.run(["mount", "-n", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", place])
    try:
        host.virsh("pool-refresh", "hot")
        yield
    finally:
        host.run(["umount", "-l", place])
        host.libvirtd_start()
        host.virsh("pool-refresh", "hot")


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


Strike = Callable[[Scene, Upkeep, str], None]
"""What breaks, given the target that the victim goes to."""


def reach_phase(scene: Scene, console: Upkeep, phase: str, ident: str) -> None:
    """Wait until a drain that was begun has come to ``perform``, ``finish`` or ``between``."""
    if phase == "perform":

        def moving() -> bool:
            jobs = [j for j in console.jobs if j.plan.request.uuid == scene.victim]
            live = [j for j in jobs if j.plan.request.action is Action.MIGRATE and j.progress]
            return any(j.progress is not None and j.progress.done for j in live)

        console.wait("the victim's memory or disk travels", moving)
    elif phase == "finish":
        with watching(scene.host(HOME), scene.victim) as state:
            scene.release()
            running = libvirt.VIR_DOMAIN_RUNNING
            assert wait_until(lambda: state() != running, PATIENCE_S, 0.001)
    elif phase == "between":

        def first_done() -> bool:
            done = console.known(ident) and [
                r for r in console.operation(ident).runs if r.state is MoveState.DONE
            ]
            return bool(done)

        console.wait("one guest has arrived", first_done)


def drain(
    scene: Scene, console: Upkeep, phase: str, strike: Strike, *, hold: tuple[str, ...] = (VICTIM,)
) -> str:
    """Begin a drain of kvm1 and let the fault strike at that phase; returns the operation's id."""
    maintenance = console.engine.maintenance
    scene.hold(*hold)
    plan = maintenance.plan_drain(HOME, scene.others(), {}).result(PATIENCE_S)
    assert plan.refusal is None, plan.refusal
    assert not plan.undecided, plan.undecided
    target = next(m.target for m in plan.moves if m.uuid == scene.victim)
    if phase == "before":
        strike(scene, console, target)
    ident = maintenance.start(plan).result(PATIENCE_S)
    if phase != "before":
        reach_phase(scene, console, phase, ident)
        strike(scene, console, target)
    return ident


def resumed(scene: Scene, console: Upkeep, ident: str) -> Operation:
    """Mend all; an operation that waited for that goes on to its end."""
    scene.mend()
    scene.release()
    console.settled()
    operation = console.operation(ident)
    tries = 0
    while operation.state is OperationState.PAUSED and tries < 3:
        tries += 1
        console.engine.maintenance.resume(ident).result(PATIENCE_S)

        def goes_on() -> bool:
            return console.operation(ident).state is not OperationState.PAUSED

        console.wait(f"{ident} goes on", goes_on)
        operation = console.settles(ident)
    return operation


def explained(operation: Operation) -> None:
    """It ended, or it says which VM waits for what; every move that is not done says why."""
    if operation.state is OperationState.PAUSED:
        assert operation.problem is not None
        assert "cannot go on: " in operation.problem.what, operation.problem
        assert operation.problem.fix
    for run in operation.runs:
        if run.state in (MoveState.BLOCKED, MoveState.FAILED, MoveState.DROPPED):
            assert run.note, run


def check_truth(
    scene: Scene, console: Upkeep, operation: Operation, crashed: Mapping[str, str] = {}
) -> None:
    """Nobody lost, doubled or misreported, and no file or definition left behind.

    Args:
        crashed: Guests whose own QEMU was killed: UUID to the host they crashed on.
    """
    for name, uuid in scene.guests.items():
        expected = [] if uuid in crashed else None
        where = running_on(scene.lab, uuid)
        assert where == expected if expected is not None else len(where) == 1, (name, where)
        home = crashed.get(uuid) or where[0]
        shows(console, name, uuid, home, crashed=uuid in crashed)
        run = next(r for r in operation.runs if r.move.uuid == uuid)
        told = (name, home, run.state, run.note)
        assert (run.state is MoveState.DONE) is (home == run.move.target and uuid not in crashed), (
            told
        )
        assert defined_on(scene.lab, uuid) == [home], told
        places = {HOME, home} if name == VICTIM else set()  # what was copied is kept where it was
        images = sorted(f"{place}:hot/{VICTIM}.raw" for place in places)
        assert volumes(scene.lab, name) == images, told


def shows(console: Upkeep, name: str, uuid: str, home: str, *, crashed: bool) -> None:
    """Wait until the snapshot has the VM where it is, as it is."""
    states = (VmState.CRASHED, VmState.OFF) if crashed else (VmState.RUNNING,)

    def shown() -> bool:
        vm = console.snapshot.vm(uuid)
        return vm is not None and vm.host == home and vm.state in states

    console.wait(f"{name} is shown {states} on {home}", shown)


@contextmanager
def console_over(scene: Scene, folder: Path) -> Iterator[Upkeep]:
    """A console that has read every host."""
    folder.mkdir(exist_ok=True)
    with Upkeep(scene.lab, folder) as console:
        console.settled()
        console.wait(
            "all guests are shown",
            lambda: all(console.snapshot.vm(uuid) for uuid in scene.guests.values()),
        )
        yield console
        for cordon in ("kvm1",):
            try:
                console.engine.maintenance.uncordon(cordon).result(PATIENCE_S)
            except DriverError:
                continue


@dataclass(frozen=True)
class Fault:
    """One way to break something.

    Attributes:
        strike: What breaks, given the target that the victim goes to.
        passing: The drain gets through it: what crawls may hurry again.
        kills: The victim's own QEMU dies, and so it has crashed on kvm1.
        pool_mib: The hot pools of the other hosts are file systems of that size; 0: as they are.
    """

    strike: Strike
    passing: bool = False
    kills: bool = False
    pool_mib: int = 0

    @contextmanager
    def around(self, scene: Scene) -> Iterator[None]:
        """What must be so before the console looks."""
        with ExitStack() as stack:
            for host in scene.lab.hosts:
                if self.pool_mib and host.name != HOME:
                    stack.enter_context(small_pool(host, self.pool_mib))
            yield

    def crashed(self, scene: Scene) -> dict[str, str]:
        """UUID to host of the guest that the fault itself ended."""
        return {scene.victim: HOME} if self.kills else {}


def _restart_libvirtd(scene: Scene, _console: Upkeep, _target: str) -> None:
    scene.lab.host(HOME).libvirtd_kill()
    scene.lab.host(HOME).libvirtd_start()


def _fill_others(scene: Scene, _console: Upkeep, _target: str) -> None:
    for host in scene.lab.hosts:
        if host.name != HOME:
            fill(host)


FAULTS = {
    "target-cut": Fault(lambda s, _c, target: s.lab.host(target).link_down()),
    "target-silent": Fault(lambda s, _c, target: s.lab.host(target).blackhole()),
    "source-cut": Fault(lambda s, _c, _t: s.lab.host(HOME).link_down()),
    "source-silent": Fault(lambda s, _c, _t: s.lab.host(HOME).blackhole()),
    "slow": Fault(lambda s, _c, target: s.lab.host(target).slow(0, 16), passing=True),
    "source-libvirtd": Fault(_restart_libvirtd, passing=True),
    "source-libvirtd-gone": Fault(lambda s, _c, _t: s.lab.host(HOME).libvirtd_kill()),
    "target-libvirtd": Fault(lambda s, _c, target: s.lab.host(target).libvirtd_kill()),
    "source-qemu": Fault(lambda s, _c, _t: s.lab.host(HOME).qemu_kill(VICTIM), kills=True),
    "target-qemu": Fault(lambda s, _c, target: s.lab.host(target).qemu_kill(VICTIM)),
    "full-disk": Fault(_fill_others, pool_mib=40),
    "skew": Fault(lambda s, _c, target: set_clock(s.lab.host(target), 7200), passing=True),
}
"""Name to fault."""

PHASES = ("before", "perform", "finish", "between")


def leftovers_undone(console: Upkeep) -> None:
    """What a dead target kept is taken back as Jobs offers it, now that it answers."""
    offered = [j for j in console.jobs if UNDO in j.followup]
    for job in offered:
        for plan in console.engine.followup(job.id, UNDO).result(PATIENCE_S):
            assert plan.refusal is None, plan.refusal
            done = console.ended(console.run(plan))
            assert done.state is JobState.DONE, done
