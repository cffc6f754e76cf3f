"""The doctor on an SSH host: every check has a verdict, a proof and, where it fails, a fix."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from drivers.model.ask import KeyDecision
from drivers.model.job import Check, Verdict
from drivers.ssh.doctor import probe_ssh
from tests.ssh.conftest import Box, Person, Sshd, free_port


def named(checks: tuple[Check, ...], start: str) -> Check:
    return next(check for check in checks if check.name.startswith(start))


async def test_healthy_host(box: Box, start_sshd: Callable[..., Sshd]) -> None:
    """Route, host key, the key that worked, sshd's version, reader, rights, clock, round trip."""
    server = start_sshd()
    box.know(server.port, server.host_key)
    socket = box.folder / "libvirt-sock"
    far = await asyncio.start_unix_server(lambda r, w: w.close(), socket)
    checks = await probe_ssh(box.spec(server.uri(f"?socket={socket}")), Person(), box.desk)
    far.close()
    assert f"127.0.0.1:{server.port}" in named(checks, "route").text
    key = named(checks, "host key")
    assert (key.verdict, key.text.startswith("known: ssh-ed25519 SHA256:")) == (Verdict.OK, True)
    assert str(box.user_key) in named(checks, "login").text
    assert "OpenSSH" in named(checks, "sshd").text
    assert named(checks, "forwarding").verdict is Verdict.OK
    assert named(checks, "reader").verdict is Verdict.OK
    for name in ("clock", "round trip", "commands", "name", "tcp"):
        assert named(checks, name).verdict is Verdict.OK, named(checks, name)

    rights = named(checks, "proc rights")
    assert rights.verdict is Verdict.OK or rights.proof


@pytest.mark.parametrize(("mode", "works"), [("", True), ("legacy", True), ("direct", False)])
async def test_the_socket_that_the_uri_means_is_looked_for(
    box: Box, start_sshd: Callable[..., Sshd], mode: str, works: bool
) -> None:
    """What the console would open: by mode=, and for a session where its folders say."""
    server = start_sshd(f"SetEnv XDG_RUNTIME_DIR={box.folder}")
    box.know(server.port, server.host_key)
    (box.folder / "libvirt").mkdir()
    socket = box.folder / "libvirt" / "libvirt-sock"
    far = await asyncio.start_unix_server(lambda r, w: w.close(), socket)
    query = f"?mode={mode}" if mode else ""
    uri = server.uri(query).replace("/system", "/session")
    checks = await probe_ssh(box.spec(uri), Person(), box.desk)
    far.close()
    found = named(checks, "forwarding")
    assert (found.verdict is Verdict.OK) == works, found
    assert (str(socket) in found.text) == works


async def test_forbidden_forwarding_names_what_carries_libvirt(
    box: Box, start_sshd: Callable[..., Sshd]
) -> None:
    """sshd's own setting is the proof, the setting to change the fix."""
    server = start_sshd("AllowStreamLocalForwarding no")
    box.know(server.port, server.host_key)
    socket = box.folder / "libvirt-sock"
    far = await asyncio.start_unix_server(lambda r, w: w.close(), socket)
    checks = await probe_ssh(box.spec(server.uri(f"?socket={socket}")), Person(), box.desk)
    far.close()
    check = named(checks, "forwarding")
    assert check.verdict is Verdict.WARN
    assert "AllowStreamLocalForwarding" in check.fix


async def test_unknown_key_stops_there(box: Box, start_sshd: Callable[..., Sshd]) -> None:
    """Nothing after an undecided host key is looked at."""
    server = start_sshd()
    checks = await probe_ssh(box.spec(server.uri()), Person(), box.desk)
    assert checks[-1].name.startswith("host key")
    assert checks[-1].verdict is Verdict.BLOCKED
    assert server.host_key.get_fingerprint() in checks[-1].proof
    trusting = await probe_ssh(box.spec(server.uri()), Person(KeyDecision.ONCE), box.desk)
    assert named(trusting, "host key").verdict is Verdict.WARN


async def test_wrong_key_lists_what_was_tried(box: Box, start_sshd: Callable[..., Sshd]) -> None:
    """The login check holds the key, its fingerprint and the answer."""
    server = start_sshd()
    box.know(server.port, server.host_key)
    (box.folder / "authorized_keys").write_text("")
    checks = await probe_ssh(box.spec(server.uri()), Person(), box.desk)
    assert checks[-1].name.startswith("login")
    assert f"key {box.user_key} (SHA256:" in checks[-1].proof


async def test_down_host_and_wrong_name(box: Box) -> None:
    """TCP and name failures stop the look and say what to do."""
    down = await probe_ssh(
        box.spec(f"qemu+ssh://127.0.0.1:{free_port()}/system"), Person(), box.desk
    )
    assert (down[-1].name, down[-1].verdict) == ("tcp", Verdict.BLOCKED)
    lost = await probe_ssh(box.spec("qemu+ssh://no-such-host.invalid/system"), Person(), box.desk)
    assert (lost[-1].name, lost[-1].verdict) == ("name", Verdict.BLOCKED)
    assert await probe_ssh(box.spec("qemu:///system"), Person(), box.desk) == ()
