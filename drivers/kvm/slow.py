"""The slow lane: one bulk call, cached XML, and a stuck VM named instead of waited for.

``getAllDomainStats`` waits without limit for one QEMU that does not answer. So it runs under a
soft deadline; on overrun ``virDomainGetControlInfo`` on another connection (it never waits) names
who holds it up, those are quarantined, and the rest is read at once in a fresh lane.

Sweeps have a connection of their own, thrown away with a call that hangs on it: libvirt 9.0's
client was seen to leave answers of other calls unread while one call of that connection waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from drivers.errors import TimedOut, Unreachable
from drivers.kvm.places import Places
from drivers.kvm.quarantine import Quarantine
from drivers.kvm.session import Session
from drivers.kvm.sweep import Known, Order, Sweep
from drivers.kvm.translate import guarded
from drivers.lane import Lane
from drivers.model.problem import Missing
from drivers.model.vm import Vm
from drivers.protocol import SlowReading


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
        self._turn = asyncio.Lock()
        self._changed: set[bytes] = set()
        self._jobs: set[bytes] = set()
        self._usual_s = 0.0
        self.quarantine = Quarantine(session)

    @property
    def vms(self) -> dict[str, Vm]:
        """The VMs of the last finished sweep, by UUID."""
        return self._known.vms

    def changed(self, uuid: str) -> None:
        """The domain's XML must be read again in the next sweep."""
        with contextlib.suppress(ValueError):
            self._changed.add(UUID(uuid).bytes)

    def job(self, uuid: str, *, running: bool) -> None:
        """A job began on the domain or ended: its figures are read while it runs."""
        with contextlib.suppress(ValueError):
            (self._jobs.add if running else self._jobs.discard)(UUID(uuid).bytes)

    async def prepare(self) -> None:
        """Open the sweeps' connection, while others of the host are opened too.

        Raises:
            DriverError: The host did not answer.
        """
        self._conn = await self._session.second()

    def close(self) -> Any:
        """End the lane; returns the sweeps' connection, if any, for the session to close."""
        self._lane.close()
        conn, self._conn = self._conn, None
        return conn

    async def read(self, *, with_cpu: bool) -> SlowReading:
        """One sweep.

        Args:
            with_cpu: Fill CPU and RSS too, where no fast lane does.

        Raises:
            DriverError: The host did not answer, or libvirt refused.
        """
        # In turn: each builds on the one before, and the poller and a job may ask at once.
        async with self._turn:
            at = self._clock()
            await self.quarantine.review()
            known = self._known = await self._sweep(with_cpu)
        took = self._clock() - at
        stuck = {uuid: max(0.0, s - took) for uuid, s in self.quarantine.stuck().items()}
        missing = tuple(
            Missing(f"vm.{uuid}", f"the QEMU monitor has not answered for {seconds:.0f} s")
            for uuid, seconds in stuck.items()
        )
        return SlowReading(at, tuple(known.vms.values()), stuck, missing)

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
        spec = self._session.spec
        # Taken now: a change told while the sweep runs belongs to the next one.
        asked, self._changed = self._changed, set()
        order = Order(
            spec.name,
            self._places(),
            frozenset(asked),
            frozenset(self._jobs),
            {UUID(uuid).bytes: seconds for uuid, seconds in self.quarantine.stuck().items()},
            with_cpu,
        )
        what = f"the VMs of {spec.name} could not be read"
        try:
            conn = self._conn = self._conn or await self._session.second()
            began = time.monotonic()
            sweep = Sweep(self._session.lv, conn, self._known, order, at=self._clock(), now=began)
            known = await self._lane.run(
                self._session.calls.counted(guarded(sweep.run, what, self._session.lv))
            )
        except BaseException as failure:
            self._changed |= asked
            if isinstance(failure, Unreachable):  # the next sweep opens another connection
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


def _timed_out(work: asyncio.Future[Known]) -> bool:
    return isinstance(work.exception(), TimedOut)
