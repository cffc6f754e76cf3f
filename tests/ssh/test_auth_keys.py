"""Logging in with keys: passphrases, agents, certificates, and many of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import asyncssh
import pytest

from drivers.errors import (
    AuthFailed,
)
from tests.ssh.conftest import Box, Person
from tests.ssh.server import Rules, Start, encrypted, uri


async def test_passphrase_is_asked_only_when_the_key_is_wanted(box: Box, start: Start) -> None:
    """A locked key the server does not know asks for nothing; one that it knows asks once."""
    key = encrypted(box, "open sesame")
    strangers = await start(Rules(keys=[asyncssh.generate_private_key("ssh-ed25519")]))
    person = Person(answers=[("open sesame",)])
    more = f"?keyfile={box.folder}/locked"
    with pytest.raises(AuthFailed):
        await box.link(uri(strangers, more), person).connect()
    assert person.secrets == []
    port = await start(Rules(keys=[key]))
    for _ in range(2):  # the second time the console has the key open already
        link = box.link(uri(port, more), person)
        await link.connect()
        assert f"key {box.folder}/locked" in link.logins[-1].worked
        await link.close()
    assert [q.title for q in person.secrets] == [f"Passphrase for {box.folder}/locked"]


async def test_wrong_passphrase_is_asked_again_then_given_up(box: Box, start: Start) -> None:
    """Three wrong passphrases end in a refusal that does not hold them."""
    port = await start(Rules(keys=[encrypted(box, "right")]))
    person = Person(answers=[("bad1",), ("bad2",), ("bad3",)])
    with pytest.raises(AuthFailed) as caught:
        await box.link(uri(port, f"?keyfile={box.folder}/locked"), person).connect()
    assert len(person.secrets) == 3
    assert "bad" not in str(caught.value)


@pytest.fixture
def agent(box: Box) -> object:
    """A real ssh-agent with a key of its own."""
    sock = box.folder / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="on-call")
    path = box.folder / "agent_key"
    key.write_private_key(path)
    path.chmod(0o600)
    environment = {**os.environ, "SSH_AUTH_SOCK": str(sock)}
    added = subprocess.run(
        [
            "sh",
            "-c",
            f"for i in 1 2 3 4 5 6 7 8 9; do test -S {sock} && break; sleep 0.1; done; "
            f"ssh-add -q {path}",
        ],
        env=environment,
        check=False,
        capture_output=True,
    )
    assert added.returncode == 0, added.stderr
    path.unlink()
    yield sock, key
    process.terminate()
    process.wait(timeout=60)


async def test_agent_entry_that_worked_is_named(
    box: Box, start: Start, agent: tuple[Path, asyncssh.SSHKey]
) -> None:
    """The doctor can say which agent entry was used."""
    sock, key = agent
    box.config.write_text(
        f"Host *\n  IdentityAgent {sock}\n  UserKnownHostsFile {box.known_hosts}\n"
        "  GlobalKnownHostsFile /dev/null\n  IdentityFile /nothing\n"
    )
    port = await start(Rules(keys=[key]))
    link = box.link(uri(port), Person())
    await link.connect()
    assert "agent entry on-call" in link.logins[-1].worked
    await link.close()


async def test_dead_agent_does_not_hang(box: Box, start: Start) -> None:
    """A stale SSH_AUTH_SOCK that accepts and says nothing costs a moment and is noted."""
    silent = box.folder / "stale.sock"
    server = await asyncio.start_unix_server(lambda r, w: None, silent)
    box.config.write_text(
        f"Host *\n  IdentityAgent {silent}\n  UserKnownHostsFile {box.known_hosts}\n"
        f"  GlobalKnownHostsFile /dev/null\n  IdentityFile {box.user_key}\n"
    )
    key = asyncssh.read_private_key(box.user_key)
    port = await start(Rules(keys=[key]))
    link = box.link(uri(port), Person())
    await link.connect()
    assert any("did not answer" in note for note in link.logins[-1].notes)
    await link.close()
    server.close()


async def test_user_certificate(box: Box, start: Start) -> None:
    """A certificate beside the key is offered before the bare key."""
    authority = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.read_private_key(box.user_key)
    certificate = authority.generate_user_certificate(key, "ops", principals=["ops"])
    certificate.write_certificate(str(box.user_key) + "-cert.pub")
    authorized = box.folder / "ca_keys"
    authorized.write_text("cert-authority " + authority.export_public_key().decode())
    port = await start(Rules(keys=[authority]), authorized_client_keys=str(authorized))
    link = box.link(uri(port), Person())
    await link.connect()
    assert link.logins[-1].worked.startswith("certificate for")
    await link.close()


async def test_many_keys_do_not_run_into_maxauthtries(box: Box, start: Start) -> None:
    """Seven keys, the last one right: two logins instead of one refusal."""
    lines = []
    for i in range(7):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(box.folder / f"k{i}")
        (box.folder / f"k{i}").chmod(0o600)
        lines.append(f"  IdentityFile {box.folder}/k{i}")
    box.configure("Host *\n" + "\n".join(lines))
    rules = Rules(keys=[key])
    port = await start(rules)
    link = box.link(uri(port), Person())
    await link.connect()
    assert f"key {box.folder}/k6" in link.logins[-1].worked
    assert len(rules.seen_auth) == 2
    await link.close()
