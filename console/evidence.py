"""Gathers what a migration is judged by beside the snapshot, without ever slowing the poller.

A host is asked few questions at a time, each within a deadline of its own and all within one for
the whole; what did not come in time is a reason, not a wait. Answers are kept for a while, for one
connection of the host they came from; what a hypervisor says of a guest is kept by what of the
guest's definition it depends on, so that a hundred alike are asked about once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from console.jobs.figures import Paces
from console.policy.preflight.grounds import Evidence, Grounds, Rules, told
from console.poller.guard import guarded
from drivers.errors import DriverError
from drivers.model.caps import CpuMatch, DomainNeeds, GuestFit
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, LinkState
from drivers.model.problem import Problem
from drivers.model.vm import VmState
from drivers.protocol import HostDriver

T = TypeVar("T")

AT_ONCE = 2
"""Questions one host is asked at a time: sshd and libvirtd have other clients."""

MEASURED_AT_ONCE = 8
"""Guests of one host whose dirty rate is measured at a time; each only waits."""

CALL_S = 8.0
"""Seconds one answer may take once it is its turn."""

QUICK_S = 4.0
"""Seconds for all answers before a target list or a plan is shown."""

WHOLE_S = 30.0
"""Seconds for all answers of a matrix that somebody asked for by name."""

KEEP_S = 60.0
NEEDS_KEEP_S = 3.0
"""Definitions are read again at once; capabilities and reach change seldom."""

SAMPLE_S = 1
"""Seconds a dirty rate is measured for."""

MIGRATION_PORT = 49152
"""Where libvirt's default range for migration data begins."""

_ALIVE = (LinkState.UP, LinkState.DEGRADED)


@dataclass(frozen=True, slots=True)
class _Kept:
    at: float
    until: float
    link: float
    value: Any


