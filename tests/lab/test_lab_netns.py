"""A fleet in namespaces comes and goes without a trace, and is repaired whatever became of it."""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.errors import Busy, Failed, Refused
from drivers.lab.fleet import LabFleet
from drivers.lab.guests import wait_for_count
from drivers.lab.host import LabHost
from drivers.lab.netns import NetnsHost
from drivers.lab.processes import read_process, send, wait_until
from tests.lab.traces import files_elsewhere, links_elsewhere, traces

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts in namespaces need root"),
]

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def broken(lab_folder: Callable[[], Path]) -> Iterator[LabFleet]:
    """A lab to break: two hosts, one guest with a disk of its own and one with a shared one."""
    fleet = LabFleet(lab_folder(), hosts=2, guests=2)
    fleet.up()
    yield fleet
    fleet.down()


def pids(fleet: LabFleet) -> list[int | None]:
    """Ids of every daemon and guest."""
    found: list[int | None] = []
    for host in fleet.hosts:
        found += [host.libvirtd_pid, host.sshd_pid]
        found += [host.qemu_pid(vm) for vm in host.domains(running=True).values()]
    return found


def ssh(fleet: LabFleet, host: LabHost, *words: str) -> subprocess.CompletedProcess[str]:
    """The stock ssh client with the lab's configuration."""
    argv = ["ssh", "-F", str(fleet.ssh_config), "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    return subprocess.run(
        [*argv, host.name, *words], capture_output=True, text=True, check=False, timeout=60
    )


def assert_whole(fleet: LabFleet) -> None:
    """Every daemon answers, each host is reached by ssh, and the guests run and count."""
    status = fleet.status()
    assert status.healthy, status
    for host in fleet.hosts:
        done = ssh(fleet, host, "virsh -c qemu:///system pool-list --name")
        assert set(done.stdout.split()) == {"hot", "warm", "cold", "tiny"}, done
    for name in ("web1", "db1"):
        assert fleet.where(name).virsh("domstate", name) == "running"
    db = fleet.where("db1").disk_file("db1")
    before = fleet.counter("db1").newest
    assert wait_for_count(db, before + 1, PATIENCE_S).lost == ()


def test_a_fleet_leaves_nothing_behind(lab_folder: Callable[[], Path]) -> None:
    """After ``down`` the machine has the processes, mounts, interfaces and files of before."""
    folder = lab_folder() / "made"
    elsewhere, before = files_elsewhere(), links_elsewhere()
    fleet = LabFleet(folder, hosts=2, guests=2)
    assert not fleet.status().exists
    fleet.up()
    assert_whole(fleet)
    running = pids(fleet)
    fleet.up()
    assert pids(fleet) == running, "a second up starts nothing anew"
    assert pids(LabFleet(folder)) == running, "another process sees the same lab"
    assert traces(folder)
    fleet.down()
    assert traces(folder) == []
    assert not folder.exists()
    assert links_elsewhere() == before
    assert files_elsewhere() == elsewhere
    fleet.down()


