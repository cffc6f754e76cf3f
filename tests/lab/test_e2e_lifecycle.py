"""A guest's whole life through the real engine: every state is libvirt's, and shows at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.errors import DriverError, Refused
from drivers.kvm.driver import KvmDriver
from drivers.lab.fleet import LabFleet
from drivers.lab.guests import wait_for_count
from drivers.lab.model import GuestSpec
from drivers.model.ask import HostKeyQuestion, KeyDecision, SecretQuestion
from drivers.model.event import EventKind
from drivers.model.host import Protect
from drivers.model.job import Action, Confirm, JobState
from drivers.model.vm import VmState
from drivers.protocol import MigrationSpec
from tests.lab.e2e_cli import Cli
from tests.lab.e2e_console import PATIENCE_S, Console, defined_on, running_on, volumes

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab

Guest = Callable[..., GuestSpec]


@pytest.fixture(scope="module")
def console(lab: LabFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with Console(lab.specs(), tmp_path_factory.mktemp("life")) as console:
        yield console.settled()


def uuid_of(lab: LabFleet, name: str) -> str:
    return next(u for u, n in lab.where(name).domains().items() if n == name)


def shows(console: Console, uuid: str, *expected: VmState) -> None:
    """The published snapshots went through exactly these states, in this order."""
    seen = [s.state for s in console.history[uuid]]
    assert seen[-len(expected) :] == list(expected), seen


def test_a_guest_lives_from_its_first_start_to_its_last(
    lab: LabFleet, console: Console, fresh_guest: Guest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each action does what it says on the host, and the console shows each state once."""
    fresh_guest(name="life1", on="kvm1", start=False)
    uuid = uuid_of(lab, "life1")
    host = lab.host("kvm1")
    console.vm(uuid, on="kvm1", state=VmState.OFF)
    assert console.do(Action.START, uuid).state is JobState.DONE
    assert host.virsh("domstate", "life1") == "running"
    console.vm(uuid, state=VmState.RUNNING)
    assert console.do(Action.PAUSE, uuid).state is JobState.DONE
    assert host.virsh("domstate", "life1") == "paused"
    console.vm(uuid, state=VmState.PAUSED)
    stopped = lab.counter("life1")
    assert console.do(Action.RESUME, uuid).state is JobState.DONE
    console.vm(uuid, state=VmState.RUNNING)
    shows(console, uuid, VmState.OFF, VmState.RUNNING, VmState.PAUSED, VmState.RUNNING)
    counter = wait_for_count(host.disk_file("life1"), stopped.newest + 3, PATIENCE_S)
    assert counter.lost == ()
    assert console.do(Action.FORCE_OFF, uuid).state is JobState.DONE
    assert host.virsh("domstate", "life1") == "shut off"
    console.vm(uuid, state=VmState.OFF)
    with capsys.disabled():
        print(f"\n  {latencies(console, uuid)}")


def latencies(console: Console, uuid: str) -> str:
    """From each libvirt event to the first published snapshot with its state, milliseconds."""
    wanted = {
        "started": VmState.RUNNING,
        "resumed": VmState.RUNNING,
        "suspended": VmState.PAUSED,
        "stopped": VmState.OFF,
    }
    told = []
    for event in console.events:
        state = wanted.get(event.change)
        if event.vm == uuid and event.kind is EventKind.LIFECYCLE and state is not None:
            shown = [s.at for s in console.history[uuid] if s.state is state]
            nearest = min((at - event.at for at in shown if at >= event.at - 0.5), default=None)
            told.append(f"{event.change} {nearest * 1000:.0f} ms" if nearest is not None else "?")
    return "event to snapshot: " + ", ".join(told)


def test_a_guest_that_is_asked_powers_down_and_one_that_is_deaf_is_forced(
    lab: LabFleet, console: Console, fresh_guest: Guest
) -> None:
    """Shutdown waits for the guest; where none answers in time, force-off is what is offered."""
    fresh_guest(name="life2-deaf", on="kvm2", deaf=True, write_counter=False, nic=False)
    uuid = uuid_of(lab, "life2-deaf")
    console.vm(uuid, on="kvm2", state=VmState.RUNNING)
    deaf = console.do(Action.SHUTDOWN, uuid, wait_s="1")
    assert deaf.state is JobState.FAILED
    assert deaf.problem is not None
    assert "did not power down within 1 s" in deaf.problem.what
    assert deaf.followup[0] == Action.FORCE_OFF
    fresh_guest(name="life2", on="kvm2")
    uuid = uuid_of(lab, "life2")
    console.vm(uuid, on="kvm2", state=VmState.RUNNING)
    wait_for_count(lab.host("kvm2").disk_file("life2"), 1, PATIENCE_S)
    done = console.do(Action.SHUTDOWN, uuid)
    assert done.state is JobState.DONE, done
    assert "off" in done.outcome
    assert running_on(lab, uuid) == []
    assert lab.counter("life2").lost == ()


