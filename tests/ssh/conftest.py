"""A real sshd on a high port, keys, and a prompter that answers from a script."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from drivers.model.ask import HostKeyQuestion, KeyDecision, SecretQuestion
from drivers.model.host import HostSpec
from drivers.ssh.desk import Desk
from drivers.ssh.link import SshLink
from drivers.uri import parse_uri
from tests.ssh.server import Rules, Server, Start

USER = os.environ.get("USER") or "root"


@dataclass
class Person:
    """Answers questions from a script and remembers what was asked."""

    decision: KeyDecision = KeyDecision.REFUSE
    answers: list[tuple[str, ...] | None] = field(default_factory=list)
    keys: list[HostKeyQuestion] = field(default_factory=list)
    secrets: list[SecretQuestion] = field(default_factory=list)

    async def host_key(self, question: HostKeyQuestion) -> KeyDecision:
        self.keys.append(question)
        return self.decision

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        self.secrets.append(question)
        return self.answers.pop(0) if self.answers else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Box:
    """A folder with keys, an ssh_config and known_hosts of its own."""

    folder: Path
    config: Path
    known_hosts: Path
    user_key: Path
    desk: Desk = field(default_factory=Desk)

    def spec(self, uri: str, **more: object) -> HostSpec:
        """A host that a busy machine has long to answer for, unless told otherwise."""
        chosen = {"deadline_s": 60.0, **more}
        return HostSpec("kvm1", uri, ssh_config=str(self.config), **chosen)  # type: ignore[arg-type]

    def link(self, uri: str, person: Person, **more: object) -> SshLink:
        return SshLink(self.spec(uri, **more), parse_uri(uri), person, self.desk)

    def configure(self, text: str) -> None:
        """Put ``text`` before the settings that keep tests away from the real ~/.ssh."""
        self.config.write_text(
            f"{text}\nHost *\n  UserKnownHostsFile {self.known_hosts}\n"
            "  GlobalKnownHostsFile /dev/null\n  IdentityAgent none\n"
            f"  IdentityFile {self.user_key}\n"
        )

    def know(self, port: int, key: asyncssh.SSHKey, host: str = "127.0.0.1") -> None:
        name = host if port == 22 else f"[{host}]:{port}"
        public = key.export_public_key().decode().strip()
        with self.known_hosts.open("a") as file:
            file.write(f"{name} {public}\n")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    key = asyncssh.generate_private_key("ssh-ed25519")
    path = tmp_path / "id_test"
    key.write_private_key(path)
    path.chmod(0o600)
    key.write_public_key(tmp_path / "id_test.pub")
    made = Box(tmp_path, tmp_path / "ssh_config", tmp_path / "known_hosts", path)
    made.configure("")
    return made


@dataclass
class Sshd:
    """A running OpenSSH daemon."""

    port: int
    host_key: asyncssh.SSHKey
    log: Path

    def uri(self, more: str = "", path: str = "/system") -> str:
        return f"qemu+ssh://{USER}@127.0.0.1:{self.port}{path}{more}"


@pytest.fixture
def start_sshd(box: Box) -> Iterator[Callable[..., Sshd]]:
    """Start an sshd with extra configuration lines; it trusts the box's user key."""
    binary = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if binary is None:
        pytest.skip("needs OpenSSH's sshd (Debian: openssh-server)")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    running: list[subprocess.Popen[bytes]] = []

    def start(*lines: str, kind: str = "ssh-ed25519") -> Sshd:
        port = free_port()
        key = asyncssh.generate_private_key(kind)
        key_path = box.folder / f"host_{port}"
        key.write_private_key(key_path)
        key_path.chmod(0o600)
        authorized = box.folder / "authorized_keys"
        shutil.copy(str(box.user_key) + ".pub", authorized)
        log = box.folder / f"sshd_{port}.log"
        config = box.folder / f"sshd_config_{port}"
        config.write_text(
            "\n".join(
                [
                    *lines,
                    f"Port {port}",
                    "ListenAddress 127.0.0.1",
                    f"HostKey {key_path}",
                    f"AuthorizedKeysFile {authorized}",
                    "StrictModes no",
                    "UsePAM no",
                    "PasswordAuthentication no",
                    "PermitRootLogin yes",
                    "PidFile none",
                    "LogLevel VERBOSE",
                    "Subsystem sftp internal-sftp",
                ]
            )
            + "\n"
        )
        running.append(
            subprocess.Popen([binary, "-D", "-e", "-f", str(config)], stderr=log.open("wb"))
        )
        wait_for_port(port, running[-1], log)
        return Sshd(port, key, log)

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(timeout=60)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
    pytest.fail("sshd did not listen")


@pytest.fixture
async def sshd_link(
    box: Box, start_sshd: Callable[..., Sshd]
) -> AsyncIterator[tuple[SshLink, Sshd]]:
    """A connected link to a plain sshd whose key is known."""
    server = start_sshd()
    box.know(server.port, server.host_key)
    link = box.link(server.uri(), Person())
    await link.connect()
    yield link, server
    await link.close()


@pytest.fixture
async def start(box: Box) -> AsyncIterator[Start]:
    """Start a server; its host key is put on record unless ``known=False``."""
    running: list[asyncssh.SSHAcceptor] = []

    async def make(
        rules: Rules,
        *,
        key: asyncssh.SSHKey | None = None,
        known: bool = True,
        factory: Callable[[], asyncssh.SSHServer] | None = None,
        **more: object,
    ) -> int:
        host_key = key or asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=factory or (lambda: Server(rules)),
            server_host_keys=[host_key],
            **more,
        )
        running.append(server)
        if known:
            box.know(server.get_port(), host_key)
        return server.get_port()

    yield make
    for server in running:
        server.close()
        await server.wait_closed()


async def sshd_pid(link: SshLink) -> int:
    """The process of sshd that serves this connection."""
    script = (
        'p=$$; while [ "$(cat /proc/$p/comm)" != sshd ]; '
        "do p=$(cut -d ' ' -f 4 /proc/$p/stat); done; echo $p"
    )
    found = await link.run(["sh", "-c", script], timeout=30)
    return int(found.stdout)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition with a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is a fact outside this loop
            await asyncio.sleep(0.01)
