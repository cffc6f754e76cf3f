"""One connected host: the SSH link, libvirt connections, and threads where calls wait.

Actions each get a short-lived lane: a call that hangs on one stuck VM must hold no other. A second
connection answers ``virDomainGetControlInfo`` while another waits. Sweeps, migrations and copies
open connections of their own, for libvirtd serves five calls of one client at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.errors import DriverError, Refused, TimedOut, Unreachable
from drivers.kvm import binding
from drivers.kvm.calls import Calls
from drivers.kvm.sockets import (
    PROBE,
    choose,
    daemon_argv,
    daemon_environment,
    local_uri,
    ssh_wrapper,
    stock_uri,
    system_sockets,
)
from drivers.kvm.translate import guarded
from drivers.kvm.words import CLOSE_REASONS
from drivers.lane import Lane
from drivers.model.host import HostSpec, Protect, Transport
from drivers.protocol import Prompter
from drivers.scratch import drop
from drivers.ssh.desk import Desk
from drivers.uri import LibvirtUri, parse_uri

if TYPE_CHECKING:
    from drivers.ssh.link import SshLink

T = TypeVar("T")
# Seconds between keepalive messages, and how many may go unanswered: dead after 5 x (3 + 1).
KEEPALIVE = (5, 3)
# A migration or a copy has no deadline of its own; this one is only "not for ever".
LONG_S = 30 * 86400.0
# Seconds that a host may take over saying goodbye; then the link is dropped.
_PARTING_S = 1.0
# Connections of long operations at a time. One that no socket can be forwarded for is a session of
# its own, of which sshd allows ten (MaxSessions): the console's other work takes six.
_FORWARDED = 64
_BRIDGED = 4


class Session:
    """What one ``connect`` made; thrown away at the first loss.

    Args:
        spec: The host.
        prompter: Asked by the SSH link.
        on_lost: Called once, in the event loop, with the reason when the connection ends.
        desk: What the SSH connections of this console share.
    """

    def __init__(
        self, spec: HostSpec, prompter: Prompter, on_lost: Callable[[str], None], desk: Desk
    ) -> None:
        self.spec = spec
        self.uri: LibvirtUri = parse_uri(spec.uri)
        self.lv: Any = None
        self.conn: Any = None
        self.diag: Any = None
        self.ssh: SshLink | None = None
        self.ssh_problem: DriverError | None = None
        self.route = ""
        self.closed = False
        self.calls = Calls()
        self._prompter = prompter
        self._on_lost = on_lost
        self._desk = desk
        self._address = ""
        self._wrapper = ""
        self._extras = asyncio.Semaphore(_FORWARDED)
        self._watch: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def local(self) -> bool:
        """True when the host is this machine."""
        return not self.uri.over_ssh

    async def open(self) -> None:
        """Open the first connection; on failure everything opened so far is closed again.

        Raises:
            DriverError: What SSH or libvirt said.
        """
        self.lv = binding.load()
        self._loop = asyncio.get_running_loop()
        try:
            if self.uri.over_ssh:
                await self._open_remote()
            else:
                await self._open_local()
        except BaseException:
            await self.close()
            raise

    async def arm(self) -> None:
        """Watch the connection, and open the one that answers while the first waits.

        Raises:
            DriverError: The host did not answer.
        """
        self.diag, _ = await together(self.second(), self._arm())

    async def close(self, handles: tuple[int, ...] = (), others: tuple[Any, ...] = ()) -> None:
        """Let go of event handles, connections and link within two seconds; never raises.

        Args:
            handles: Events registered on the first connection.
            others: More connections of ``second`` to close.
        """
        lost, self.closed = self.closed, True
        if self._watch is not None:
            self._watch.cancel()
        if lost or self.calls.running:  # the carrier first: what waits for it ends with it
            await self._leave_ssh()
        known = {id(c): c for c in (self.conn, self.diag, *others) if c is not None}
        partings = [self._parting(c, handles if c is self.conn else ()) for c in known.values()]
        if await self.calls.quiet(partings):
            # Side by side: a host that answers none of them is waited for once.
            await asyncio.gather(*map(self._part, partings))
        await self._leave_ssh()

    def _parting(self, conn: Any, handles: tuple[int, ...] = ()) -> Callable[[], None]:
        """What lets go of one connection, in a thread; never raises."""

        def part() -> None:
            if handles:
                self._deregister(handles)
            with contextlib.suppress(self.lv.libvirtError):
                conn.close()

        return part

    async def _part(self, part: Callable[[], None]) -> None:
        with contextlib.suppress(DriverError):
            await self.call(part, "a connection could not be closed", deadline_s=_PARTING_S)

    async def _leave_ssh(self) -> None:
        wrapper, self._wrapper = self._wrapper, ""
        if wrapper:
            drop(Path(wrapper).parent)
        ssh, self.ssh = self.ssh, None
        if ssh is not None:
            with contextlib.suppress(DriverError, OSError):
                await ssh.close()

    async def call(self, call: Callable[[], T], what: str, *, deadline_s: float | None = None) -> T:
        """Run a blocking libvirt call in a thread of its own, its errors translated.

        Args:
            call: The call.
            what: The error's sentence, such as ``web1 could not be started``.
            deadline_s: Seconds it may take; None for the host's deadline.
        """
        lane = Lane(f"{self.spec.name}: {what}", deadline_s or self.spec.deadline_s)
        try:
            return await lane.run(self.calls.counted(guarded(call, what, self.lv)))
        except TimedOut as late:
            raise TimedOut(
                what,
                f"libvirt on {self.spec.name} gave no answer in {lane.deadline_s:g} s",
                "the call may still take effect: look again before repeating it",
            ) from late
        finally:
            lane.close()

    @contextlib.asynccontextmanager
    async def extra(self, in_use: Callable[[], bool] = lambda: False) -> AsyncIterator[Any]:
        """A connection for one long operation, closed after it.

        Args:
            in_use: Whether a call still hangs on it at the end: then it is closed once nothing
                holds it any more, for libvirt would free it under the call.
        """
        async with self._extras, self._dialed(in_use) as conn:
            yield conn

    @contextlib.asynccontextmanager
    async def _dialed(self, in_use: Callable[[], bool]) -> AsyncIterator[Any]:
        conn = await self.second()
        try:
            yield conn
        finally:
            if not in_use():
                await self.hang_up(conn)

    @contextlib.asynccontextmanager
    async def extra_with(
        self, peer: Session, in_use: Callable[[], bool]
    ) -> AsyncIterator[tuple[Any, Any]]:
        """The same here and on another host, for an operation of both.

        It waits for room on both in one order, whichever its direction: else those that have a turn
        here and those that have one there could wait for one another without an end.
        """
        first, last = sorted((self, peer), key=lambda session: session.spec.name)
        async with (
            first._extras,
            last._extras,
            self._dialed(in_use) as here,
            peer._dialed(in_use) as there,
        ):
            yield here, there

    async def hang_up(self, conn: Any) -> None:
        """Close a connection that ``second`` gave; never raises."""
        if conn is not self.conn:
            await self._part(self._parting(conn))

    def _deregister(self, handles: tuple[int, ...]) -> None:
        with contextlib.suppress(self.lv.libvirtError):
            self.conn.unregisterCloseCallback()
        for handle in handles:  # also of a lost connection: each one holds on to it
            with contextlib.suppress(self.lv.libvirtError):
                self.conn.domainEventDeregisterAny(handle)

    async def second(self) -> Any:
        """Another connection to the same libvirt; the first one where there can be no other."""
        # A test driver in this process may keep one fleet a connection: share it.
        if self.uri.driver == "test" and not self.uri.transport:
            return self.conn
        return await self._dial(self._address)

    async def _open_local(self) -> None:
        address = str(self.uri)
        self.route = "this machine"
        try:
            self.conn = await self._dial(address)
        except Unreachable:
            if self.uri.path != "/session" or self.uri.socket:
                raise
            await self._start_daemon()
            self.conn = await self._dial(address)
        self._address = address

    async def _start_daemon(self) -> None:
        argv = daemon_argv({name: shutil.which(name) for name in ("virtqemud", "libvirtd")})
        if not argv:
            raise Unreachable(
                "no session daemon runs and none is installed",
                "neither virtqemud nor libvirtd is on PATH",
                "install libvirt-daemon",
            )
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=daemon_environment(os.environ),
        )
        async with asyncio.timeout(self.spec.connect_s):
            await process.wait()

    async def _open_remote(self) -> None:
        from drivers.ssh.link import SshLink  # asyncssh only where a host needs it

        self.ssh = SshLink(self.spec, self.uri, self._prompter, self._desk)
        if self.spec.transport is Transport.LIBVIRT:
            await self._open_stock()
            return
        await self.ssh.connect()
        failures: list[DriverError] = []
        if self.spec.transport in (Transport.AUTO, Transport.FORWARD):
            for path in await self._sockets():
                if await self._try(self.ssh.forward(path), failures):
                    return
        helper = self.spec.transport in (Transport.AUTO, Transport.HELPER)
        if helper and await self._try(self.ssh.bridge(), failures):
            self._extras = asyncio.Semaphore(_BRIDGED)
            return
        raise _none_worked(self.spec.name, failures)

    async def _open_stock(self) -> None:
        if self.uri.no_verify and not self.spec.allow_no_verify:
            raise Refused(
                "no_verify=1 would trust any host key",
                self.spec.uri,
                "remove it, or allow it for this host in the configuration",
            )
        self._wrapper = ssh_wrapper(self.uri, self.spec.ssh_config, self._desk.scratch)
        self._address = stock_uri(self.uri, self._wrapper)
        self.conn = await self._dial(self._address)
        self.route = f"{self.uri.host} > libvirt's own SSH client"
        try:  # metrics and shells still want the built-in link; libvirt does without it
            await self.ssh.connect() if self.ssh else None
        except DriverError as problem:
            self.ssh_problem = problem
            self.ssh = None

    async def _sockets(self) -> tuple[str, ...]:
        if self.uri.socket or self.ssh is None:
            return (self.uri.socket,)
        names = system_sockets(self.uri)
        try:
            done = await self.ssh.run((*PROBE, *names), timeout=self.spec.deadline_s)
        except DriverError:  # a login that may run nothing may still forward
            return names if self.uri.path != "/session" else ()
        return choose(self.uri, done.stdout.decode(errors="replace"))

    async def _try(self, carry: Awaitable[str], failures: list[DriverError]) -> bool:
        try:
            self._address = local_uri(self.uri, await carry)
            self.conn = await self._dial(self._address)
        except DriverError as failure:
            words = self.ssh.bridge_words if self.ssh is not None else ""
            problem = failure.problem
            failures.append(type(failure)(problem.what, words or problem.proof, problem.fix))
            return False
        self.route = self.ssh.route if self.ssh is not None else self.uri.host
        return True

    async def _dial(self, address: str) -> Any:
        read_only = self.spec.protect is Protect.RO and self.uri.driver == "qemu"
        opener = self.lv.openReadOnly if read_only else self.lv.open

        def dial() -> Any:
            conn = opener(address)
            # The test driver in this process has no keepalive, and needs none.
            with contextlib.suppress(self.lv.libvirtError):
                conn.setKeepAlive(*KEEPALIVE)
            return conn

        return await self.call(
            dial,
            f"libvirt on {self.spec.name} could not be opened",
            deadline_s=self.spec.connect_s,
        )

    def _register(self) -> None:
        with contextlib.suppress(self.lv.libvirtError):
            self.conn.registerCloseCallback(self._hung_up, None)

    async def _arm(self) -> None:
        # An RPC of its own: in the event loop it would wait for a socket that the loop forwards.
        await self.call(self._register, "the end of the connection could not be watched")
        if self.ssh is not None:
            self._watch = asyncio.create_task(self._watch_link(self.ssh))

    async def _watch_link(self, link: SshLink) -> None:
        await link.closed.wait()
        if self.spec.transport is not Transport.LIBVIRT:
            self._lose(link.lost_reason or "the SSH connection ended")

    def _hung_up(self, _conn: object, reason: int, _opaque: object) -> None:
        """libvirt's event thread tells that the connection ended."""
        known = 0 <= reason < len(CLOSE_REASONS)
        text = CLOSE_REASONS[reason] if known else f"reason {reason}"
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop closed: nobody is left to tell
                self._loop.call_soon_threadsafe(self._lose, text)

    def _lose(self, reason: str) -> None:
        if not self.closed:
            self.closed = True
            self._on_lost(reason)


async def together(*work: Awaitable[Any]) -> list[Any]:
    """The values of all, awaited side by side; a failure is raised once all have ended."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for value in done:
        if isinstance(value, BaseException):
            raise value
    return done


def _none_worked(host: str, failures: list[DriverError]) -> DriverError:
    if not failures:
        return Unreachable(
            f"no libvirt socket was found on {host}",
            "neither virtqemud-sock nor libvirt-sock is there",
            "install and start libvirt: systemctl enable --now libvirtd",
        )
    first = failures[0]
    proof = "; then ".join(dict.fromkeys(f.problem.proof or f.problem.what for f in failures))
    kind = next((type(f) for f in failures if not isinstance(f, Unreachable)), type(first))
    return kind(first.problem.what, proof, first.problem.fix or failures[-1].problem.fix)
