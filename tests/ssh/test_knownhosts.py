"""known_hosts files: what matches, and how a decision is written."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import asyncssh
import pytest

from drivers.ssh.knownhosts import hashed, look_up, matches, remember, without

KEY = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
OTHER = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()


def line(names: str, key: asyncssh.SSHKey = KEY, marker: str = "") -> str:
    public = key.export_public_key().decode().strip()
    return f"{marker + ' ' if marker else ''}{names} {public}\n"


@pytest.mark.parametrize(
    ("field", "name", "found"),
    [
        ("kvm1", "kvm1", True),
        ("KVM1,10.0.0.1", "kvm1", True),
        ("*.lan,!bad.lan", "a.lan", True),
        ("*.lan,!bad.lan", "bad.lan", False),
        ("kvm?", "kvm12", False),
        ("[kvm1]:2222", "[kvm1]:2222", True),
        ("[*]:2222", "[kvm1]:2222", True),
        ("kvm1", "[kvm1]:2222", False),
        ("[kvm1]:2222", "k", False),
        ("|1|bad|worse", "kvm1", False),
    ],
)
def test_names(field: str, name: str, found: bool) -> None:
    """Wildcards, negation and ports as sshd(8) says; brackets are no character sets."""
    assert matches(field, name) is found


def test_hashed_names_match_as_openssh_writes_them(tmp_path: Path) -> None:
    """Our hashes are found by ssh-keygen, and its hashes by us."""
    file = tmp_path / "kh"
    file.write_text(line(hashed("[kvm1]:2222")))
    found = subprocess.run(
        ["ssh-keygen", "-F", "[kvm1]:2222", "-f", str(file)], capture_output=True, check=True
    )
    assert found.stdout
    theirs = tmp_path / "theirs"
    theirs.write_text(line("web7"))
    subprocess.run(["ssh-keygen", "-H", "-f", str(theirs)], check=True, capture_output=True)
    assert "web7" not in theirs.read_text()
    assert look_up([str(theirs)], "web7").trusted == [KEY]


def test_markers_and_portless_lines(tmp_path: Path) -> None:
    """Revoked keys and authorities are told apart; a name without its port may still match."""
    file = tmp_path / "kh"
    file.write_text(
        "# note\n\ngarbage\n"
        + line("kvm1")
        + line("*", OTHER, "@revoked")
        + line("*.lan", OTHER, "@cert-authority")
    )
    here = look_up([str(file), str(tmp_path / "absent")], "[kvm1]:2222")
    assert (here.keys, here.trusted) == ((), [KEY])
    assert [e.key for e in here.revoked] == [OTHER]
    assert [e.key for e in look_up([str(file)], "a.lan").authorities] == [OTHER]


def test_remember_appends_once_and_privately(tmp_path: Path) -> None:
    """A file without a last line break stays whole; the same key is not written twice."""
    file = tmp_path / ".ssh" / "known_hosts"
    for _ in range(2):
        remember(str(file), "kvm1", KEY, hash_name=False, replace=False)
    assert file.read_text().count("kvm1") == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.write_text(file.read_text().rstrip("\n"))
    remember(str(file), "kvm2", OTHER, hash_name=True, replace=False)
    assert look_up([str(file)], "kvm1").trusted == [KEY]
    assert look_up([str(file)], "kvm2").trusted == [OTHER]
    assert "kvm2" not in file.read_text()


def test_replacing_keeps_other_names_and_a_backup(tmp_path: Path) -> None:
    """Only the changed host's name leaves the old line; wildcard lines stay."""
    file = tmp_path / "kh"
    before = line("kvm1,kvm2") + line(hashed("kvm1")) + line("kvm*")
    file.write_text(before)
    remember(str(file), "kvm1", OTHER, hash_name=False, replace=True)
    text = file.read_text()
    assert text == line("kvm2") + line("kvm*") + line("kvm1", OTHER).rsplit(" ", 0)[0]
    assert (tmp_path / "kh.old").read_text() == before
    assert without(line("a"), "b") == line("a")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """known_hosts kept elsewhere by a symbolic link is written there."""
    real = tmp_path / "real"
    real.write_text("")
    (tmp_path / "kh").symlink_to(real)
    remember(str(tmp_path / "kh"), "kvm1", KEY, hash_name=False, replace=False)
    assert (tmp_path / "kh").is_symlink()
    assert "kvm1" in real.read_text()


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    """Twenty hosts accepted at once are twenty lines."""
    file = str(tmp_path / "kh")
    threads = [
        threading.Thread(
            target=remember,
            args=(file, f"kvm{i}", KEY),
            kwargs={"hash_name": False, "replace": False},
        )
        for i in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Path(file).read_text().splitlines()) == 20
