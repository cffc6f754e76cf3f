"""Logging in to an in-process server: secrets, keys, agents, certificates and host keys."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from drivers.errors import (
    AuthFailed,
    HostKeyChanged,
    HostKeyUnknown,
    Refused,
    TimedOut,
    Unreachable,
)
from drivers.model.ask import KeyDecision
from tests.ssh.conftest import Box, Person, until


@dataclass
class Rules:
    """What the server lets in, and what it saw."""

    keys: list[asyncssh.SSHKey] = field(default_factory=list)
    password: str = ""
    codes: list[str] = field(default_factory=list)
    seen_auth: list[str] = field(default_factory=list)


class Server(asyncssh.SSHServer):
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.left = list(rules.codes)

    def begin_auth(self, username: str) -> bool:
        self.rules.seen_auth.append(username)
        return True

    def public_key_auth_supported(self) -> bool:
        return bool(self.rules.keys)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key.public_data in [known.public_data for known in self.rules.keys]

    def password_auth_supported(self) -> bool:
        return bool(self.rules.password)

    def validate_password(self, username: str, password: str) -> bool:
        return password == self.rules.password

    def kbdint_auth_supported(self) -> bool:
        return bool(self.rules.codes)

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "Token", "Look at your \x1b[31mtoken", "", [("Code 1:", False)]

    def validate_kbdint_response(
        self, username: str, responses: list[str]
    ) -> bool | tuple[str, str, str, list[tuple[str, bool]]]:
        if list(responses) != [self.left.pop(0)]:
            return False
        return ("", "Once more", "", [("Code 2:", True)]) if self.left else True


Start = Callable[..., Awaitable[int]]


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


def uri(port: int, more: str = "") -> str:
    return f"qemu+ssh://ops@127.0.0.1:{port}/system{more}"


async def test_password_is_asked_in_the_console(box: Box, start: Start) -> None:
    """A wrong password is asked for again, and is nowhere in what can be printed."""
    port = await start(Rules(password="s3cret-pw"))
    person = Person(answers=[("wrong-pw",), ("s3cret-pw",)])
    link = box.link(uri(port), person)
    await link.connect()
    assert [q.title for q in person.secrets] == ["Password for ops@127.0.0.1"] * 2
    assert "refused" in person.secrets[1].text
    assert person.secrets[0].fields == (("Password", False),)
    assert link.logins[-1].worked == "password"
    assert "s3cret" not in repr(link.logins) + repr(vars(link))
    await link.close()


async def test_two_rounds_of_codes(box: Box, start: Start) -> None:
    """Keyboard-interactive shows the server's own words, harmless, round by round."""
    port = await start(Rules(codes=["111", "222"]))
    person = Person(answers=[("111",), ("222",)])
    link = box.link(uri(port), person)
    await link.connect()
    assert [q.fields for q in person.secrets] == [
        (("Code 1:", False),),
        (("Code 2:", True),),
    ]
    assert "\x1b" not in person.secrets[0].text
    assert link.logins[-1].worked == "keyboard-interactive"
    await link.close()


async def test_nobody_answers(box: Box, start: Start) -> None:
    """Leaving the question unanswered ends the login and says so."""
    port = await start(Rules(password="x"))
    with pytest.raises(AuthFailed, match="question was not answered") as caught:
        await box.link(uri(port), Person()).connect()
    assert not caught.value.answered


async def test_a_refused_or_declined_answer_is_told_apart(box: Box, start: Start) -> None:
    """The console knows that a person had a say, and will not ask again by itself."""
    port = await start(Rules(password="x"))
    for answers in ([("wrong",)], [()]):
        with pytest.raises(AuthFailed) as caught:
            await box.link(uri(port), Person(answers=list(answers))).connect()
        assert caught.value.answered


async def test_no_tty_never_asks(box: Box, start: Start) -> None:
    """no_tty=1 in the URI: a password is not asked for."""
    port = await start(Rules(password="x"))
    person = Person(answers=[("x",)])
    with pytest.raises(AuthFailed):
        await box.link(uri(port, "?no_tty=1"), person).connect()
    assert person.secrets == []


async def test_time_to_type_does_not_count(box: Box, start: Start) -> None:
    """The deadline stands still while a person looks for the token."""
    port = await start(Rules(password="x"))

    class Slow(Person):
        async def secret(self, question: object) -> tuple[str, ...]:
            await asyncio.sleep(1.8)  # longer than the whole deadline
            return ("x",)

    link = box.link(uri(port), Slow(), connect_s=1.5)
    await link.connect()
    await link.close()


def encrypted(box: Box, phrase: str) -> asyncssh.SSHKey:
    key = asyncssh.generate_private_key("ssh-ed25519")
    path = box.folder / "locked"
    key.write_private_key(path, passphrase=phrase)
    path.chmod(0o600)
    return key


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
    process.wait(timeout=5)


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


async def test_stalled_server_ends_at_the_deadline(box: Box) -> None:
    """A server that accepts and never speaks is told as such, at its deadline."""
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(TimedOut, match="did not finish its handshake"):
        await box.link(uri(port), Person(), connect_s=0.6).connect()
    server.close()


async def test_refused_port_and_unknown_name(box: Box) -> None:
    """The two plainest failures, each with its fix."""
    with pytest.raises(Unreachable, match="nothing listens") as caught:
        await box.link(uri(1), Person()).connect()
    assert "start sshd" in caught.value.problem.fix
    with pytest.raises(Unreachable, match="does not resolve"):
        await box.link("qemu+ssh://no-such-host.invalid/system", Person()).connect()


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


async def test_twenty_links_log_in_a_few_at_a_time(box: Box, start: Start) -> None:
    """Many hosts behind one address never have more than eight logins under way."""
    busy = most = 0

    class Counting(Server):
        async def begin_auth(self, username: str) -> bool:  # type: ignore[override]
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.02)  # a login takes a moment
            busy -= 1
            return True

    rules = Rules(keys=[asyncssh.read_private_key(box.user_key)])
    port = await start(rules, factory=lambda: Counting(rules))
    links = [box.link(uri(port), Person(), connect_s=60.0) for _ in range(20)]
    await asyncio.gather(*(link.connect() for link in links))
    assert 1 <= most <= 8
    await asyncio.gather(*(link.close() for link in links))


async def test_open_questions_hold_up_no_other_host(box: Box, start: Start) -> None:
    """Twelve prompts that nobody has answered yet: a host behind the same address still comes."""
    port = await start(Rules(password="x"))
    asked = 0
    answer = asyncio.Event()

    class Away(Person):
        async def secret(self, question: object) -> tuple[str, ...]:
            nonlocal asked
            asked += 1
            await answer.wait()
            return ("x",)

    waiting = [box.link(uri(port), Away()) for _ in range(12)]
    logins = [asyncio.create_task(link.connect()) for link in waiting]
    there = box.link(uri(port), Person(answers=[("x",)]))
    try:
        await until(lambda: asked == 12, 20)
        await there.connect()
        answer.set()
        await asyncio.gather(*logins)
    finally:
        await asyncio.gather(*(link.close() for link in (there, *waiting)))