class EvidenceDesk:
    """Asks drivers and keeps their answers; used on the engine's loop alone.

    Args:
        snapshot: The fleet as it stands.
        cordoned: Hosts that take no VMs, and who said so.
    """

    def __init__(
        self,
        drivers: Mapping[str, HostDriver],
        snapshot: Callable[[], FleetSnapshot],
        rules: Rules,
        *,
        cordoned: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._drivers = drivers
        self._snapshot = snapshot
        self._rules = rules
        self._cordoned = cordoned
        self._kept: dict[tuple[object, ...], _Kept] = {}
        self._turns: dict[tuple[str, int], asyncio.Semaphore] = {}
        self.paces = Paces()

    async def grounds(
        self,
        uuids: Sequence[str],
        targets: Sequence[str],
        *,
        limit_s: float = QUICK_S,
        age_s: float = KEEP_S,
        measure: bool = False,
    ) -> Grounds:
        """Everything that these VMs against these hosts are judged by.

        Args:
            limit_s: Seconds after which what has not come is a Problem.
            age_s: Seconds ago that an answer may have been given; what is older is asked again.
            measure: Measure dirty rates that were not measured lately; takes a second at least.
        """
        now = asyncio.get_running_loop().time()
        self._kept = {key: kept for key, kept in self._kept.items() if kept.until > now}
        snapshot = self._snapshot()
        round_ = _Round(self, snapshot, uuids, targets, limit_s, now - age_s, measure=measure)
        evidence = await round_.run()
        return Grounds(self._rules, self._cordoned(), evidence)

    def driver(self, host: str) -> HostDriver:
        """The driver of a host of the snapshot."""
        return self._drivers[host]

    def turn(self, host: str, at_once: int) -> asyncio.Semaphore:
        """Limits how much one host is asked at a time."""
        return self._turns.setdefault((host, at_once), asyncio.Semaphore(at_once))

    def keep(self, key: tuple[object, ...], host: Host, value: object, seconds: float) -> None:
        """Remember an answer of one connection."""
        now = asyncio.get_running_loop().time()
        self._kept[key] = _Kept(now, now + seconds, host.link.since, value)

    def recall(self, key: tuple[object, ...], host: Host, since: float) -> object | None:
        """An answer that still holds and was given after ``since``; None when there is none."""
        kept = self._kept.get(key)
        fresh = kept and kept.at >= since and kept.until > asyncio.get_running_loop().time()
        return kept.value if kept and fresh and kept.link == host.link.since else None


class _Round:
    """One gathering, with one end for all of its questions."""

    def __init__(
        self,
        desk: EvidenceDesk,
        snapshot: FleetSnapshot,
        uuids: Sequence[str],
        targets: Sequence[str],
        limit_s: float,
        since: float,
        *,
        measure: bool,
    ) -> None:
        self._desk = desk
        self._since = since
        self._end = asyncio.get_running_loop().time() + limit_s
        self._limit_s = limit_s
        self._measure = measure
        found = (snapshot.vm(uuid) for uuid in dict.fromkeys(uuids))
        self._vms = [vm for vm in found if vm is not None]
        hosts = {host.name: host for host in snapshot.hosts}
        self._targets = [hosts[name] for name in dict.fromkeys(targets) if name in hosts]
        self._sources = {vm.uuid: hosts[vm.host] for vm in self._vms}

    async def run(self) -> Evidence:
        """Ask everything that does not depend on an answer at once, then what does."""
        needs, caps, ways, dirty = await asyncio.gather(
            self._all({vm.uuid: self._needs(vm.uuid) for vm in self._vms}),
            self._all({name: self._caps(host) for name, host in self._involved().items()}),
            self._ways(),
            self._all({vm.uuid: self._dirty(vm.uuid) for vm in self._vms
                       if vm.state is VmState.RUNNING}),
        )  # fmt: skip
        known = {uuid: found for uuid, one in needs.items() if (found := told(one)) is not None}
        fits, servers = await asyncio.gather(self._fits(known), self._servers(known))
        baselines = await self._baselines(known, fits)
        return Evidence(
            needs, caps, fits, baselines, ways[0], ways[1], servers,
            {uuid: rate for uuid, rate in dirty.items() if rate is not None},
            self._desk.paces.bandwidth(),
        )  # fmt: skip

    def _involved(self) -> dict[str, Host]:
        return {h.name: h for h in (*self._sources.values(), *self._targets)}

    def _pairs(self) -> dict[tuple[str, str], tuple[Host, Host]]:
        return {
            (here.name, there.name): (here, there)
            for here in self._sources.values()
            for there in self._targets
            if here.name != there.name
        }

    async def _all(self, asked: Mapping[Any, Coroutine[Any, Any, T]]) -> dict[Any, T]:
        return dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))

    # -- questions ----------------------------------------------------------------------------

    async def _needs(self, uuid: str) -> DomainNeeds | Problem:
        host = self._sources[uuid]
        driver = self._desk.driver(host.name)
        return await self._ask(host, ("needs", uuid), lambda: driver.needs(uuid), NEEDS_KEEP_S)

    async def _caps(self, host: Host) -> Any:
        driver = self._desk.driver(host.name)
        return await self._ask(host, ("caps", host.name), driver.host_caps, KEEP_S)

    async def _dirty(self, uuid: str) -> Any:
        host = self._sources[uuid]
        key = ("dirty", uuid, host.name)
        if not self._measure:
            return self._desk.recall(key, host, self._since)
        driver = self._desk.driver(host.name)
        return await self._ask(
            host, key, lambda: driver.dirty_rate(uuid, SAMPLE_S), KEEP_S, at_once=MEASURED_AT_ONCE
        )

    async def _ways(self) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Reach and login between each two hosts."""
        pairs = self._pairs()
        data, login = await asyncio.gather(
            self._all({key: self._reach(*pair) for key, pair in pairs.items()}),
            self._all({key: self._login(*pair) for key, pair in pairs.items()
                       if pair[1].spec.peer_uri}),
        )  # fmt: skip
        return data, login

    async def _reach(self, here: Host, there: Host) -> Any:
        place = data_address(there)
        if place is None:
            return Problem(
                f"the migration address of {there.name} is not known",
                f"migrate_uri is {there.spec.migrate_uri!r} and its host name was not read",
                f"set migrate_uri of {there.name}",
            )
        return await self._dial(here, *place)

    async def _dial(self, here: Host, address: str, port: int) -> Any:
        driver = self._desk.driver(here.name)
        key = ("reach", here.name, address, port)
        return await self._ask(here, key, lambda: driver.reach(address, port), KEEP_S)

    async def _login(self, here: Host, there: Host) -> Any:
        uri, driver = there.spec.peer_uri, self._desk.driver(here.name)
        key = ("login", here.name, uri)
        return await self._ask(here, key, lambda: driver.peer_login(uri), KEEP_S)

    async def _fits(self, known: Mapping[str, DomainNeeds]) -> dict[tuple[str, str], Any]:
        """Each kind of guest once a host, however many VMs are of that kind."""
        kinds: dict[tuple[object, ...], DomainNeeds] = {}
        for needs in known.values():
            kinds.setdefault(_kind(needs), needs)
        asked = {
            (kind, host.name): self._fit(kind, needs, host)
            for kind, needs in kinds.items()
            for host in self._targets
        }
        answers = await self._all(asked)
        return {
            (uuid, host.name): _of(answers[_kind(needs), host.name], needs)
            for uuid, needs in known.items()
            for host in self._targets
            if host.name != self._sources[uuid].name
        }

    async def _fit(self, kind: tuple[object, ...], needs: DomainNeeds, host: Host) -> Any:
        driver = self._desk.driver(host.name)
        key = ("fit", host.name, *kind)
        return await self._ask(host, key, lambda: driver.guest_fit(needs), KEEP_S)

    async def _baselines(
        self, known: Mapping[str, DomainNeeds], fits: Mapping[tuple[str, str], Any]
    ) -> dict[Any, Any]:
        """The CPU that source and target have in common, where the guest's own does not fit."""
        asked = {
            key: self._baseline(known[key[0]], self._sources[key[0]], fit)
            for key, fit in fits.items()
            if isinstance(fit, GuestFit) and fit.cpu is CpuMatch.INCOMPATIBLE
        }
        return await self._all(asked)

    async def _baseline(self, needs: DomainNeeds, source: Host, there: GuestFit) -> Any:
        here = await self._fit(_kind(needs), needs, source)
        if not isinstance(here, GuestFit):
            return here
        driver = self._desk.driver(source.name)
        cpus = (here.host_cpu, there.host_cpu)
        key = ("baseline", *_kind(needs), *cpus)
        return await self._ask(source, key, lambda: driver.cpu_baseline(cpus, needs), KEEP_S)

    async def _servers(self, known: Mapping[str, DomainNeeds]) -> dict[Any, Any]:
        places = {place for n in known.values() for d in n.disks for place in d.servers}
        asked = {
            (host.name, *place): self._dial(host, *place)
            for host in self._targets
            for place in places
        }
        return await self._all(asked)

    async def _ask(
        self,
        host: Host,
        key: tuple[object, ...],
        call: Callable[[], Awaitable[T]],
        keep_s: float,
        *,
        at_once: int = AT_ONCE,
    ) -> T | Problem:
        """One answer, from memory where it still holds; why there is none otherwise."""
        kept = self._desk.recall(key, host, self._since)
        if kept is not None:
            return cast(T, kept)
        if host.link.state not in _ALIVE:
            why = host.link.problem
            return Problem(f"{host.name} is {host.link.state.value}", why.what if why else "")
        try:
            async with asyncio.timeout_at(self._end), self._desk.turn(host.name, at_once):
                answer = await guarded(_started(call), CALL_S, f"a question to {host.name}")
        except TimeoutError:
            proof = f"no answer from {host.name} within {self._limit_s:g} s"
            return Problem("there was no time for it", proof, "ask again")
        except DriverError as error:
            return error.problem
        self._desk.keep(key, host, answer, keep_s)
        return answer


async def _started(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


def _kind(needs: DomainNeeds) -> tuple[object, ...]:
    """What a hypervisor's answer depends on."""
    return needs.arch, needs.machine, needs.virt, needs.cpu.xml


def _of(answer: object, needs: DomainNeeds) -> GuestFit | Problem:
    """The answer about guests of a kind, as one about this guest."""
    if isinstance(answer, GuestFit):
        return replace(answer, digest=needs.digest)
    return cast(Problem, answer)


def data_address(host: Host) -> tuple[str, int] | None:
    """(address, port) where migration data to a host goes; None where that is not known."""
    uri = host.spec.migrate_uri
    if not uri:
        name = host.facts.hostname if host.facts else ""
        return (name, MIGRATION_PORT) if name else None
    try:
        parts = urlsplit(uri)
        address, port = parts.hostname, parts.port
    except ValueError:
        return None
    # ``tcp:HOST`` is the old form without slashes that libvirt still takes.
    address = address or parts.path.strip("/").partition(":")[0]
    return (address, port or MIGRATION_PORT) if address else None
