"""Reaching real hosts through real sshd: every way in, and every way of being turned away."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from drivers.errors import AuthFailed, HostKeyChanged, HostKeyUnknown
from drivers.kvm.driver import KvmDriver
from drivers.lab.fleet import LabFleet
from drivers.lab.host import LabHost
from drivers.lab.keys import make_key
from drivers.lab.model import Mode
from drivers.lab.netns import OPERATOR, OPERATOR_PASSWORD
from drivers.lab.processes import wait_until
from drivers.model.ask import HostKeyQuestion, KeyDecision, SecretQuestion
from drivers.model.host import HostSpec, Transport
from drivers.open import probe_host
from tests.lab.e2e_cli import Cli

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def _in_namespaces(lab: LabFleet) -> None:
    if lab.mode is not Mode.NETNS:
        pytest.skip("needs hosts with addresses and logins of their own: root and namespaces")


@dataclass
class Person:
    """Answers from a script and remembers what was asked."""

    decision: KeyDecision = KeyDecision.REFUSE
    answers: list[tuple[str, ...]] = field(default_factory=list)
    keys: list[HostKeyQuestion] = field(default_factory=list)
    secrets: list[SecretQuestion] = field(default_factory=list)

    async def host_key(self, question: HostKeyQuestion) -> KeyDecision:
        self.keys.append(question)
        return self.decision

    async def secret(self, question: SecretQuestion) -> tuple[str, ...] | None:
        self.secrets.append(question)
        return self.answers.pop(0) if self.answers else None


@dataclass
class Desk:
    """One tester's ~/.ssh: a configuration and known hosts of their own."""

    lab: LabFleet
    folder: Path

    @property
    def known(self) -> Path:
        return self.folder / "known_hosts"

    def spec(self, host: str = "kvm1", *, user: str = "root", **options: str) -> HostSpec:
        """A host reached by an ssh_config with these options for all hosts."""
        config = self.folder / "config"
        if not self.known.exists():
            shutil.copy(self.lab.known_hosts, self.known)
        common = {
            "IdentityFile": str(self.lab.identity),
            "IdentityAgent": "none",
            "UserKnownHostsFile": str(self.known),
            "GlobalKnownHostsFile": "/dev/null",
            **options,
        }
        blocks = [f"Host {h.name}\n  HostName {h.place.address}\n" for h in self.lab.hosts]
        lines = [f"  {name} {value}\n" for name, value in common.items()]
        kept = config.read_text() if config.exists() else ""
        config.write_text(kept + "".join([*blocks, "Host *\n", *lines]))
        uri = f"qemu+ssh://{user}@{host}/system"
        return replace(self.lab.host(host).spec(), uri=uri, ssh_config=str(config))


@pytest.fixture
def desk(lab: LabFleet, tmp_path: Path) -> Desk:
    return Desk(lab, tmp_path)


@asynccontextmanager
async def connected(spec: HostSpec, person: Person | None = None) -> AsyncIterator[KvmDriver]:
    driver = KvmDriver(spec, person or Person())
    try:
        await driver.connect()
        yield driver
    finally:
        await driver.close()


async def works(driver: KvmDriver, host: LabHost) -> None:
    """It is the right host, and its domains are told."""
    told = {vm.uuid: vm.name for vm in (await driver.read_slow()).vms}
    assert told == await asyncio.to_thread(host.domains)


async def login_of(spec: HostSpec, person: Person | None = None) -> str:
    """What the doctor says of the login."""
    checks = await probe_host(spec, person or Person())
    (login,) = [c for c in checks if c.name.startswith("login")]
    return f"{login.text} ({login.proof})"


async def test_a_key_of_ssh_config_opens_the_host(lab: LabFleet, desk: Desk) -> None:
    """One connection carries libvirt, figures of /proc and a shell; the route says how."""
    spec = desk.spec()
    async with connected(spec) as driver:
        await works(driver, lab.host("kvm1"))
        assert driver.route == f"{lab.host('kvm1').place.address}:22 > forwarded socket"
        assert (await driver.read_fast()).load.memory_total
        shell = await driver.open_shell(80, 24, "dumb")
        await shell.write(b"hostname; exit\n")
        said = b""
        async with asyncio.timeout(60):
            while chunk := await shell.read():
                said += chunk
        await shell.close()
        assert b"kvm1" in said
    assert str(lab.identity) in await login_of(spec)