def test_a_guest_reboots_and_resets(lab: LabFleet, console: Console, fresh_guest: Guest) -> None:
    """Both boot the guest anew in the same QEMU process; its disk keeps every number."""
    fresh_guest(name="life3", on="kvm3")
    uuid = uuid_of(lab, "life3")
    host = lab.host("kvm3")
    image = host.disk_file("life3")
    newest = wait_for_count(image, 2, PATIENCE_S).newest
    process = host.qemu_pid("life3")
    console.vm(uuid, on="kvm3", state=VmState.RUNNING)
    for action in (Action.REBOOT, Action.RESET):
        assert console.do(action, uuid).state is JobState.DONE
        newest = wait_for_count(image, newest + 3, PATIENCE_S).newest
    assert host.qemu_pid("life3") == process
    assert lab.counter("life3").lost == ()


def test_autostart_is_set_and_read_back(
    lab: LabFleet, console: Console, fresh_guest: Guest
) -> None:
    """The host itself says what the console says."""
    fresh_guest(name="life4", on="kvm1", start=False)
    uuid = uuid_of(lab, "life4")
    console.vm(uuid, state=VmState.OFF)
    for action, word in ((Action.AUTOSTART_ON, "enable"), (Action.AUTOSTART_OFF, "disable")):
        assert console.do(action, uuid).state is JobState.DONE
        assert word in lab.host("kvm1").virsh("dominfo", "life4")

        def shown(on: bool = action is Action.AUTOSTART_ON) -> bool:
            vm = console.snapshot.vm(uuid)
            return vm is not None and vm.autostart is on

        console.wait("autostart is shown", shown)


@pytest.mark.parametrize("with_disk", [False, True], ids=["keeping-its-disk", "with-its-disk"])
def test_a_deleted_guest_loses_its_disk_only_when_chosen(
    lab: LabFleet, console: Console, fresh_guest: Guest, with_disk: bool
) -> None:
    """Delete wants the typed name, forgets the definition, and leaves unnamed disks alone."""
    fresh_guest(name="life5", on="kvm1", start=False)
    uuid = uuid_of(lab, "life5")
    vm = console.sees_disk(uuid)
    path = vm.disks[0].source
    (volume,) = console.engine.volumes_of(uuid).result(PATIENCE_S)
    assert volume.path == path
    plan = console.plan(Action.DELETE, uuid, volumes=path if with_disk else "")
    assert plan.confirm is Confirm.TYPED
    assert console.ended(console.run(plan)).state is JobState.DONE
    assert defined_on(lab, uuid) == []
    assert volumes(lab, "life5") == ([] if with_disk else ["kvm1:hot/life5.raw"])
    console.wait("the console forgets it", lambda: console.snapshot.vm(uuid) is None)


class Nobody:
    """There is nobody to ask."""

    async def host_key(self, question: HostKeyQuestion) -> KeyDecision:
        return KeyDecision.REFUSE

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        return None


