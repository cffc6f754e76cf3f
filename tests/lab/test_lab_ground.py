"""Where a practice fleet may live, and what it never touches."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.errors import Failed, Refused, Unsupported
from drivers.lab.fleet import LabFleet, default_folder
from drivers.lab.ground import LONGEST_FOLDER, MARKER, Ground, check_path
from drivers.lab.image import cache_folder, static_busybox
from drivers.lab.model import Mode
from drivers.lab.netns import _crypt
from drivers.lab.plan import free_ports, free_subnet, token_of
from drivers.lab.preflight import choose_mode
from drivers.lab.processes import marked

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, with no XDG variables, of an ordinary user by number."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("drivers.lab.ground.check_path", lambda *_: None)
    return tmp_path


def test_a_lab_lives_in_the_state_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~/.local/state``, or where XDG_STATE_HOME says; a relative one counts as none."""
    usual = home / ".local" / "state" / "novacron" / "lab"
    assert default_folder() == usual
    for value in ("", "relative/state"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert default_folder() == usual
    monkeypatch.setenv("XDG_STATE_HOME", "/srv/state")
    assert default_folder() == Path("/srv/state/novacron/lab")


@pytest.mark.parametrize("state", ["/x/" + "y" * 100, "/with space", "/quo'te", "/colon:s"])
def test_an_unusual_home_gets_another_place(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too long for sockets, or with characters that sshd and libvirt take apart."""
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", state)
    monkeypatch.setattr("drivers.lab.ground.os.geteuid", lambda: 4711)
    assert default_folder() == Path("/var/tmp/novacron-4711/lab")
    check_path(default_folder(), Mode.USER)


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image is then made in the lab's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert cache_folder() is None
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/proc/nowhere")
    assert cache_folder() is None


def test_paths_have_limits() -> None:
    """The length that still fits, and the sentence about one that does not."""
    fits = Path("/" + "x" * (LONGEST_FOLDER - 1))
    check_path(fits, Mode.USER)
    check_path(Path("/" + "x" * 200), Mode.NETNS)
    with pytest.raises(Unsupported, match="too long a path for the sockets") as raised:
        check_path(Path(f"{fits}y"), Mode.USER)
    assert f"at most {LONGEST_FOLDER} fit" in raised.value.problem.proof
    with pytest.raises(Unsupported, match="take apart"):
        check_path(Path("/caf\u00e9/50%/a b"), Mode.NETNS)


def test_a_folder_of_other_things_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``up`` refuses it and names them; ``down`` removes nothing, even what has a lab's names."""
    monkeypatch.setattr("drivers.lab.fleet.check_path", lambda *_: None)
    for name in ("ssh", "image", "kvm1"):
        (tmp_path / name).mkdir()
    (tmp_path / "image" / "holiday.jpg").touch()
    with pytest.raises(Refused, match="holds other things") as raised:
        LabFleet(tmp_path).up()
    assert raised.value.problem.proof == "image, kvm1, ssh"
    before = sorted(tmp_path.rglob("*"))
    LabFleet(tmp_path).down()
    assert sorted(tmp_path.rglob("*")) == before


def test_only_what_the_lab_made_is_removed(tmp_path: Path) -> None:
    """A folder that was there stays, empty; one that was made goes, unless it holds your file."""
    (tmp_path / "found").mkdir()
    for name, kept in (("found", True), ("made", False), ("mixed", True)):
        ground = Ground(tmp_path / name)
        ground.claim()
        ground.claim()
        assert ground.is_lab
        (ground.folder / "image").mkdir()
        (ground.folder / "lab.json.new").touch()
        if name == "mixed":
            (ground.folder / "notes.txt").touch()
        LabFleet(ground.folder).down()
        assert ground.folder.exists() is kept
    assert list((tmp_path / "found").iterdir()) == []
    assert [path.name for path in (tmp_path / "mixed").iterdir()] == ["notes.txt"]


def test_the_folders_above_go_too_when_they_were_made(tmp_path: Path) -> None:
    """A state folder that was not there is none afterwards, unless others moved in."""
    for name, kept in (("alone", False), ("shared", True)):
        ground = Ground(tmp_path / name / "state" / "novacron" / "lab")
        ground.claim()
        if kept:
            (tmp_path / name / "state" / "other").mkdir()
        LabFleet(ground.folder).down()
        assert (tmp_path / name / "state").exists() is kept
        assert not (tmp_path / name / "state" / "novacron").exists()


def test_a_folder_through_a_link_is_the_same_lab(tmp_path: Path) -> None:
    """Or ``down`` by one name would look for another's processes."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert LabFleet(tmp_path / "link").folder == LabFleet(tmp_path / "real").folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_another_users_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the folder above could put other keys and images in."""
    theirs = tmp_path / "theirs"
    (theirs / "lab").mkdir(parents=True)
    os.chown(theirs, 4242, 4242)
    monkeypatch.setattr("drivers.lab.ground.os.geteuid", lambda: 4711)
    for folder in (theirs, theirs / "new", theirs / "lab"):
        with pytest.raises(Refused, match="belongs to another user"):
            Ground(folder).claim()
        assert not (folder / MARKER).exists()


def test_modes_fit_who_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto`` chooses; the wrong one is refused with the right one named."""
    monkeypatch.setattr("drivers.lab.preflight.os.geteuid", lambda: 0)
    assert choose_mode("auto") is Mode.NETNS
    with pytest.raises(Refused, match="cannot be run by root") as raised:
        choose_mode("user")
    assert "--mode netns" in raised.value.problem.fix
    monkeypatch.setattr("drivers.lab.preflight.os.geteuid", lambda: 4711)
    assert choose_mode("auto") is Mode.USER
    with pytest.raises(Refused, match="needs root") as raised:
        choose_mode("netns")
    assert "--mode user" in raised.value.problem.fix
    with pytest.raises(Unsupported, match="no lab mode 'best'"):
        choose_mode("best")


def test_a_machine_without_the_tools_names_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, the packages, and the way on without them; nothing is left in the folder."""
    monkeypatch.setattr("drivers.lab.fleet.check_path", lambda *_: None)
    monkeypatch.setattr("drivers.lab.preflight._SEARCH", "/nonexistent")
    with pytest.raises(Unsupported, match="qemu-system-x86") as raised:
        LabFleet(tmp_path / "lab").up()
    assert "novacron demo --simulated" in raised.value.problem.fix
    assert not (tmp_path / "lab").exists()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("status", [None, 1], ids=["no busybox", "a busybox without mkpasswd"])
def test_a_password_is_hashed_without_busybox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int | None
) -> None:
    """Distributions build busybox with what they like; openssl hashes as well, or it is told."""
    if status is not None:
        (tmp_path / "busybox").write_text(f"#!/bin/sh\necho no such applet >&2\nexit {status}\n")
        (tmp_path / "busybox").chmod(0o755)
    openssl = str(shutil.which("openssl"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failed, match="could not be hashed"):
        _crypt("secret")
    (tmp_path / "openssl").symlink_to(openssl)
    assert _crypt("secret").startswith("$6$")


def test_ports_and_subnets_are_free(tmp_path: Path) -> None:
    """Another folder, another token; what is taken is stepped over."""
    token = token_of(tmp_path)
    assert token != token_of(tmp_path / "x")
    first = free_ports(token, 3)
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
        "print('up', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(first + 1)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        assert free_ports(token, 3) > first + 1
    finally:
        holder.communicate()
    assert free_subnet(token).startswith("10.")


def test_the_lab_can_be_left_out_and_nothing_else(tmp_path: Path) -> None:
    """NOVACRON_SKIP_LAB=1 skips what is marked; without it a lab that cannot start fails that."""
    suite = tmp_path / "test_suite.py"
    suite.write_text(
        "import pytest\n"
        "@pytest.mark.lab\ndef test_lab(lab): pass\n"
        "@pytest.mark.lab\ndef test_marked(): pass\n"
        "def test_plain(): pass\n"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "--rootdir", tmp_path]
    argv += ["-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", suite]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env.pop("NOVACRON_SKIP_LAB", None)

    def outcome(**more: str) -> str:
        done = subprocess.run(
            argv, cwd=tmp_path, env={**env, **more}, capture_output=True, text=True, check=False
        )
        return done.stdout.strip().splitlines()[-1]

    assert "1 passed, 2 skipped" in outcome(NOVACRON_SKIP_LAB="1")
    # Root's lab needs no PATH for its tools but this: without unshare there are no namespaces.
    assert "2 passed, 1 error" in outcome(PATH="/nonexistent")


def test_labs_of_killed_runs_are_removed(
    lab_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run that was killed has let go of its lock; one that lives keeps its folder."""
    from tests import labs

    monkeypatch.setattr(labs, "_PLACE", tmp_path)
    living = labs.RunFolder()
    killed = tmp_path / "nvt-killed"
    (killed / "lab").mkdir(parents=True)
    (killed / "run").touch()
    Ground(killed / "lab").claim()
    labs.sweep_leftovers()
    assert not killed.exists()
    assert living.path.exists()
    living.close()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_tests_lab_is_ended_with_its_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However deep its folder lies: else its processes would outlive their files."""
    from tests import labs

    monkeypatch.setattr(labs, "_PLACE", tmp_path)
    killed = tmp_path / "nvt-killed"
    living = labs.RunFolder()
    for folder in (killed / "a", living.new()):
        Ground(folder / "made" / "deep").claim()
    (killed / "run").touch()
    deep = {
        folder: subprocess.Popen(["sleep", "600"], env=marked(folder), start_new_session=True)
        for folder in (marker.parent for marker in tmp_path.rglob(MARKER))
    }
    assert len(deep) == 2
    labs.sweep_leftovers()
    living.close()
    assert list(tmp_path.iterdir()) == []
    assert [process.wait(60) for process in deep.values()] == [-signal.SIGKILL] * 2


def test_a_lab_whose_folder_was_removed_is_ended(tmp_path: Path) -> None:
    """``rm -r`` takes the folder and leaves the processes; ``lab down`` still ends those."""
    folder, other = tmp_path / "lab", tmp_path / "lab2"
    gone, lives = (subprocess.Popen(["sleep", "600"], env=marked(each)) for each in (folder, other))
    try:
        LabFleet(folder).down()
        assert gone.wait(60) == -signal.SIGKILL
        assert lives.poll() is None
    finally:
        lives.kill()
        lives.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process another root")
def test_a_lab_of_the_same_name_in_a_container_is_left_alone(tmp_path: Path) -> None:
    """It has other files: its folder only has the same path."""
    folder, tree = tmp_path / "lab", tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    busybox = static_busybox()
    assert busybox is not None
    shutil.copy(busybox, tree / "bin" / "busybox")
    argv = ["chroot", tree, "/bin/busybox", "sh", "-c", "echo up; exec /bin/busybox sleep 600"]
    inside = subprocess.Popen(argv, env=marked(folder), stdout=subprocess.PIPE)
    try:
        assert inside.stdout is not None
        assert inside.stdout.readline() == b"up\n"
        LabFleet(folder).down()
        assert inside.poll() is None
    finally:
        inside.kill()
        inside.communicate()
