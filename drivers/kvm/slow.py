"""The slow lane: one bulk call, cached XML, and a stuck VM named instead of waited for.

``getAllDomainStats`` waits without limit for one QEMU that does not answer. So it runs under a
soft deadline; on overrun ``virDomainGetControlInfo`` on another connection (it never waits) names
who holds it up, those are quarantined, and the rest is read at once in a fresh lane.

Sweeps have a connection of their own, thrown away with a call that hangs on it: libvirt 9.0's
client was seen to leave answers of other calls unread while one call of that connection waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from drivers.errors import TimedOut, Unreachable
from drivers.kvm.domxml import DomainDef, parse_domain
from drivers.kvm.places import Places
from drivers.kvm.progress import read_job
from drivers.kvm.quarantine import Quarantine
from drivers.kvm.session import Session
from drivers.kvm.stats import Facts, Mark, build_vm
from drivers.kvm.text import clean
from drivers.kvm.translate import guarded
from drivers.kvm.words import state_words
from drivers.lane import Lane
from drivers.model.problem import Missing
from drivers.model.vm import JobProgress, Vm
from drivers.protocol import SlowReading

_XML_EVERY_S = 120.0  # a change that told no event is seen within so long
_XML_A_SWEEP = 8  # so many unasked re-reads a sweep, spread over the fleet
_JOBS_A_SWEEP = 1  # so many running VMs asked for a job nobody announced
_AUTOSTART_EVERY_S = 30.0  # libvirt tells no event for the autostart flag


@dataclass(slots=True)
class Known:
    """What is kept between sweeps; replaced whole by each finished one."""

    vms: dict[str, Vm] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    definitions: dict[str, tuple[DomainDef, float]] = field(default_factory=dict)
    autostart: frozenset[str] = frozenset()
    transient: frozenset[str] = frozenset()
    flags_at: float = float("-inf")
    turn: int = 0


@dataclass(frozen=True, slots=True)
class _Record:
    uuid: str
    name: str
    domain_id: int
    domain: Any
    stats: dict[str, object]


class SlowReader:
    """Sweeps one connection; made anew with each connection.

    Args:
        session: The connected host.
        clock: The console's clock.
        places: Where disks lie, as the pools' lane last told.
    """

    def __init__(
        self, session: Session, clock: Callable[[], float], places: Callable[[], Places]
    ) -> None:
        self._session = session
        self._clock = clock
        self._places = places
        self._lane = self._new_lane()
        self._conn: Any = None
        self._known = Known()
        self._dirty: set[str] = set()
        self._jobs: set[str] = set()
        self._usual_s = 0.0
        self.quarantine = Quarantine(session)

    @property
    def vms(self) -> dict[str, Vm]:
        """The VMs of the last finished sweep, by UUID."""
        return self._known.vms

    def definition(self, uuid: str) -> DomainDef | None:
        """The domain's XML as last read, or None."""
        known = self._known.definitions.get(uuid)
        return known[0] if known is not None else None

    def changed(self, uuid: str) -> None:
        """The domain's XML must be read again in the next sweep."""
        self._dirty.add(uuid)

    def job(self, uuid: str, *, running: bool) -> None:
        """A job began on the domain or ended: its figures are read while it runs."""
        (self._jobs.add if running else self._jobs.discard)(uuid)

    def forget_flags(self) -> None:
        """The autostart flags must be read again in the next sweep."""
        self._known.flags_at = float("-inf")

    async def close(self) -> None:
        """End lane and connection; a call that hangs is left to its daemon thread."""
        self._lane.close()
        conn, self._conn = self._conn, None
        await self._session.hang_up(conn)

    async def read(self, *, with_cpu: bool) -> SlowReading:
        """One sweep.

        Args:
            with_cpu: Fill CPU and RSS too, where no fast lane does.

        Raises:
            DriverError: The host did not answer, or libvirt refused.
        """
        await self.quarantine.review()
        known = await self._sweep(with_cpu)
        self._known = known
        stuck = self.quarantine.stuck()
        missing = tuple(
            Missing(f"vm.{uuid}", f"the QEMU monitor has not answered for {seconds:.0f} s")
            for uuid, seconds in stuck.items()
        )
        return SlowReading(self._clock(), tuple(known.vms.values()), stuck, missing)

    async def _sweep(self, with_cpu: bool) -> Known:
        work = asyncio.ensure_future(self._start(with_cpu))
        soft = self._soft_deadline()
        try:
            done, _ = await asyncio.wait({work}, timeout=soft)
            if not done and not await self.quarantine.add_occupied(soft):
                done, _ = await asyncio.wait({work})  # merely slow: its own deadline ends it
            if done and not (_timed_out(work) and await self.quarantine.add_jobs()):
                return work.result()
        finally:
            work.cancel()
        self._lane.close()
        self._lane, self._conn = self._new_lane(), None
        return await self._start(with_cpu)

    async def _start(self, with_cpu: bool) -> Known:
        places, skip = self._places(), frozenset(self.quarantine.members)
        what = f"the VMs of {self._session.spec.name} could not be read"
        conn = self._conn = self._conn or await self._session.second()
        began = time.monotonic()
        try:
            known = await self._lane.run(
                guarded(lambda: self._fetch(conn, with_cpu, places, skip), what, self._session.lv)
            )
        except Unreachable:  # this connection ended: the next sweep opens another
            self._conn = None
            raise
        took = time.monotonic() - began
        # One slow sweep (a guest starting) must not make the next ones patient.
        self._usual_s = min(took, 1.5 * self._usual_s) if self._usual_s else took
        return known

    def _soft_deadline(self) -> float:
        """Seconds after which a sweep is suspect: three times the usual, at least one."""
        return min(0.6 * self._session.spec.deadline_s, max(1.0, 3 * self._usual_s + 0.5))

    def _new_lane(self) -> Lane:
        spec = self._session.spec
        return Lane(f"{spec.name} sweep", spec.deadline_s)

    # Below runs in the lane's thread. It changes nothing shared: a sweep that was given up on may
    # still end late, and must then leave no trace.

    def _fetch(self, conn: Any, with_cpu: bool, places: Places, skip: frozenset[str]) -> Known:
        old = self._known
        asked = frozenset(self._dirty)
        records, left_out = self._records(conn, skip)
        now, at = time.monotonic(), self._clock()
        known = Known(turn=old.turn + 1)
        self._flags(conn, known, old, now)
        due = self._due(records, asked, now)
        watched = self._watched(records, known.turn)
        for record in records:
            uuid = record.uuid
            cached = old.definitions.get(uuid)
            if cached is None or uuid in due:
                cached = (self._definition(record, cached), now)
            known.definitions[uuid] = cached
            facts = Facts(
                uuid,
                record.name,
                self._session.spec.name,
                record.domain_id,
                uuid not in known.transient,
                uuid in known.autostart,
                self._job_of(record, at) if uuid in watched else None,
            )
            known.vms[uuid], known.marks[uuid] = build_vm(
                facts,
                cached[0],
                record.stats,
                old.marks.get(uuid),
                places,
                at=at,
                now=now,
                with_cpu=with_cpu,
            )
        for domain in left_out:
            self._keep(known, old, domain)
        self._dirty -= asked
        return known

    def _records(self, conn: Any, skip: frozenset[str]) -> tuple[list[_Record], list[Any]]:
        lv = self._session.lv
        groups = (
            lv.VIR_DOMAIN_STATS_STATE
            | lv.VIR_DOMAIN_STATS_CPU_TOTAL
            | lv.VIR_DOMAIN_STATS_BALLOON
            | lv.VIR_DOMAIN_STATS_BLOCK
            | lv.VIR_DOMAIN_STATS_INTERFACE
        )
        # Another job's domain gives a partial record instead of holding everybody up.
        nowait = lv.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        left_out: list[Any] = []
        if not skip:
            found = conn.getAllDomainStats(groups, nowait)
        else:
            domains = conn.listAllDomains()
            left_out = [d for d in domains if d.UUIDString() in skip]
            answering = [d for d in domains if d.UUIDString() not in skip]
            found = conn.domainListGetStats(answering, groups, nowait) if answering else []
        return [_Record(d.UUIDString(), d.name(), d.ID(), d, stats) for d, stats in found], left_out

    def _flags(self, conn: Any, known: Known, old: Known, now: float) -> None:
        if now - old.flags_at < _AUTOSTART_EVERY_S and not self._dirty:
            known.autostart, known.transient = old.autostart, old.transient
            known.flags_at = old.flags_at
            return
        lv = self._session.lv
        listed = conn.listAllDomains(lv.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
        known.autostart = frozenset(d.UUIDString() for d in listed)
        listed = conn.listAllDomains(lv.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)
        known.transient = frozenset(d.UUIDString() for d in listed)
        known.flags_at = now

    def _due(self, records: list[_Record], asked: frozenset[str], now: float) -> set[str]:
        """Whose XML to read: told to have changed, another process than before, or grown old."""
        due = set(asked)
        old: list[tuple[float, str]] = []
        for record in records:
            cached = self._known.definitions.get(record.uuid)
            mark = self._known.marks.get(record.uuid)
            if mark is not None and mark.domain_id != record.domain_id:
                due.add(record.uuid)
            elif cached is not None and now - cached[1] > _XML_EVERY_S:
                old.append((cached[1], record.uuid))
        due.update(uuid for _, uuid in sorted(old)[:_XML_A_SWEEP])
        return due

    def _watched(self, records: list[_Record], turn: int) -> set[str]:
        """Whose job to ask for: those told to have one, and a few others in turn."""
        running = [r.uuid for r in records if r.domain_id >= 0]
        first = turn * _JOBS_A_SWEEP % len(running) if running else 0
        return {*self._jobs, *running[first : first + _JOBS_A_SWEEP]}

    def _definition(self, record: _Record, cached: tuple[DomainDef, float] | None) -> DomainDef:
        try:
            return parse_domain(record.domain.XMLDesc(0))
        except self._session.lv.libvirtError:  # it went between the two calls
            return cached[0] if cached is not None else DomainDef(readable=False)

    def _job_of(self, record: _Record, at: float) -> JobProgress | None:
        if record.domain_id < 0:
            return None
        try:
            return read_job(record.domain.jobStats(0), at=at)
        except self._session.lv.libvirtError:
            return None

    def _keep(self, known: Known, old: Known, domain: Any) -> None:
        """A stuck VM keeps its last figures, at their age; its state comes without the monitor."""
        uuid = domain.UUIDString()
        vm = old.vms.get(uuid) or Vm(uuid, clean(domain.name()), self._session.spec.name)
        try:
            state, reason = state_words(*domain.state()[:2])
        except self._session.lv.libvirtError:
            state, reason = vm.state, vm.reason
        seconds = self.quarantine.stuck().get(uuid, 0.0)
        known.vms[uuid] = replace(vm, state=state, reason=reason, monitor_stuck_s=seconds)
        if uuid in old.marks:
            known.marks[uuid] = old.marks[uuid]
        if uuid in old.definitions:
            known.definitions[uuid] = old.definitions[uuid]


def _timed_out(work: asyncio.Future[Known]) -> bool:
    return isinstance(work.exception(), TimedOut)
