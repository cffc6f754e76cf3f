"""A link to a real OpenSSH daemon: sockets, commands, shells, and what sshd forbids."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.errors import (
    AuthFailed,
    Busy,
    DriverError,
    Refused,
    TimedOut,
    Unreachable,
    Unsupported,
)
from drivers.ssh.link import Completed, SshLink
from tests.ssh.conftest import Box, Person, Sshd, sshd_pid, until


async def echo_server(path: Path) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data.upper())
            await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(serve, path)


async def shout(path: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"hello")
    answer = await asyncio.wait_for(reader.readexactly(5), 60)
    writer.close()
    return answer


async def test_run_gives_status_and_output(sshd_link: tuple[SshLink, Sshd]) -> None:
    """Arguments reach the program as they are, whatever characters they hold."""
    link, server = sshd_link
    done = await link.run(["printf", "%s|", "a b", "$HOME;", "'"], timeout=60)
    assert (done.status, done.stdout) == (0, b"a b|$HOME;|'|")
    script = "cat; printf 'out\\0put'; echo no >&2; exit 3"
    told = await link.run(["sh", "-c", script], timeout=60)
    assert (told.status, told.stdout, told.stderr) == (3, b"out\0put", b"no\n")
    assert link.route == f"127.0.0.1:{server.port}"


async def test_run_that_hangs_ends_at_its_deadline(sshd_link: tuple[SshLink, Sshd]) -> None:
    """A command that never ends is told as such and the connection stays usable."""
    link, _ = sshd_link
    with pytest.raises(TimedOut, match="did not answer within"):
        await link.run(["sleep", "60"], timeout=0.3)
    assert (await link.run(["true"], timeout=60)).status == 0


async def test_a_hung_command_ends_with_its_channel(
    box: Box, start_sshd: Callable[..., Sshd]
) -> None:
    """Given up, it is gone from the host, and its place among MaxSessions is free, also as root."""
    server = start_sshd("MaxSessions 2")
    box.know(server.port, server.host_key)
    link = box.link(server.uri(), Person())
    await link.connect()
    mark = box.folder / "pids"
    hung = ["sh", "-c", 'echo $$ >> "$1"; trap "" HUP TERM PIPE; exec sleep 1000', "sh", str(mark)]
    try:
        for _ in range(4):
            with pytest.raises(TimedOut):
                await run_when_free(link, hung, timeout=1.0)
        pids = mark.read_text().split()
        assert pids
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 90.0)
        assert (await run_when_free(link, ["true"], timeout=30.0)).status == 0
    finally:
        await link.close()


async def run_when_free(link: SshLink, argv: list[str], timeout: float) -> Completed:
    """Run once sshd, which takes a moment to notice an end, has a session to give."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Busy):
                return await link.run(argv, timeout=timeout)


async def test_forward_reaches_a_socket_and_is_private(
    sshd_link: tuple[SshLink, Sshd], box: Box
) -> None:
    """libvirt's socket appears here, in a folder nobody else may enter, and goes on close."""
    link, _ = sshd_link
    server = await echo_server(box.folder / "far.sock")
    path = await link.forward(str(box.folder / "far.sock"))
    assert await shout(path) == b"HELLO"
    assert await shout(path) == b"HELLO"
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700
    assert link.route.endswith("> forwarded socket")
    await link.close()
    assert not Path(path).parent.exists()
    server.close()


async def test_forward_to_nothing_says_what_is_missing(sshd_link: tuple[SshLink, Sshd]) -> None:
    """No libvirtd there: the message names the socket and the group."""
    link, _ = sshd_link
    with pytest.raises(DriverError) as caught:
        await link.forward("/run/nothing-here.sock")
    assert "/run/nothing-here.sock" in caught.value.problem.what
    assert "libvirt" in caught.value.problem.fix


async def test_a_socket_that_a_dead_libvirtd_left_behind(
    sshd_link: tuple[SshLink, Sshd], box: Box
) -> None:
    """libvirtd was killed: the message says that it does not run, not that sshd is to blame."""
    link, _ = sshd_link
    path = box.folder / "left.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with pytest.raises(Unreachable, match="nobody listens") as caught:
        await link.forward(str(path))
    assert "systemctl start libvirtd" in caught.value.problem.fix
    assert "Forwarding" not in caught.value.problem.fix


async def test_forwarding_forbidden_falls_to_a_bridge(
    box: Box, start_sshd: Callable[..., Sshd]
) -> None:
    """Where sshd forbids forwarding, the same bytes travel through a command there."""
    server = start_sshd("AllowStreamLocalForwarding no", "AllowTcpForwarding no")
    box.know(server.port, server.host_key)
    link = box.link(server.uri(), Person())
    await link.connect()
    try:
        far = await echo_server(box.folder / "far.sock")
        with pytest.raises(Unsupported, match="forbids"):
            await link.forward(str(box.folder / "far.sock"))
        path = await link.bridge(["nc", "-U", str(box.folder / "far.sock")])
        assert await shout(path) == b"HELLO"
        assert link.route.endswith("> nc")
        far.close()
    finally:
        await link.close()


async def test_bridge_without_the_helper_says_what_to_install(
    sshd_link: tuple[SshLink, Sshd],
) -> None:
    """A missing virt-ssh-helper is named with its package."""
    link, _ = sshd_link
    with pytest.raises(Unsupported, match="no-such-helper is not on kvm1") as caught:
        await link.bridge(["no-such-helper", "qemu:///system"])
    assert "libvirt-daemon" in caught.value.problem.fix


