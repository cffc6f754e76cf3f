"""The fast lane: one long-lived reader a host, asked once a second, answering with /proc text.

The reader runs over an SSH channel or as a local process alike. Nothing is written on the host.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.errors import DriverError, TimedOut
from drivers.model.host import Filesystem
from drivers.model.problem import Missing
from drivers.model.vm import VmFast
from drivers.protocol import FastReading
from drivers.ssh.frames import Frame, Hello
from drivers.ssh.proc_host import (
    HOST_FILES,
    IO_ACCOUNT,
    HostCount,
    NicCount,
    carrier_files,
    local_mounts,
    parse_down,
    parse_host,
    parse_sizes,
    remote_mounts,
)
from drivers.ssh.proc_vm import Qemu, VmCount, parse_scan, parse_vm, watched
from drivers.ssh.rates import host_load, vm_fast
from drivers.ssh.wire import Spawn, Wire

_SCAN_AGAIN_S = 60.0
# A domain that shows no process yet is looked for this often, not at every tick.
_LOOK_AGAIN_S = 3.0
# Threads of a QEMU come and go: one of them may be a vCPU that was plugged in.
_CHANGED_S = 10.0
_SIZES_S = 30.0


@dataclass(frozen=True, slots=True)
class DomainRef:
    """What libvirt knows of an active domain that the fast lane needs.

    ``taps`` are host-side names of its network devices; ``vcpus`` the vCPUs allotted to it.
    """

    uuid: str
    domain_id: int = -1
    taps: tuple[str, ...] = ()
    vcpus: int = 1


@dataclass(frozen=True, slots=True)
class _Before:
    """The reading before, which rates are told from."""

    host: HostCount
    vms: dict[str, VmCount]


class FastLane:
    """Owns one reader and turns its text into readings.

    Args:
        spawn: Starts the reader: ``SshLink.spawn_reader`` or ``spawn_local``.
        clock: The console's clock, epoch seconds.
        deadline_s: Seconds an answer may take.
        reader: ``sh`` forces the shell reader where python3 would be there as well.

    Attributes:
        clock_skew_s: Host's clock less ours in seconds, within half a round trip; None if unknown.
        reader: ``python`` or ``sh`` once started.
    """

    def __init__(
        self,
        spawn: Spawn,
        *,
        clock: Callable[[], float] = time.time,
        deadline_s: float = 5.0,
        reader: str = "",
    ) -> None:
        self.clock_skew_s: float | None = None
        self.reader = ""
        self._spawn = spawn
        self._clock = clock
        self._deadline_s = deadline_s
        self._wanted = reader
        self._lock = asyncio.Lock()
        self._wire: Wire | None = None
        self._hello = Hello("")
        self._before: _Before | None = None
        self._qemu: dict[str, Qemu] = {}
        self._watched: tuple[str, ...] = ()
        self._schedstat: bool | None = None
        self._scanned = self._sized = float("-inf")
        self._changed = False
        self._kinds: dict[str, str] = {}
        self._carriers: dict[str, str] = {}
        self._filesystems: tuple[Filesystem, ...] = ()
        self._remote: tuple[Filesystem, ...] = ()

    async def read(self, domains: Sequence[DomainRef]) -> FastReading:
        """One tick: the host's load and the figures of the given domains.

        Raises:
            TimedOut: The host did not answer; the reader was ended and starts anew next time.
            Unreachable: The reader ended.
            Unsupported: The host can run no reader.
        """
        async with self._lock:
            try:
                async with asyncio.timeout(self._deadline_s):
                    return await self._tick(domains)
            except TimeoutError:
                await self._drop()
                raise TimedOut(
                    f"the reader gave no answer within {self._deadline_s:g} s",
                    proof=self.reader or "it did not start",
                    fix="the host is overloaded or the link is slow; it is asked again",
                ) from None
            except (DriverError, asyncio.CancelledError):
                await self._drop()
                raise

    async def close(self) -> None:
        """End the reader; the next ``read`` starts another."""
        await self._drop()

    async def _drop(self) -> None:
        wire, self._wire = self._wire, None
        self._before, self._watched = None, ()
        self._scanned = self._sized = float("-inf")
        if wire is not None:
            await wire.close()

    async def _tick(self, domains: Sequence[DomainRef]) -> FastReading:
        wire = await self._started()
        await self._find(wire, domains)
        await self._watch(wire, domains)
        began = time.perf_counter()
        frame = await wire.ask("R")
        rtt = time.perf_counter() - began
        at = self._clock() - rtt / 2
        if frame.at is not None:
            self.clock_skew_s = frame.at - at
        reading = self._reading(frame, domains, at, rtt)
        await self._size(wire, frame)
        return reading

    async def _started(self) -> Wire:
        if self._wire is None:
            wire = Wire(self._spawn, self._wanted)
            self._wire = wire
            self._hello = await wire.start()
            self.reader = self._hello.reader
            if self._hello.at is not None:
                self.clock_skew_s = self._hello.at - self._clock()
        return self._wire

    async def _find(self, wire: Wire, domains: Sequence[DomainRef]) -> None:
        """Look for QEMU processes when a domain has none yet, and for vCPUs that came or went."""
        now = time.monotonic()
        unknown = any(d.uuid.lower() not in self._qemu for d in domains)
        due = _CHANGED_S if self._changed else _SCAN_AGAIN_S
        due = _LOOK_AGAIN_S if unknown else due
        if domains and now - self._scanned >= due:
            self._scanned, self._changed = now, False
            self._qemu = parse_scan((await wire.ask("S")).files())

    async def _watch(self, wire: Wire, domains: Sequence[DomainRef]) -> None:
        paths = list(HOST_FILES)
        for domain in domains:
            process = self._qemu.get(domain.uuid.lower())
            if process is not None:
                paths += watched(process, schedstat=self._schedstat)
        if not self._kinds:
            paths.append("/proc/mounts")
        paths += self._carriers
        if tuple(paths) != self._watched:
            self._watched = tuple(paths)
            await wire.tell("W", self._watched)

    def _reading(
        self, frame: Frame, domains: Sequence[DomainRef], at: float, rtt: float
    ) -> FastReading:
        files = frame.files()
        host = parse_host(files, frame.monotonic)
        before = self._before
        booted = at - host.uptime_s if host.uptime_s is not None else None
        counts: dict[str, VmCount] = {}
        vms: dict[str, VmFast] = {}
        for domain in domains:
            process = self._qemu.get(domain.uuid.lower())
            count = parse_vm(files, process, self._hello.hz) if process else None
            if process is None or count is None:
                self._qemu.pop(domain.uuid.lower(), None)
                vms[domain.uuid] = VmFast(domain.uuid, at, missing=_NO_PROCESS)
                continue
            counts[domain.uuid] = count
            self._changed |= count.threads != process.threads
            old = before.vms.get(domain.uuid) if before else None
            vms[domain.uuid] = vm_fast(
                domain.uuid,
                at,
                process,
                count,
                old,
                seconds=host.at_s - before.host.at_s if before else 0.0,
                vcpus=domain.vcpus,
                taps=domain.taps,
                nics=(host.nics, before.host.nics if before else _NO_NICS),
                page=self._hello.page,
                booted_at=booted,
                hz=self._hello.hz,
                io_counted=IO_ACCOUNT in files,
            )
        self._learn(counts)
        down = parse_down(files, self._carriers)
        last = before.host if before else None
        load = host_load(host, last, self._filesystems, down, self._remote)
        self._carriers = carrier_files(host.nics)
        self._before = _Before(host, counts)
        return FastReading(at, load, vms, host.missing, rtt * 1000.0)

    def _learn(self, counts: dict[str, VmCount]) -> None:
        """Whether this kernel counts in schedstat: then threads' stat need not be read."""
        ran = [c for c in counts.values() if not c.cpu_all and c.cpu_s]
        if self._schedstat is None and ran:
            self._schedstat = any(c.delay_s is not None for c in ran)

    async def _size(self, wire: Wire, frame: Frame) -> None:
        """Read filesystem sizes now and then; they change slowly."""
        if not self._kinds:
            mounts = frame.files().get("/proc/mounts", "")
            self._kinds, self._remote = local_mounts(mounts), remote_mounts(mounts)
        now = time.monotonic()
        if self._kinds and now - self._sized >= _SIZES_S:
            self._sized = now
            answer = await wire.ask("D", tuple(self._kinds))
            self._filesystems = parse_sizes(answer.text, self._kinds)
            if now - self._scanned >= _SCAN_AGAIN_S:
                self._kinds = {}  # mounts are looked at again as well


_NO_NICS: dict[str, NicCount] = {}
_NO_PROCESS = (
    Missing(
        "vm.process",
        "no QEMU process with this UUID can be seen",
        "log in as root, or mount that host's /proc without hidepid",
    ),
)
