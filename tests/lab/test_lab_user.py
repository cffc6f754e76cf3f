"""The practice fleet as people get it: without privileges, run by an ordinary user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from drivers.lab.image import cache_folder, ensure_image
from drivers.lab.processes import wait_until
from tests.lab.as_user import OrdinaryUser
from tests.lab.traces import files_elsewhere, links_elsewhere, traces

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def user(run_folder: object, lab_folder: Callable[[], Path]) -> Iterator[OrdinaryUser]:
    """An ordinary user with a home of its own and the guests' image in its cache."""
    folder = lab_folder()
    user = OrdinaryUser(folder)
    cache = cache_folder()
    assert cache is not None
    ensure_image(cache, print)
    target = user.home / ".cache" / "novacron" / "lab"
    shutil.copytree(cache, target)
    if os.geteuid() == 0:
        owner = user.home.stat()
        for path in (user.home, *user.home.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
    yield user
    assert traces(folder) == []
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def fleet(user: OrdinaryUser) -> Iterator[str]:
    """The user's fleet of two hosts and two guests, up."""
    folder = user.place / "l"
    elsewhere, before = files_elsewhere(), links_elsewhere()
    assert user.do("up", str(folder))["healthy"]
    yield str(folder)
    user.do("down", str(folder))
    assert traces(folder) == [], "down ends every process"
    assert not folder.exists(), "down removes every file"
    assert links_elsewhere() == before
    assert files_elsewhere() == elsewhere, "nothing outside the folder is touched"


def test_a_fleet_comes_up_without_privileges(user: OrdinaryUser, fleet: str) -> None:
    """Two hosts with their guests; a second ``up`` starts nothing anew."""
    status = user.do("status", fleet)
    assert status["mode"] == "user"
    assert [(host["guests"], host["running"]) for host in status["hosts"]] == [(1, 1), (1, 1)]
    running = user.do("pids", fleet)
    assert user.do("up", fleet) == status
    assert user.do("pids", fleet) == running


def test_each_host_is_reached_by_the_stock_client(user: OrdinaryUser, fleet: str) -> None:
    """The lab's ssh_config leads to each host's own libvirtd."""
    names = [user.do("ssh", fleet, host, "virsh -q list --name") for host in ("kvm1", "kvm2")]
    assert names == ["web1", "db1"]


def test_a_guest_with_a_shared_disk_migrates_live(user: OrdinaryUser, fleet: str) -> None:
    """It runs on the other host alone, and no number it wrote is missing."""
    outcome = user.do("migrate_shared", fleet)
    assert outcome == {"moved": True, "state": "running", "left": False, "lost": []}


def test_a_guest_takes_its_disk_along(user: OrdinaryUser, fleet: str) -> None:
    """The same with the disk copied to the other host's pool, which has another path."""
    outcome = user.do("migrate_copied", fleet)
    assert outcome == {"moved": True, "state": "running", "left": False, "lost": []}


def test_a_half_dead_fleet_is_repaired(user: OrdinaryUser, fleet: str) -> None:
    """A killed libvirtd, a killed sshd and a crashed guest are up again after ``up``."""
    assert user.do("breakdown", fleet) is False
    status = user.do("up", fleet)
    assert status["healthy"]
    assert sum(host["running"] for host in status["hosts"]) >= 2


def test_a_guest_shuts_down_when_asked(user: OrdinaryUser, fleet: str) -> None:
    """The guest itself powers off on ACPI's button."""
    assert user.do("shutdown", fleet) is True


def test_down_ends_connections_that_only_forward(user: OrdinaryUser, fleet: str) -> None:
    """An SSH session that runs no command belongs to the lab too, even when its sshd died.

    The fleet's own end, after this test, sees that none of it is left.
    """
    assert "web1" in user.do("forward", fleet)
    assert any("sshd" in trace for trace in traces(Path(fleet)))


def test_people_with_unusual_folders_get_a_fleet(user: OrdinaryUser) -> None:
    """A home with spaces, XDG folders far too long or relative, a TMPDIR that is not there."""
    odd = user.home / "a home with spaces and 'quotes'"
    made = user.run("mkdir", "-p", str(odd))
    assert made.returncode == 0
    env = {
        "HOME": str(odd),
        "XDG_STATE_HOME": str(user.home / ("long" * 40)),
        "XDG_RUNTIME_DIR": "/nonexistent/" + "r" * 120,
        "XDG_CONFIG_HOME": "relative/config",
        "XDG_DATA_HOME": "",
        "XDG_CACHE_HOME": str(user.home / ".cache"),
        "TMPDIR": "/nonexistent/" + "t" * 120,
    }
    uid = user.home.stat().st_uid
    assert user.do("default", env=env) == f"/var/tmp/novacron-{uid}/lab"
    folder = user.place / "o"
    assert user.do("up", str(folder), env=env)["healthy"]
    user.do("down", str(folder), env=env)
    assert traces(folder) == []
    assert not folder.exists()


KILL_POINTS = {
    "before anything runs": "ssh/config",
    "at its sshd": "kvm1/ssh/sshd.pid",
    "while libvirtd asks what QEMU can": "kvm1/r/libvirt/libvirtd.pid",
    "at its pools": "kvm1/etc/pool-cold.xml",
    "at its guests": "kvm1/r/libvirt/qemu/run/web1.pid",
}


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_start_killed_midway_is_removed(user: OrdinaryUser, point: str) -> None:
    """kill -9 of ``lab up`` at any moment: ``down`` leaves no process and no file."""
    folder = user.place / "k"
    starting = user.start("up", str(folder), "1", "1")
    reached = wait_until((folder / KILL_POINTS[point]).exists, 60, 0.001)
    starting.kill()
    starting.wait()
    assert reached
    user.do("down", str(folder))
    assert traces(folder) == []
    assert not folder.exists()


def test_a_killed_libvirtds_questions_end_with_the_fleet(user: OrdinaryUser) -> None:
    """A QEMU that libvirtd asks what it can do outlives it, with nothing of the lab's mark."""
    folder = user.place / "q"
    assert user.do("up", str(folder), "1", "0")["healthy"]
    assert user.do("orphan_probe", str(folder)), "a libvirtd was killed as it asked"
    assert any("qemu-system" in trace for trace in traces(folder))
    assert user.do("up", str(folder), "1", "0")["healthy"]
    assert not any("qemu-system" in trace for trace in traces(folder)), "a repair ends it"
    assert user.do("orphan_probe", str(folder))
    user.do("down", str(folder))
    assert traces(folder) == []
    assert not folder.exists()


def test_what_cannot_be_a_lab_is_refused(user: OrdinaryUser, lab: LabFleet) -> None:
    """Too long a folder, one with spaces, another user's, root's mode: each with its reason."""
    what, proof, fix = user.do("refusal", str(user.place / ("x" * 60)), "user")
    assert "too long a path" in what
    assert "bytes, at most" in proof
    assert "--folder" in fix
    what, proof, _ = user.do("refusal", str(user.place / "with space"), "user")
    assert "take apart" in what
    assert "' '" in proof
    assert "needs root" in user.do("refusal", str(user.place / "l2"), "netns")[0]
    full = user.home
    what, proof, _ = user.do("refusal", str(full), "auto")
    assert "holds other things" in what
    assert ".cache" in proof
    assert not list(user.place.glob("x*")), "a refusal makes nothing"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has two users at hand")
def test_labs_of_two_users_stand_side_by_side(
    user: OrdinaryUser, fleet: str, lab: LabFleet
) -> None:
    """Root's fleet and a user's run at once, and the user cannot touch root's."""
    assert lab.status().healthy
    assert user.do("status", fleet)["exists"]
    what, _, fix = user.do("refusal", str(lab.folder), "user")
    assert "closed to this user" in what
    assert "--folder" in fix
    assert "closed to this user" in user.do("no_down", str(lab.folder))
    assert lab.status().healthy