async def test_a_volume_made_on_the_host_is_found_when_asked_for(lab: LabFleet, desk: Desk) -> None:
    """An image copied there by hand: after a refresh over SSH it is a volume, all pools go on."""
    image = lab.host("kvm1").pool_folder("warm") / "by-hand.raw"
    async with connected(desk.spec()) as driver:
        before = await driver.read_pools()
        await asyncio.to_thread(image.write_bytes, bytes(1 << 20))
        try:
            await driver.refresh_pools()
            after = await driver.read_pools()
        finally:
            await asyncio.to_thread(image.unlink)
        assert {p.name: p.active for p in after} == {p.name: p.active for p in before}
        found = [v.name for p in after for v in p.volumes if p.name == "warm"]
        assert "by-hand.raw" in found
        await driver.refresh_pools()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """A real ssh-agent holding a key; gives its socket."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)

    def holding(key: Path) -> Path:
        assert wait_until(socket.exists, 30.0, 0.05)
        environment = {"SSH_AUTH_SOCK": str(socket), "PATH": "/usr/bin:/bin"}
        subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True)
        return socket

    yield holding
    process.terminate()
    process.wait(30)


async def test_an_agent_opens_the_host(
    lab: LabFleet, desk: Desk, agent: Callable[[Path], Path]
) -> None:
    """With no key file at all, the agent's entry lets in, and the doctor names it."""
    spec = desk.spec(IdentityFile="none", IdentityAgent=str(agent(lab.identity)))
    async with connected(spec) as driver:
        await works(driver, lab.host("kvm1"))
    assert "agent entry novacron lab" in await login_of(spec)


async def test_a_password_is_asked_for_and_opens_the_host(mended: LabFleet, desk: Desk) -> None:
    """The question comes to the console, hidden; a wrong answer is asked again, never told."""
    host = mended.host("kvm1")
    host.reconfigure_sshd({"PasswordAuthentication": "yes"})
    spec = desk.spec(user=OPERATOR, IdentityFile="none")
    person = Person(answers=[("wrong",), (OPERATOR_PASSWORD,)])
    async with connected(spec, person) as driver:
        await works(driver, host)
    assert len(person.secrets) == 2
    assert OPERATOR in person.secrets[0].title
    assert [echo for _, echo in person.secrets[0].fields] == [False]
    with pytest.raises(AuthFailed) as turned_away:
        async with connected(spec, Person(answers=[("not this one",)] * 9)):
            pass
    assert "not this one" not in str(turned_away.value)


async def test_a_second_factor_is_asked_for(mended: LabFleet, desk: Desk) -> None:
    """sshd wants a key and then an answer by keyboard-interactive: both are given."""
    host = mended.host("kvm1")
    keys = host.inside(mended.folder / "ssh" / "authorized_keys")
    host.run(["install", "-m", "644", keys, "/run/operator/keys"])
    host.reconfigure_sshd(
        {
            "UsePAM": "yes",
            "AuthorizedKeysFile": "/run/operator/keys",
            "KbdInteractiveAuthentication": "yes",
            "AuthenticationMethods": "publickey,keyboard-interactive",
        }
    )
    person = Person(answers=[(OPERATOR_PASSWORD,)])
    async with connected(desk.spec(user=OPERATOR), person) as driver:
        await works(driver, host)
    (question,) = person.secrets
    assert "Password" in question.fields[0][0]
    with pytest.raises(AuthFailed):
        async with connected(desk.spec(user=OPERATOR), Person()):
            pass


@pytest.mark.parametrize("hops", [("kvm1",), ("kvm1", "kvm2")], ids=["one-hop", "two-hops"])
async def test_jump_hosts_are_passed(lab: LabFleet, desk: Desk, hops: tuple[str, ...]) -> None:
    """ProxyJump of ssh_config is followed hop by hop; the last name is known to the hops alone."""
    (desk.folder / "config").write_text(
        f"Host inner\n  HostName kvm3\n  ProxyJump {','.join(hops)}\n"
    )
    spec = replace(desk.spec("kvm3"), uri="qemu+ssh://root@inner/system")
    async with connected(spec) as driver:
        await works(driver, lab.host("kvm3"))
        passed = [f"{lab.host(hop).place.address}:22" for hop in hops]
        assert driver.route.split(" > ") == [*passed, "kvm3:22", "forwarded socket"]


async def test_a_wrong_key_is_turned_away_by_name(desk: Desk) -> None:
    """The error names the key that was tried, and what to do."""
    wrong = desk.folder / "id_wrong"
    make_key(desk.folder, wrong, "somebody else")
    with pytest.raises(AuthFailed) as turned_away:
        async with connected(desk.spec(IdentityFile=str(wrong))):
            pass
    assert str(wrong) in turned_away.value.problem.proof
    assert "authorized_keys" in turned_away.value.problem.fix


@pytest.fixture
def reinstalled(lab: LabFleet) -> Iterator[LabHost]:
    """kvm3 with a new host key, and its old one back afterwards."""
    host = lab.host("kvm3")
    public = host.host_key.with_suffix(".pub")
    old = host.host_key.read_bytes(), public.read_bytes()
    host.rotate_host_key()
    yield host
    host.host_key.write_bytes(old[0])
    public.write_bytes(old[1])
    host.reconfigure_sshd({})


def fingerprint(key: Path) -> str:
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(key)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[1]


def on_record(lab: LabFleet, host: str) -> str:
    """The fingerprint of the host's key in known_hosts."""
    done = subprocess.run(
        ["ssh-keygen", "-l", "-F", host, "-f", str(lab.known_hosts)],
        capture_output=True,
        text=True,
        check=True,
    )
    return next(word for word in done.stdout.split() if word.startswith("SHA256:"))


