"""Host keys while logging in: unknown, changed, revoked, certified."""

from __future__ import annotations

import subprocess

import asyncssh
import pytest

from drivers.errors import (
    HostKeyChanged,
    HostKeyUnknown,
    Refused,
)
from drivers.model.ask import KeyDecision
from tests.ssh.conftest import Box, Person
from tests.ssh.server import Rules, Start, uri


async def test_unknown_key_once_then_remembered(box: Box, start: Start) -> None:
    """Nothing is sent before the decision; remembering writes known_hosts, readable by me only."""
    rules = Rules(keys=[asyncssh.read_private_key(box.user_key)])
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    port = await start(rules, key=host_key, known=False)
    refusing = Person()
    with pytest.raises(HostKeyUnknown) as caught:
        await box.link(uri(port), refusing).connect()
    assert rules.seen_auth == []
    assert host_key.get_fingerprint() in caught.value.problem.proof
    question = refusing.keys[0]
    assert (question.address, question.algorithm) == (f"127.0.0.1:{port}", "ssh-ed25519")
    assert question.fingerprint == host_key.get_fingerprint()
    assert question.known_hosts == str(box.known_hosts)
    once = Person(KeyDecision.ONCE)
    link = box.link(uri(port), once)
    await link.connect()
    await link.close()
    assert not box.known_hosts.exists()
    await link.connect()  # the same run of the console does not ask again
    await link.close()
    assert len(once.keys) == 1


async def test_remembered_key_is_written(box: Box, start: Start) -> None:
    """The line ssh itself would write, in a file of mode 0600."""
    rules = Rules(keys=[asyncssh.read_private_key(box.user_key)])
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    port = await start(rules, key=host_key, known=False)
    link = box.link(uri(port), Person(KeyDecision.REMEMBER))
    await link.connect()
    await link.close()
    assert box.known_hosts.stat().st_mode & 0o777 == 0o600
    found = subprocess.run(  # noqa: ASYNC221 - ssh-keygen reads one small file
        ["ssh-keygen", "-F", f"[127.0.0.1]:{port}", "-f", str(box.known_hosts)],
        capture_output=True,
        check=True,
    )
    assert host_key.export_public_key().split()[1] in found.stdout


async def test_changed_key_shows_old_and_new(box: Box, start: Start) -> None:
    """A changed key is refused with both fingerprints; accepting replaces it, with a backup."""
    rules = Rules(keys=[asyncssh.read_private_key(box.user_key)])
    old = asyncssh.generate_private_key("ssh-ed25519")
    port = await start(rules, known=False)
    box.know(port, old)
    with pytest.raises(HostKeyChanged) as caught:
        await box.link(uri(port), Person()).connect()
    assert old.get_fingerprint() in caught.value.problem.proof
    assert rules.seen_auth == []
    person = Person(KeyDecision.REMEMBER)
    link = box.link(uri(port), person)
    await link.connect()
    await link.close()
    assert person.keys[0].changed
    assert old.get_fingerprint() in person.keys[0].known[0]
    gone = old.export_public_key().split()[1].decode()
    assert gone not in box.known_hosts.read_text()
    assert gone in box.known_hosts.with_name("known_hosts.old").read_text()


async def test_strict_yes_never_asks(box: Box, start: Start) -> None:
    """StrictHostKeyChecking yes: an unknown key is refused as ssh does, without a question."""
    box.configure("Host *\n  StrictHostKeyChecking yes")
    port = await start(Rules(), known=False)
    person = Person(KeyDecision.REMEMBER)
    with pytest.raises(HostKeyUnknown):
        await box.link(uri(port), person).connect()
    assert person.keys == []


async def test_strict_no_still_asks(box: Box, start: Start) -> None:
    """StrictHostKeyChecking no does not weaken the check."""
    box.configure("Host *\n  StrictHostKeyChecking no")
    port = await start(Rules(), known=False)
    person = Person()
    with pytest.raises(HostKeyUnknown):
        await box.link(uri(port), person).connect()
    assert len(person.keys) == 1


def certified(authority: asyncssh.SSHKey, name: str) -> tuple[asyncssh.SSHKey, object]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    return key, authority.generate_host_certificate(key, "host", principals=[name])


async def test_host_certificate_of_a_known_authority(box: Box, start: Start) -> None:
    """A host signed by @cert-authority needs no line of its own and no question."""
    authority = asyncssh.generate_private_key("ssh-ed25519")
    rules = Rules(keys=[asyncssh.read_private_key(box.user_key)])
    pair = certified(authority, "127.0.0.1")
    port = await start(rules, key=pair, known=False)  # type: ignore[arg-type]
    public = authority.export_public_key().decode()
    box.known_hosts.write_text(f"@cert-authority * {public}")
    person = Person()
    link = box.link(uri(port), person)
    await link.connect()
    assert (person.keys, link.logins[-1].verdict) == ([], "authority")
    await link.close()


async def test_certificate_of_a_stranger_falls_back_to_the_plain_key(
    box: Box, start: Start
) -> None:
    """A certificate that nobody vouches for is judged by its plain key, as ssh does."""
    trusted, stranger = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    pair = certified(stranger, "127.0.0.1")
    port = await start(Rules(), key=pair, known=False)  # type: ignore[arg-type]
    public = trusted.export_public_key().decode()
    box.known_hosts.write_text(f"@cert-authority * {public}")
    person = Person()
    with pytest.raises(HostKeyUnknown):
        await box.link(uri(port), person).connect()
    assert person.keys[0].fingerprint == pair[0].get_fingerprint()


async def test_revoked_host_key(box: Box, start: Start) -> None:
    """A revoked key is refused without a question, and no authentication is sent."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    rules = Rules()
    port = await start(rules, key=host_key)
    with box.known_hosts.open("a") as file:
        file.write("@revoked * " + host_key.export_public_key().decode())
    person = Person(KeyDecision.REMEMBER)
    with pytest.raises(Refused, match="cannot be accepted"):
        await box.link(uri(port), person).connect()
    assert (person.keys, rules.seen_auth) == ([], [])