async def test_shell_has_a_terminal_that_resizes(sshd_link: tuple[SshLink, Sshd]) -> None:
    """A shell knows its size, also after a resize, and ends when it is left."""
    link, _ = sshd_link
    shell = await link.open_shell(90, 33, "xterm-256color")
    await shell.write(b"stty size; echo $TERM\n")
    text = b""
    async with asyncio.timeout(60):
        while b"33 90" not in text or b"xterm-256color" not in text:
            text += await shell.read()
        shell.resize(100, 40)
        await shell.write(b"stty size\n")
        while b"40 100" not in text:
            text += await shell.read()
        await shell.write(b"exit\n")
        while await shell.read():
            pass
    await shell.close()


async def test_ping_and_sftp(sshd_link: tuple[SshLink, Sshd]) -> None:
    """The round trip is a positive number; files can be read over SFTP."""
    link, _ = sshd_link
    assert await link.ping() > 0
    assert await link.ping() > 0
    assert b"root" in await link.sftp_read("/etc/passwd")
    with pytest.raises(DriverError):
        await link.sftp_read("/nothing/here")


async def test_a_killed_session_is_noticed(sshd_link: tuple[SshLink, Sshd]) -> None:
    """When sshd's child dies the link says so at once, and calls fail with a reason."""
    link, _ = sshd_link
    os.kill(await sshd_pid(link), 9)
    await asyncio.wait_for(link.closed.wait(), 60)
    with pytest.raises(Unreachable):
        await link.run(["true"], timeout=60)
    await link.connect()
    assert (await link.run(["true"], timeout=60)).status == 0


async def test_many_sessions_say_maxsessions(box: Box, start_sshd: Callable[..., Sshd]) -> None:
    """Beyond MaxSessions the message names the setting."""
    server = start_sshd("MaxSessions 1")
    box.know(server.port, server.host_key)
    link = box.link(server.uri(), Person())
    await link.connect()
    try:
        await link.ping()
        with pytest.raises(DriverError) as caught:
            await link.run(["true"], timeout=60)
        assert "MaxSessions" in str(caught.value)
    finally:
        await link.close()


async def test_wrong_key_names_methods_and_keys(box: Box, start_sshd: Callable[..., Sshd]) -> None:
    """A refused key is listed with its fingerprint and the methods sshd takes."""
    server = start_sshd()
    box.know(server.port, server.host_key)
    (box.folder / "authorized_keys").write_text("")
    link = box.link(server.uri(), Person())
    with pytest.raises(AuthFailed) as caught:
        await link.connect()
    proof = caught.value.problem.proof
    assert "publickey" in proof
    assert f"key {box.user_key} (SHA256:" in proof
    assert "refused" in proof


async def test_known_ed25519_is_chosen_over_other_host_keys(
    box: Box, start_sshd: Callable[..., Sshd]
) -> None:
    """A server with several host keys shows the one on record: no false alarm."""
    import asyncssh

    other = box.folder / "host_rsa"
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    rsa.write_private_key(other)
    other.chmod(0o600)
    server = start_sshd(f"HostKey {other}")
    box.know(server.port, rsa)
    person = Person()
    link = box.link(server.uri(), person)
    await link.connect()
    await link.close()
    assert person.keys == []


async def test_no_verify_is_refused_unless_allowed_in_words(
    box: Box, start_sshd: Callable[..., Sshd]
) -> None:
    """no_verify=1 alone does nothing; the configuration must allow it."""
    server = start_sshd()
    with pytest.raises(Refused, match="no_verify"):
        await box.link(server.uri("?no_verify=1"), Person()).connect()
    link = box.link(server.uri("?no_verify=1"), Person(), allow_no_verify=True)
    await link.connect()
    assert link.logins[-1].verdict == "unchecked"
    await link.close()


async def test_two_hops_each_with_its_own_settings(
    box: Box, start_sshd: Callable[..., Sshd]
) -> None:
    """ProxyJump over two hosts: every hop's key is checked, the route shows them all."""
    first, second, last = start_sshd(), start_sshd(), start_sshd()
    for server in (first, second, last):
        box.know(server.port, server.host_key)
    box.configure(
        f"Host outer\n  HostName 127.0.0.1\n  Port {first.port}\n"
        f"Host inner\n  HostName 127.0.0.1\n  Port {second.port}\n  ProxyJump outer\n"
        f"Host kvm1\n  HostName 127.0.0.1\n  Port {last.port}\n  ProxyJump inner\n"
    )
    link = box.link("qemu+ssh://kvm1/system", Person())
    await link.connect()
    ports = (first.port, second.port, last.port)
    assert link.route == " > ".join(f"127.0.0.1:{p}" for p in ports)
    assert (await link.run(["true"], timeout=60)).status == 0
    assert "Accepted publickey" in first.log.read_text()
    await link.close()
    await until(link.closed.is_set)


async def test_proxy_command_carries_the_connection(
    box: Box, start_sshd: Callable[..., Sshd]
) -> None:
    """A ProxyCommand of ssh_config is run in place of TCP, and ends with the link."""
    server = start_sshd()
    box.know(22, server.host_key, "kvm-behind")
    box.configure(f"Host kvm-behind\n  ProxyCommand nc 127.0.0.1 {server.port}")
    link = box.link("qemu+ssh://kvm-behind/system", Person())
    await link.connect()
    assert (await link.run(["echo", "in"], timeout=60)).stdout == b"in\n"
    await asyncio.wait_for(link.close(), 60)
    assert link.closed.is_set()


async def test_cancelled_connect_leaves_nothing(box: Box, start_sshd: Callable[..., Sshd]) -> None:
    """Giving up while a connection is made ends it, and the link can be used again."""
    server = start_sshd()
    box.know(server.port, server.host_key)
    link = box.link(server.uri(), Person())
    task = asyncio.create_task(link.connect())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await link.close()
    await link.connect()
    assert (await link.run(["true"], timeout=60)).status == 0
    await link.close()