async def test_a_changed_host_key_needs_a_decision(
    lab: LabFleet, desk: Desk, reinstalled: LabHost
) -> None:
    """Old and new fingerprint are shown; refused, no secret goes there; remembered, it is quiet."""
    reinstalled.reconfigure_sshd({"PasswordAuthentication": "yes"})
    spec = desk.spec("kvm3", user=OPERATOR, IdentityFile="none")
    old = on_record(lab, "kvm3")
    refusing = Person(answers=[(OPERATOR_PASSWORD,)])
    with pytest.raises(HostKeyChanged) as refused:
        async with connected(spec, refusing):
            pass
    (question,) = refusing.keys
    new = fingerprint(reinstalled.host_key.with_suffix(".pub"))
    assert question.changed
    assert question.fingerprint == new
    assert any(old in known for known in question.known)
    assert old in str(refused.value)
    assert new in str(refused.value)
    assert refusing.secrets == []
    accepting = Person(KeyDecision.REMEMBER, [(OPERATOR_PASSWORD,)])
    async with connected(spec, accepting) as driver:
        await works(driver, reinstalled)
    again = Person(answers=[(OPERATOR_PASSWORD,)])
    async with connected(spec, again) as driver:
        await works(driver, reinstalled)
    assert again.keys == []


async def test_an_unknown_host_key_needs_a_decision(lab: LabFleet, desk: Desk) -> None:
    """Refused, it stays unknown; remembered, it is asked no more."""
    desk.known.touch()
    spec = desk.spec()
    refusing = Person()
    with pytest.raises(HostKeyUnknown):
        async with connected(spec, refusing):
            pass
    (question,) = refusing.keys
    assert not question.changed
    shown = fingerprint(lab.host("kvm1").host_key.with_suffix(".pub"))
    assert question.fingerprint == shown
    assert desk.known.read_text() == ""
    for person in (Person(KeyDecision.REMEMBER), Person()):
        async with connected(spec, person) as driver:
            await works(driver, lab.host("kvm1"))
        assert len(person.keys) == (person.decision is KeyDecision.REMEMBER)


@pytest.mark.parametrize(
    "options",
    [{"AllowStreamLocalForwarding": "no"}, {"DisableForwarding": "yes"}],
    ids=["no-sockets", "no-forwarding-at-all"],
)
async def test_without_forwarding_the_helper_carries_libvirt(
    mended: LabFleet, desk: Desk, options: dict[str, str]
) -> None:
    """sshd that forwards nothing still gives everything, by virt-ssh-helper in a session."""
    host = mended.host("kvm1")
    host.reconfigure_sshd(options)
    async with connected(desk.spec()) as driver:
        await works(driver, host)
        assert "virt-ssh-helper" in driver.route
        assert (await driver.read_fast()).load.memory_total


async def test_the_stock_client_can_carry_libvirt(lab: LabFleet, desk: Desk) -> None:
    """transport = "libvirt": libvirt runs ssh itself; figures still come by the built-in link."""
    spec = desk.spec(BatchMode="yes")
    ssh = desk.folder / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec ssh -F {spec.ssh_config} "$@"\n')
    ssh.chmod(0o755)
    spec = replace(spec, uri=f"{spec.uri}?command={ssh}", transport=Transport.LIBVIRT)
    async with connected(spec) as driver:
        await works(driver, lab.host("kvm1"))
        assert "libvirt's own SSH client" in driver.route
        assert (await driver.read_fast()).load.memory_total


def test_the_doctor_finds_a_whole_host_whole(lab: LabFleet, tmp_path: Path) -> None:
    """``novacron check --json``: every link of the chain is there and none is blocked; status 0."""
    answer = Cli(tmp_path, lab.specs()[:1])("check", "--json")
    assert answer.status == 0, answer
    checks = {c["name"].split(" ")[0]: c for c in answer.json()["kvm1"]}
    for name in ("route", "name", "tcp", "host", "login", "sshd", "libvirt", "rights", "pool"):
        assert checks[name]["verdict"] == "ok", checks[name]
    assert str(lab.identity) in checks["login"]["proof"]
    assert all(c["verdict"] != "blocked" for c in answer.json()["kvm1"])
    names = [c["name"] for c in answer.json()["kvm1"]]
    assert len(set(names)) == len(names)


def test_the_doctor_names_what_is_broken_and_the_fix(mended: LabFleet, tmp_path: Path) -> None:
    """A dead libvirtd and a refusing sshd each show where the chain ends; status 3."""
    mended.host("kvm1").libvirtd_kill()
    mended.host("kvm2").sshd_kill()
    answer = Cli(tmp_path, mended.specs())("check", "--json")
    assert answer.status == 3, answer
    blocked = {
        host: [c for c in checks if c["verdict"] == "blocked"]
        for host, checks in answer.json().items()
    }
    assert [c["name"] for c in blocked["kvm1"]] == ["libvirt"]
    assert [c["name"] for c in blocked["kvm2"]] == ["tcp"]
    assert blocked["kvm3"] == []
    assert all(c["fix"] for checks in blocked.values() for c in checks)
    assert "no sshd listens" in blocked["kvm2"][0]["text"]
