"""The lab's SSH identities, known hosts and client configuration, all inside its folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import Failed
from drivers.lab.processes import marked


@dataclass(frozen=True, slots=True)
class SshPlace:
    """Where ssh finds one host, and as whom."""

    name: str
    address: str
    port: int
    user: str


def make_key(lab: Path, path: Path, comment: str) -> None:
    """Make an ed25519 key of a lab, without a passphrase, unless there is one."""
    if path.exists() and path.with_suffix(".pub").exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    done = subprocess.run(argv, env=marked(lab), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed("an SSH key for the lab could not be made", done.stderr.strip())


def public_key(path: Path) -> str:
    """Type and base64 of a key's public half, without its comment."""
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def known_hosts_line(place: SshPlace, key: str) -> str:
    """One line under the host's name and its address."""
    address = place.address if place.port == 22 else f"[{place.address}]:{place.port}"
    return f"{place.name},{address} {key}"


def client_config(places: Iterable[SshPlace], identity: Path, known_hosts: Path) -> str:
    """An ssh_config for the lab's hosts with strict host key checking."""
    blocks = [
        f"Host {place.name}\n"
        f"    HostName {place.address}\n"
        f"    Port {place.port}\n"
        f"    User {place.user}\n"
        for place in places
    ]
    common = (
        "Host *\n"
        f"    IdentityFile {identity}\n"
        "    IdentitiesOnly yes\n"
        f"    UserKnownHostsFile {known_hosts}\n"
        "    GlobalKnownHostsFile /dev/null\n"
        "    StrictHostKeyChecking yes\n"
    )
    return "\n".join([*blocks, common])


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or nothing."""
    scratch = path.with_name(path.name + ".new")
    scratch.touch(mode=0o600)
    scratch.write_text(text)
    scratch.rename(path)
