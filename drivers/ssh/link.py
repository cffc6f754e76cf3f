"""One authenticated SSH connection to a host, and all that travels over it."""

from __future__ import annotations

import asyncio
import shlex
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from drivers.errors import DriverError, Unreachable, Unsupported
from drivers.model.host import HostSpec
from drivers.protocol import ByteStream, Prompter
from drivers.scratch import drop
from drivers.ssh.client import Login
from drivers.ssh.desk import Desk
from drivers.ssh.dial import Dialer
from drivers.ssh.streams import Echo, join, pipes, shell_stream
from drivers.ssh.translate import SOCKET_PROBE, channel_error, socket_error
from drivers.ssh.wire import Pipes
from drivers.ssh.words import one_line
from drivers.uri import LibvirtUri

_TAIL = 2000
HELPER = "virt-ssh-helper"
# Ends a command with its channel, on whose end the inner loop waits. sshd allows ten sessions,
# holds one until its program ends, and sends no signals to the programs of root.
_LEASH = (
    'exec 3<&0; "$@" </dev/null 3<&- & p=$!; '
    '{ while read -r _; do :; done; kill -9 "$p" "$$"; } <&3 >/dev/null 2>&1 & '
    'w=$!; exec 3<&-; wait "$p"; s=$?; exec 2>/dev/null; kill -9 "$w"; exit "$s"'
)


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended: exit status (128 + signal, negative: none given) and its output."""

    status: int
    stdout: bytes
    stderr: bytes


class SshLink:
    """One SSH connection, jump hosts included.

    Args:
        spec: The host.
        uri: Its parsed URI.
        prompter: Answers questions about host keys and secrets.
        desk: What the connections of this console share.

    Attributes:
        closed: Set when the connection has ended, for whatever reason.
        logins: The record of each hop's login, for the doctor; also after a failure.
    """

    def __init__(self, spec: HostSpec, uri: LibvirtUri, prompter: Prompter, desk: Desk) -> None:
        self.spec = spec
        self.uri = uri
        self.closed = asyncio.Event()
        self.logins: list[Login] = []
        self.lost_reason = ""
        self._prompter = prompter
        self._desk = desk
        self._dialer: Dialer | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._listeners: list[asyncssh.SSHListener | asyncio.Server] = []
        self._bridged: set[asyncio.Task[None]] = set()
        self._folder = ""
        self._carrier = ""
        self._echo: Echo | None = None
        self._bridge_words = b""

    @property
    def route(self) -> str:
        """Every hop and what carries libvirt: ``bastion:22 > kvm1:22 > forwarded socket``."""
        hops = [login.target.address for login in self.logins]
        return " > ".join([*hops, self._carrier] if self._carrier else hops)

    @property
    def bridge_words(self) -> str:
        """The last that a bridge's command said on stderr; empty when it said nothing."""
        return one_line(self._bridge_words.decode(errors="replace"))

    async def connect(self) -> None:
        """Reach, check and log in to every hop within ``spec.connect_s``, questions not counted.

        Raises:
            DriverError: See Dialer.dial.
        """
        await self.close()
        self.closed.clear()
        self.lost_reason, self._carrier = "", ""
        dialer = Dialer(
            self.spec, self.uri, self._prompter, lambda exc: self._lost(dialer, exc), self._desk
        )
        self.logins = dialer.logins
        hops = await dialer.dial()
        self._dialer = dialer
        self._connection = hops[-1].connection
        if self._connection.is_closed():
            await self.close()
            raise Unreachable(f"{self.spec.name} hung up at once", proof=self.lost_reason)

    def _lost(self, dialer: Dialer, error: Exception | None) -> None:
        """A hop's connection ended; only hops of the connection in use matter."""
        if self._dialer is dialer:
            self.lost_reason = self.lost_reason or (one_line(str(error)) if error else "")
            self.closed.set()

    async def close(self) -> None:
        """Let go of everything within a few seconds; never raises. May be called twice."""
        dialer, self._dialer = self._dialer, None
        self._connection = None
        echo, self._echo = self._echo, None
        if echo is not None:
            echo.close()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for task in self._bridged:
            task.cancel()
        if dialer is not None:
            await dialer.hang_up()
        if self._folder:
            drop(Path(self._folder))
            self._folder = ""
        self.closed.set()

    async def run(self, argv: Sequence[str], *, timeout: float) -> Completed:
        """Run a command to its end; it reads nothing.

        Args:
            argv: Program and arguments, quoted here for the remote shell.
            timeout: Seconds it may take.

        Raises:
            TimedOut: It did not end; its channel was closed, which kills it there.
            Unreachable, Busy, Refused: It could not be run.
        """
        connection = self._open_connection()
        try:
            async with asyncio.timeout(timeout):
                command = shlex.join(("sh", "-c", _LEASH, "sh", *argv))
                process = await connection.create_process(command, encoding=None)
                try:
                    done = await process.wait()
                finally:
                    process.close()
        except (asyncssh.Error, OSError) as error:
            raise channel_error(error, self.spec.name, f"running {argv[0]}", timeout) from None
        return Completed(
            done.returncode if done.returncode is not None else -1,
            _bytes(done.stdout),
            _bytes(done.stderr),
        )

    async def spawn_reader(self, argv: Sequence[str]) -> Pipes:
        """Start the fast lane's reader on the host.

        Raises:
            DriverError: It could not be started.
        """
        return pipes(await self.spawn(argv))

    async def spawn(self, argv: Sequence[str]) -> asyncssh.SSHClientProcess[bytes]:
        """Start a long-lived command with binary pipes.

        Raises:
            DriverError: It could not be started.
        """
        connection = self._open_connection()
        limit = self.spec.deadline_s
        try:
            async with asyncio.timeout(limit):
                return await connection.create_process(shlex.join(argv), encoding=None)
        except (asyncssh.Error, OSError) as error:
            raise channel_error(error, self.spec.name, f"starting {argv[0]}", limit) from None

    async def forward(self, remote_socket: str) -> str:
        """A local unix socket that leads to ``remote_socket`` (direct-streamlocal).

        The socket is opened once to see that sshd allows it and somebody listens.

        Returns:
            Path of the local socket, in a private folder; gone after ``close``.

        Raises:
            Unsupported: sshd forbids forwarding.
            Refused: The socket is not there, or this login may not open it.
            Unreachable: Nobody listens there.
        """
        connection = self._open_connection()
        limit = self.spec.deadline_s
        try:
            async with asyncio.timeout(limit):
                _, writer = await connection.open_unix_connection(remote_socket, encoding=None)
                writer.close()
                path = self._socket_path()
                listener = await connection.forward_local_path(path, remote_socket)
        except asyncssh.ChannelOpenError as error:
            seen = await self.run(["sh", "-c", SOCKET_PROBE, "sh", remote_socket], timeout=limit)
            raise socket_error(error, self.spec.name, remote_socket, seen.status) from None
        except (asyncssh.Error, OSError) as error:
            doing = f"forwarding {remote_socket}"
            raise channel_error(error, self.spec.name, doing, limit) from None
        self._listeners.append(listener)
        self._carrier = "forwarded socket"
        return path

    async def bridge(self, argv: Sequence[str] = ()) -> str:
        """A local unix socket, each connection of which is joined to a command on the host.

        Args:
            argv: Such as ``virt-ssh-helper qemu:///system``; by default what the URI asks for.

        Returns:
            Path of the local socket, in a private folder; gone after ``close``.

        Raises:
            Unsupported: The command is not there.
        """
        command = list(argv) or helper_argv(self.uri)
        found = await self.run(
            ["sh", "-c", 'command -v "$1"', "sh", command[0]], timeout=self.spec.deadline_s
        )
        if found.status:
            raise Unsupported(
                f"{command[0]} is not on {self.spec.name}",
                proof=f"command -v {command[0]} gave {found.status}",
                fix="install libvirt's client programs there (Debian: libvirt-daemon, Fedora: "
                "libvirt-client), or allow AllowStreamLocalForwarding in its sshd_config",
            )
        path = self._socket_path()

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A task of our own: asyncio would report the cancelled one of a coroutine as an error.
            task = asyncio.create_task(self._join(command, reader, writer))
            self._bridged.add(task)
            task.add_done_callback(self._bridged.discard)

        self._listeners.append(await asyncio.start_unix_server(serve, path))
        self._carrier = command[0]
        return path

    async def _join(
        self, command: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            process = await self.spawn(command)
        except DriverError as error:
            self._bridge_words = str(error).encode()
            writer.close()
            return
        words = await join(process, reader, writer)
        if words:
            self._bridge_words = words[-_TAIL:]

    async def open_shell(self, columns: int, rows: int, term: str) -> ByteStream:
        """A login shell with a terminal of ``columns`` by ``rows``.

        Raises:
            DriverError: No session could be opened.
        """
        connection = self._open_connection()
        limit = self.spec.deadline_s
        try:
            async with asyncio.timeout(limit):
                process = await connection.create_process(
                    term_type=term, term_size=(columns, rows), encoding=None
                )
        except (asyncssh.Error, OSError) as error:
            raise channel_error(error, self.spec.name, "opening a shell", limit) from None
        return shell_stream(process)

    async def ping(self) -> float:
        """Milliseconds of the smallest round trip: one byte through a ``cat`` kept open there.

        Raises:
            TimedOut, Unreachable: No answer.
        """
        if self._echo is None:
            self._echo = Echo(await self.spawn(["cat"]))
        limit = self.spec.deadline_s
        began = time.perf_counter()
        try:
            async with asyncio.timeout(limit):
                await self._echo.once()
        except (asyncssh.Error, OSError, asyncio.IncompleteReadError) as error:
            echo, self._echo = self._echo, None
            if echo is not None:
                echo.close()
            raise channel_error(_plain(error), self.spec.name, "answering a ping", limit) from None
        return (time.perf_counter() - began) * 1000.0

    async def sftp_read(self, path: str, *, limit: int = 1 << 20) -> bytes:
        """At most ``limit`` bytes of a file on the host, over SFTP.

        Raises:
            DriverError: It cannot be read.
        """
        connection = self._open_connection()
        seconds = self.spec.deadline_s
        try:
            async with (
                asyncio.timeout(seconds),
                connection.start_sftp_client() as sftp,
                sftp.open(path, "rb") as file,
            ):
                return _bytes(await file.read(limit))
        except (asyncssh.Error, OSError) as error:
            raise channel_error(error, self.spec.name, f"reading {path}", seconds) from None

    def _open_connection(self) -> asyncssh.SSHClientConnection:
        if self._connection is None or self.closed.is_set():
            raise Unreachable(
                f"{self.spec.name} is not connected",
                proof=self.lost_reason or "the SSH connection is closed",
                fix="the console connects again by itself",
            )
        return self._connection

    def _socket_path(self) -> str:
        """A fresh path in a folder that only this user may enter."""
        if not self._folder:
            self._folder = str(self._desk.scratch.new())
            # A link that could not be closed in time leaves no folder behind either.
            weakref.finalize(self, drop, Path(self._folder))
        return str(Path(self._folder) / f"{len(self._listeners)}.sock")


def helper_argv(uri: LibvirtUri) -> list[str]:
    """What joins an SSH session to libvirtd there: the helper, or netcat where the URI asks for it.

    The helper finds the socket by itself and knows no ``mode=``; a socket that the URI names or
    chooses only netcat can reach.

    Raises:
        Unsupported: Netcat is asked for without the socket's path.
    """
    asked = bool(uri.netcat or uri.socket or uri.mode in ("direct", "legacy"))
    if uri.proxy == "netcat" or (asked and uri.proxy != "native"):
        if not uri.socket and uri.path != "/system":
            raise Unsupported(
                "netcat needs to know libvirt's socket",
                proof=str(uri),
                fix="add socket=/run/user/UID/libvirt/libvirt-sock to the URI",
            )
        name = "virtqemud-sock" if uri.mode == "direct" else "libvirt-sock"
        return [uri.netcat or "nc", "-U", uri.socket or f"/run/libvirt/{name}"]
    return [HELPER, uri.local]


def _plain(error: BaseException) -> BaseException:
    """The end of a stream, as the connection error that it is."""
    return ConnectionResetError("the channel closed") if isinstance(error, EOFError) else error


def _bytes(value: bytes | str | None) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value or b"")
