"""What the practice hosts can do, as tests and people use it: real daemons, links and guests."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.errors import Gone, Unsupported
from drivers.lab.fleet import LabFleet
from drivers.lab.guests import wait_for_count
from drivers.lab.host import LabHost
from drivers.lab.model import TINY_POOL, GuestSpec
from drivers.lab.netns import OPERATOR, OPERATOR_PASSWORD, NetnsHost
from drivers.lab.processes import wait_until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts in namespaces need root"),
]

Guest = Callable[..., GuestSpec]
PATIENCE_S = 60.0
LIVE = ("--live", "--p2p", "--persistent", "--undefinesource")


def ssh(
    lab: LabFleet,
    host: LabHost,
    *words: str,
    options: tuple[str, ...] = ("BatchMode=yes",),
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """The stock client with the lab's configuration and a short patience."""
    flags = [word for option in (*options, "ConnectTimeout=3") for word in ("-o", option)]
    return subprocess.run(
        ["ssh", "-F", str(lab.ssh_config), *flags, host.name, *words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def migrated(lab: LabFleet, name: str, *options: str) -> None:
    """Move a guest from kvm1 to kvm2 by stock virsh; it must go on counting with no number lost."""
    source, target = lab.host("kvm1"), lab.host("kvm2")
    before = wait_for_count(source.disk_file(name), 3, PATIENCE_S).newest
    source.virsh("migrate", *LIVE, *options, name, target.peer_uri, target.migrate_uri)
    assert name not in source.domains().values()
    assert lab.where(name) is target
    assert target.virsh("domstate", name) == "running"
    assert wait_for_count(target.disk_file(name), before + 3, PATIENCE_S).lost == ()


def test_a_guest_migrates_live_with_a_shared_disk(lab: LabFleet, fresh_guest: Guest) -> None:
    """No copy, no ``--unsafe``, and nothing it wrote is lost."""
    migrated(lab, fresh_guest(name="nshared", shared=True).name)


def test_a_guest_migrates_live_with_its_disk(lab: LabFleet, fresh_guest: Guest) -> None:
    """The disk is copied to the same path on the other host while the guest writes."""
    migrated(lab, fresh_guest(name="ncopied").name, "--copy-storage-all")


def test_a_guest_shuts_down_and_keeps_its_count(lab: LabFleet, fresh_guest: Guest) -> None:
    """ACPI's button powers it off by itself; after a start it counts on from where it was."""
    name = fresh_guest(name="nasked").name
    host = lab.host("kvm1")
    wait_for_count(host.disk_file(name), 3, PATIENCE_S)
    host.virsh("shutdown", name)
    assert wait_until(lambda: host.virsh("domstate", name) == "shut off", PATIENCE_S)
    stood = lab.counter(name)
    assert stood.lost == ()
    host.virsh("start", name)
    assert wait_for_count(host.disk_file(name), stood.newest + 2, PATIENCE_S).lost == ()


def test_the_serial_console_is_a_shell(lab: LabFleet, fresh_guest: Guest) -> None:
    """``virsh console`` reaches a shell in the guest that runs what is typed."""
    name = fresh_guest(name="nshell", write_counter=False).name
    host = lab.host("kvm1")
    main, side = pty.openpty()
    argv = host.command(["virsh", "-c", host.direct_uri, "console", name])
    console = subprocess.Popen(
        argv, env=host.environment(), stdin=side, stdout=side, stderr=side, start_new_session=True
    )
    os.close(side)
    try:
        seen = read_until(main, rb"Escape character", b"")
        read_until(main, rb"nshell-42\r?\n", b"echo $(hostname)-$((6 * 7))\r", seen)
    finally:
        console.kill()
        console.wait()
        os.close(main)


def read_until(stream: int, wanted: bytes, typed: bytes, seen: bytes = b"") -> bytes:
    """Type again each second until the wanted text shows: the guest may still be booting."""
    until = time.monotonic() + PATIENCE_S
    while not re.search(wanted, seen):
        assert time.monotonic() < until, seen
        if typed:
            os.write(stream, typed)
        while select.select([stream], [], [], 1.0)[0] and not re.search(wanted, seen):
            seen += os.read(stream, 4096)
    return seen


@pytest.fixture
def askpass(tmp_path: Path) -> dict[str, str]:
    """Environment in which the stock client answers password prompts with the operator's."""
    script = tmp_path / "askpass"
    script.write_text(f"#!/bin/sh\necho '{OPERATOR_PASSWORD}'\n")
    script.chmod(0o700)
    return {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force"}


@pytest.mark.parametrize(
    ("sshd", "method"),
    [
        ({"PasswordAuthentication": "yes"}, "password"),
        ({"UsePAM": "yes", "KbdInteractiveAuthentication": "yes"}, "keyboard-interactive"),
    ],
)
def test_the_operator_logs_in_with_a_password(
    mended: LabFleet, askpass: dict[str, str], sshd: dict[str, str], method: str
) -> None:
    """Where sshd is told to allow it; the operator may use libvirt, and nobody could before."""
    host = mended.host("kvm3")
    options = (f"User={OPERATOR}", f"PreferredAuthentications={method}", "PubkeyAuthentication=no")
    refused = ssh(mended, host, "true", options=options, env=askpass)
    assert "Permission denied" in refused.stderr
    host.reconfigure_sshd(sshd)
    done = ssh(mended, host, "virsh -q -c qemu:///system uri; id -un", options=options, env=askpass)
    assert done.stdout.split() == ["qemu:///system", OPERATOR], done.stderr


def test_a_rotated_host_key_is_noticed(lab: LabFleet) -> None:
    """The stock client refuses the new key, which the lab's known_hosts does not have."""
    host = lab.host("kvm3")
    old_key = host.host_key.read_bytes(), host.host_key.with_suffix(".pub").read_bytes()
    assert ssh(lab, host, "hostname").stdout == "kvm3\n"
    new = host.rotate_host_key()
    try:
        assert new.encode() not in old_key[1]
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in ssh(lab, host, "true").stderr
    finally:
        host.sshd_kill()
        host.host_key.write_bytes(old_key[0])
        host.host_key.with_suffix(".pub").write_bytes(old_key[1])
        host.sshd_start()
    assert ssh(lab, host, "hostname").stdout == "kvm3\n"


@pytest.mark.parametrize("fault", ["link_down", "blackhole"])
def test_a_host_is_cut_off_and_comes_back(mended: LabFleet, fault: str) -> None:
    """Cut off, it takes no connection and the others do; mended, all is as before."""
    host = mended.host("kvm3")
    assert ssh(mended, host, "true").returncode == 0
    getattr(host, fault)()
    cut = ssh(mended, host, "true")
    assert cut.returncode == 255
    if fault == "blackhole":
        assert "timed out" in cut.stderr, "a black hole gives no error of its own"
    assert ssh(mended, mended.host("kvm2"), "true").returncode == 0
    assert host.virsh("uri") == "qemu:///system", "the host itself lives on"
    host.link_up()
    assert wait_until(lambda: ssh(mended, host, "true").returncode == 0, PATIENCE_S)


def test_a_link_is_slowed(mended: LabFleet) -> None:
    """Its rate is capped until it is mended; where the kernel cannot, that is said."""
    host = mended.host("kvm3")
    assert isinstance(host, NetnsHost)
    try:
        host.slow(0, 8)
    except Unsupported as error:
        pytest.skip(str(error))
    shown = subprocess.run(
        host.switch.box.command(["tc", "qdisc", "show", "dev", host.name]),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "rate 8Mbit" in shown
    host.link_up()


@pytest.fixture
def victim(lab: LabFleet, fresh_guest: Guest) -> str:
    """A guest that counts."""
    name = fresh_guest(name="nvictim").name
    wait_for_count(lab.host("kvm1").disk_file(name), 2, PATIENCE_S)
    return name


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped a process; on a busy machine that takes a moment."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_one_guest_hangs_and_crashes(lab: LabFleet, victim: str) -> None:
    """A stopped QEMU counts no more and hangs its monitor alone; killed, libvirt calls it off."""
    host = lab.host("kvm1")
    pid = host.qemu_pid(victim)
    host.qemu_stop(victim)
    assert wait_until(lambda: is_stopped(pid), PATIENCE_S)
    assert victim in host.domains(running=True).values(), "the list does not ask QEMU"
    host.qemu_continue(victim)
    wait_for_count(host.disk_file(victim), lab.counter(victim).newest + 2, PATIENCE_S)
    host.qemu_kill(victim)
    assert wait_until(lambda: host.virsh("domstate", victim) == "shut off", PATIENCE_S)
    with pytest.raises(Gone, match="does not run on kvm1"):
        host.qemu_pid(victim)


def test_daemons_hang_die_and_come_back(mended: LabFleet, victim: str) -> None:
    """Guests outlive libvirtd, which finds them again; sshd's sessions outlive its listener."""
    host = mended.host("kvm1")
    qemu = host.qemu_pid(victim)
    host.libvirtd_stop()
    pid = host.libvirtd_pid
    assert pid is not None
    assert wait_until(lambda: is_stopped(pid), PATIENCE_S)
    host.libvirtd_continue()
    assert host.virsh("uri") == host.direct_uri
    host.libvirtd_kill()
    assert host.libvirtd_pid is None
    os.kill(qemu, 0)
    host.libvirtd_start()
    assert host.virsh("domstate", victim) == "running"
    assert host.qemu_pid(victim) == qemu
    host.sshd_kill()
    assert "refused" in ssh(mended, host, "true").stderr
    host.sshd_start()
    assert ssh(mended, host, "true").returncode == 0


def test_the_tiny_pool_fills(lab: LabFleet) -> None:
    """A volume that does not fit is refused, as on a disk that is full, and nothing stays."""
    host = lab.host("kvm2")
    words = ["vol-create-as", TINY_POOL, "big.raw", "64MiB", "--allocation", "64MiB"]
    done = host.run(["virsh", "-q", "-c", host.direct_uri, *words, "--format", "raw"], check=False)
    assert done.returncode != 0
    assert "No space left" in done.stderr
    assert host.virsh("vol-list", TINY_POOL) == ""


def test_a_stale_pidfile_kills_nobody(lab: LabFleet) -> None:
    """Its number may be another process's by now: the lab looks before it signals."""
    host = lab.host("kvm2")
    assert isinstance(host, NetnsHost)
    libvirtd, pidfile = host.libvirtd_pid, host.box.root / "run" / "sshd.pid"
    kept = pidfile.read_text()
    pidfile.write_text((host.box.root / "run" / "libvirtd.pid").read_text())
    try:
        assert host.sshd_pid is None
        host.sshd_kill()
        assert host.libvirtd_pid == libvirtd
    finally:
        pidfile.write_text(kept)
    assert host.sshd_pid is not None


def test_a_removed_guest_leaves_no_copy_of_its_disk(lab: LabFleet) -> None:
    """A tier move that found the name taken wrote ``gone-2.raw``; ``gone-3`` is another guest."""
    gone, stays = GuestSpec("gone"), GuestSpec("gone-3", tier="warm")
    for spec in (gone, stays):
        lab.define_guest(spec, on="kvm1", start=False)
    host = lab.host("kvm1")
    for pool, name in (("warm", "gone-2.raw"), ("cold", "gone-4.qcow2"), ("cold", "gone5.raw")):
        (host.pool_folder(pool) / name).touch()
    lab.remove_guest("gone")
    left = [path.name for pool in host.pools() for path in host.pool_folder(pool).glob("gone*")]
    assert sorted(left) == ["gone-3.raw", "gone5.raw"]
    assert "gone" not in host.domains().values()
    lab.remove_guest("gone-3")
    (host.pool_folder("cold") / "gone5.raw").unlink()