async def test_a_read_only_host_is_never_changed_by_its_driver(
    lab: LabFleet, fresh_guest: Guest
) -> None:
    """protect = "ro" refuses every change below the interface; looking still works."""
    fresh_guest(name="life6", on="kvm1", start=False)
    fresh_guest(name="life7", on="kvm2")
    one, two = (replace(spec, protect=Protect.RO) for spec in lab.specs()[:2])
    driver, peer = KvmDriver(one, Nobody()), KvmDriver(replace(two, protect=Protect.RW), Nobody())
    await asyncio.gather(driver.connect(), peer.connect())
    try:
        vms = {vm.name: vm.uuid for vm in (await driver.read_slow()).vms}
        incoming = {vm.name: vm.uuid for vm in (await peer.read_slow()).vms}["life7"]
        off = vms["life6"]
        path = "/var/lib/libvirt/hot/life6.raw"
        changes = (
            driver.start(off),
            driver.shutdown(off),
            driver.reboot(off),
            driver.reset(off),
            driver.suspend(off),
            driver.resume(off),
            driver.destroy(off),
            driver.set_autostart(off, True),
            driver.undefine(off),
            driver.redefine("<domain/>"),
            driver.repoint_disk(off, "vda", "/nowhere", "raw"),
            driver.migrate(off, MigrationSpec(peer, p2p=True)),
            driver.abort_job(off),
            driver.block_copy(off, "vda", "/nowhere", "raw"),
            driver.block_pivot(off, "vda"),
            driver.block_abort(off, "vda"),
            driver.create_volume("hot", "nothing", 1 << 20, "raw"),
            driver.clone_volume(path, "warm", "nothing", lambda _done, _total: None),
            driver.delete_volume(path),
            driver.open_console(off),
            driver.open_shell(80, 24, "xterm"),
            peer.migrate(incoming, MigrationSpec(driver, p2p=True)),
        )
        for change in changes:
            with pytest.raises(Refused, match="read-only"):
                await change
        assert off in (await driver.xml(off))
        assert await driver.read_pools()
    finally:
        await asyncio.gather(driver.close(), peer.close(), return_exceptions=False)
    assert lab.host("kvm1").virsh("domstate", "life6") == "shut off"
    assert running_on(lab, incoming) == ["kvm2"]
    assert issubclass(Refused, DriverError)


def test_the_command_line_does_what_the_screens_do(
    lab: LabFleet, fresh_guest: Guest, tmp_path: Path
) -> None:
    """start, stop, migrate and tier end with 0 and JSON that says how things stand; refusals
    with 4 and a reason; unknown names with 1; a protected host with 4."""
    fresh_guest(name="life8", on="kvm1", start=False, shared=True)
    uuid = uuid_of(lab, "life8")
    cli = Cli(tmp_path, lab.specs()[:2])
    started = cli("start", "life8", "--yes", "--json")
    assert (started.status, started.last()["state"]) == (0, "done"), started
    assert running_on(lab, uuid) == ["kvm1"]
    moved = cli("migrate", "life8", "--to", "kvm2", "--yes", "--json")
    assert (moved.status, moved.last()["state"]) == (0, "done"), moved
    assert "kvm2 and nowhere else" in moved.last()["outcome"]
    assert running_on(lab, uuid) == ["kvm2"]
    wait_for_count(lab.host("kvm2").disk_file("life8"), 1, PATIENCE_S)
    stopped = cli("stop", "life8", "--yes", "--json")
    assert (stopped.status, stopped.last()["state"]) == (0, "done"), stopped
    assert running_on(lab, uuid) == []


def test_the_command_line_says_no_with_a_reason_and_a_status(
    lab: LabFleet, fresh_guest: Guest, tmp_path: Path
) -> None:
    """Nothing runs without --yes, nothing on a protected host, and each no has its own status."""
    fresh_guest(name="life9", on="kvm1", start=False)
    one = lab.specs()[0]
    cli = Cli(tmp_path, (one,))
    moved = cli("tier", "life9", "--to", "cold", "--yes", "--json")
    assert (moved.status, moved.last()["state"]) == (0, "done"), moved
    assert volumes(lab, "life9") == ["kvm1:cold/life9.raw"]
    unconfirmed = cli("start", "life9", "--json")
    assert unconfirmed.status == 4
    assert "--yes" in unconfirmed.err
    refused = cli("migrate", "life9", "--to", "kvm1", "--yes", "--json")
    assert refused.status == 4
    assert "already on kvm1" in refused.err
    unknown = cli("start", "nobody", "--yes")
    assert unknown.status == 2
    assert "No VM is called nobody" in unknown.err
    assert cli("tier", "life9", "--yes").status == 2
    dry = cli("start", "life9", "--dry-run", "--json")
    assert dry.status == 0
    assert dry.json()[0]["steps"][0]["verb"] == "start"
    protected = Cli(tmp_path, (replace(one, protect=Protect.RO),))
    forbidden = protected("start", "life9", "--yes", "--json")
    assert forbidden.status == 4
    assert 'protect = "ro"' in forbidden.err
    assert lab.host("kvm1").virsh("domstate", "life9") == "shut off"
