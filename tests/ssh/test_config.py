"""ssh_config resolved as ssh does, with the OpenSSH client and without it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from drivers.errors import Refused
from drivers.ssh.config import Ask, parse_jump, resolve
from drivers.ssh.link import SshLink, helper_argv
from drivers.uri import parse_uri
from tests.ssh.conftest import Box, Person

CONFIG = """
Host kvm1
  HostName 10.0.0.1
  Port 2222
  User ops
  IdentityFile ~/.ssh/%h_%r
  IdentitiesOnly yes
  CertificateFile %d/cert.pub
  HostKeyAlias KVM-One
  UserKnownHostsFile ~/kh1 ~/kh2
  ConnectTimeout 7
  ProxyJump me@outer:22,inner
  StrictHostKeyChecking accept-new
Host wrapped
  ProxyCommand nc -X 5 %h %p
Host *
  IdentityAgent none
"""


@pytest.fixture(params=["ssh -G", "asyncssh"])
def config(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file, read by ssh itself and, where there is no ssh, by asyncssh's parser."""
    if request.param == "asyncssh":
        monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "ssh_config"
    path.write_text(CONFIG)
    return str(path)


async def test_every_setting_is_resolved(config: str) -> None:
    """Paths are expanded, both ways of reading agree."""
    home = str(Path.home())
    target = await resolve(Ask("kvm1", config_file=config))
    assert (target.host, target.port, target.user) == ("10.0.0.1", 2222, "ops")
    assert target.identities[0] == f"{home}/.ssh/10.0.0.1_ops"
    assert target.certificates == (f"{home}/cert.pub",)
    assert target.user_known_hosts == (f"{home}/kh1", f"{home}/kh2")
    assert target.identities_only
    assert target.agent == ""
    assert target.connect_s == 7.0
    assert target.jump == "me@outer:22,inner"
    assert target.key_name == "kvm-one"
    assert target.strict in ("accept-new", "ask")


async def test_the_uri_wins(config: str) -> None:
    """User, port and key of the URI come before ssh_config's."""
    target = await resolve(Ask("kvm1", "root", 99, config, "/known", config_file=config))
    assert (target.user, target.port, target.identities[0]) == ("root", 99, config)
    assert target.user_known_hosts == ("/known",)


async def test_proxy_command_tokens(config: str) -> None:
    """%h and %p are filled in."""
    target = await resolve(Ask("wrapped", config_file=config))
    assert target.proxy_command == "nc -X 5 wrapped 22"


async def test_what_a_config_runs_has_no_terminal_to_ask_on(tmp_path: Path) -> None:
    """A program of ``Match exec`` would prompt over the console: it is in a session of its own."""
    if shutil.which("ssh") is None:
        pytest.skip("needs the OpenSSH client")
    told = tmp_path / "session"
    path = tmp_path / "ssh_config"
    path.write_text(f"Match exec \"cut -d ' ' -f 6 /proc/self/stat >{told}\"\n  User ops\n")
    assert (await resolve(Ask("kvm1", config_file=str(path)))).user == "ops"
    assert int(told.read_text()) != os.getsid(0)


async def test_broken_config_is_told_in_its_own_words(tmp_path: Path) -> None:
    """The line that ssh complains of is the proof."""
    broken = tmp_path / "ssh_config"
    broken.write_text("Host x\n  Port banana\n")
    with pytest.raises(Refused, match="ssh_config"):
        await resolve(Ask("x", config_file=str(broken)))
    with pytest.raises(Refused, match="is not there"):
        await resolve(Ask("x", config_file="/nothing/here"))


def test_jump_hosts_are_parsed() -> None:
    """Users, ports and IPv6 in ProxyJump; nonsense is refused."""
    hops = parse_jump("me@outer:2200,[::1]:22,inner")
    assert [(h.user, h.alias, h.port) for h in hops] == [
        ("me", "outer", 2200),
        ("", "::1", 22),
        ("", "inner", None),
    ]
    assert parse_jump("none") == ()
    with pytest.raises(Refused):
        parse_jump("-oProxyCommand=x")


async def test_circular_jumps_are_refused(box: Box) -> None:
    """Two hosts that jump over each other end in words, not in a loop."""
    box.configure("Host a\n  ProxyJump b\nHost b\n  ProxyJump a")
    link: SshLink = box.link("qemu+ssh://a/system", Person())
    with pytest.raises(Refused, match="circle"):
        await link.connect()


def test_helper_command_follows_the_uri() -> None:
    """virt-ssh-helper by default, netcat where the URI names it."""
    assert helper_argv(parse_uri("qemu+ssh://h/session")) == ["virt-ssh-helper", "qemu:///session"]
    nc = parse_uri("qemu+ssh://h/system?netcat=/bin/nc&socket=/run/s")
    assert helper_argv(nc) == ["/bin/nc", "-U", "/run/s"]
    for mode, name in (("direct", "virtqemud-sock"), ("legacy", "libvirt-sock")):
        chosen = helper_argv(parse_uri(f"qemu+ssh://h/system?mode={mode}"))
        assert chosen == ["nc", "-U", f"/run/libvirt/{name}"]  # the helper knows no modes
    auto = parse_uri("qemu+ssh://h/system?mode=auto")
    assert helper_argv(auto) == ["virt-ssh-helper", "qemu:///system"]