def locked_root(folder: Path) -> Path:
    """This machine's accounts, with root's locked as Ubuntu has it, to its next password change."""
    for name in ("passwd", "group", "shadow"):
        lines = Path("/etc", name).read_text().splitlines()
        if name == "shadow":
            lines = [old for old in lines if not old.startswith("root:")]
            lines.insert(0, "root:!:0:0:99999:7:::")
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def test_a_fleet_in_roots_own_home(
    lab: LabFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where ``novacron demo`` puts it: each host has a home of its own in that very place.

    Nor does it matter that the machine's root is locked: sshd lets such a login in by no key.
    """
    monkeypatch.setattr("drivers.lab.netns._ACCOUNTS", locked_root(tmp_path))
    with tempfile.TemporaryDirectory(dir=pwd.getpwuid(0).pw_dir, prefix="nvt-") as home:
        folder = Path(home) / "lab"
        fleet = LabFleet(folder, hosts=1, guests=0)
        try:
            fleet.up()
            assert fleet.status().healthy
            assert ssh(fleet, fleet.hosts[0], "ls ~/.ssh/id_ed25519").returncode == 0
        finally:
            fleet.down()
        assert traces(folder) == []


def kill(pid: int | None) -> None:
    assert pid is not None
    process = read_process(pid)
    assert process is not None
    send(process, signal.SIGKILL)
    assert wait_until(lambda: read_process(pid) != process, PATIENCE_S)


def kill_box(fleet: LabFleet) -> None:
    host = fleet.hosts[0]
    assert isinstance(host, NetnsHost)
    kill(host.box.pid)


def kill_switch(fleet: LabFleet) -> None:
    host = fleet.hosts[0]
    assert isinstance(host, NetnsHost)
    kill(host.switch.box.pid)


def kill_store(fleet: LabFleet) -> None:
    found = subprocess.run(
        ["pgrep", "-f", f"qemu-nbd.*{fleet.folder}/store"],
        capture_output=True,
        text=True,
        check=False,
    )
    for pid in found.stdout.split():
        kill(int(pid))
    # Its other threads may hold the port a little longer.
    assert wait_until(lambda: not fleet.status().healthy, PATIENCE_S)


def undefine(fleet: LabFleet) -> None:
    host = fleet.where("web1")
    host.virsh("destroy", "web1")
    host.virsh("undefine", "web1")


def forget_pool(fleet: LabFleet) -> None:
    fleet.hosts[1].virsh("pool-destroy", "cold")
    fleet.hosts[1].virsh("pool-undefine", "cold")


DAMAGE: dict[str, Callable[[LabFleet], object]] = {
    "libvirtd killed": lambda fleet: fleet.hosts[0].libvirtd_kill(),
    "libvirtd stopped": lambda fleet: fleet.hosts[1].libvirtd_stop(),
    "sshd killed": lambda fleet: fleet.hosts[0].sshd_kill(),
    "guest crashed": lambda fleet: fleet.where("web1").qemu_kill("web1"),
    "guest hung": lambda fleet: fleet.where("web1").qemu_stop("web1"),
    "guest undefined": undefine,
    "pool gone": forget_pool,
    "cable pulled": lambda fleet: fleet.hosts[0].link_down(),
    "black hole": lambda fleet: fleet.hosts[1].blackhole(),
    "disk server killed": kill_store,
    "host gone": kill_box,
    "network gone": kill_switch,
    "plan damaged": lambda fleet: (fleet.folder / "lab.json").write_text('{"mode": "ne'),
    "plan gone": lambda fleet: (fleet.folder / "lab.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_up_repairs_a_half_dead_fleet(broken: LabFleet, damage: str) -> None:
    """Whatever died, ``novacron lab up`` run anew makes the fleet whole."""
    DAMAGE[damage](broken)
    again = LabFleet(broken.folder, hosts=2, guests=2)
    again.up()
    assert_whole(again)


def test_a_damaged_plan_is_told(lab_folder: Callable[[], Path]) -> None:
    """``lab status`` says which file cannot be read and what to run; ``down`` still cleans up."""
    folder = lab_folder() / "made"
    LabFleet(folder, hosts=1, guests=0).up()
    (folder / "lab.json").write_text("[]")
    with pytest.raises(Failed, match=r"lab\.json cannot be read") as raised:
        LabFleet(folder).status()
    assert "novacron lab up" in raised.value.problem.fix
    LabFleet(folder).down()
    assert traces(folder) == []
    assert not folder.exists()


KILL_POINTS = {
    "before anything runs": "ssh/config",
    "while a host is made": "kvm1/box.log",
    "before its network": "kvm1/ready",
    "at its libvirtd": "kvm1/log/libvirt/libvirtd.log",
    "at its guests": "kvm1/etc/pool-cold.xml",
}


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_start_killed_midway_is_repaired_or_removed(
    lab_folder: Callable[[], Path], point: str
) -> None:
    """kill -9 of ``lab up`` at any moment: ``up`` completes it, and ``down`` leaves nothing."""
    folder = lab_folder() / "made"
    code = (
        "import sys; from pathlib import Path; from drivers.lab.fleet import LabFleet;"
        "LabFleet(Path(sys.argv[1]), hosts=1, guests=1).up()"
    )

    def start_and_kill() -> None:
        starting = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT)
        reached = wait_until((folder / KILL_POINTS[point]).exists, PATIENCE_S, 0.001)
        starting.kill()
        starting.wait()
        assert reached

    start_and_kill()
    LabFleet(folder).down()
    assert traces(folder) == []
    assert not folder.exists()
    start_and_kill()
    fleet = LabFleet(folder, hosts=1, guests=1)
    fleet.up()
    assert fleet.status().healthy
    assert fleet.host("kvm1").virsh("domstate", "web1") == "running"
    fleet.down()
    assert traces(folder) == []


def test_two_fleets_do_not_know_of_each_other(
    lab: LabFleet, lab_folder: Callable[[], Path]
) -> None:
    """The same names of hosts and guests twice; ending one leaves the other as it was."""
    running, status = pids(lab), lab.status()
    other = LabFleet(lab_folder(), hosts=1, guests=1)
    other.up()
    one, two = lab.host("kvm1"), other.host("kvm1")
    assert isinstance(one, NetnsHost)
    assert isinstance(two, NetnsHost)
    assert one.address != two.address
    assert not set(one.domains()) & set(two.domains())
    boots = {
        ssh(fleet, host, "cat /run/novacron/lab.json").stdout
        for fleet, host in ((lab, one), (other, two))
    }
    assert len(boots) == 2
    other.down()
    assert pids(lab) == running
    assert lab.status() == status


def test_a_fleet_is_made_by_one_at_a_time(broken: LabFleet) -> None:
    """A second ``up`` or ``down`` while one is at it is told so at once."""
    with (broken.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="being started or ended"):
            LabFleet(broken.folder).up()
        with pytest.raises(Busy, match="being started or ended"):
            LabFleet(broken.folder).down()


def test_a_fleet_is_not_run_in_another_mode(broken: LabFleet) -> None:
    """Root is told why it cannot have a lab without privileges."""
    with pytest.raises(Refused, match="cannot be run by root") as raised:
        LabFleet(broken.folder, mode="user").up()
    assert "ordinary user" in raised.value.problem.fix
