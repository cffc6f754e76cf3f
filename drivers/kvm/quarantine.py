"""VMs whose QEMU monitor does not answer: found without waiting, tried again with back-off."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from drivers.errors import DriverError
from drivers.kvm.session import Session

# virDomainControlState
_JOB, _OCCUPIED, _ERROR = 1, 2, 3
_FIRST_RETRY_S = 5.0
_LAST_RETRY_S = 300.0
_FORGIVEN_S = 600.0  # after so long without trouble the back-off begins anew


@dataclass(slots=True)
class _Case:
    since: float
    retry_at: float
    delay: float


class Quarantine:
    """Who is left out of the bulk call, since when, and until when at least."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cases: dict[str, _Case] = {}
        self._freed: dict[str, tuple[float, float]] = {}  # UUID to (when freed, next delay)

    @property
    def members(self) -> frozenset[str]:
        """UUIDs left out now."""
        return frozenset(self._cases)

    def stuck(self) -> dict[str, float]:
        """UUID to seconds its monitor has hung."""
        now = time.monotonic()
        return {uuid: now - case.since for uuid, case in self._cases.items()}

    async def add_occupied(self, seconds: float) -> bool:
        """Put away those whose monitor is in one command for most of ``seconds``; True if any."""
        return await self._add((_OCCUPIED, _ERROR), 0.5 * seconds)

    async def add_jobs(self) -> bool:
        """Put away those with a long job too: nobody else can be what holds the call up."""
        return await self._add((_JOB, _OCCUPIED, _ERROR), 0.0)

    async def review(self) -> None:
        """Let those go whose monitor is free again and whose time has come."""
        if not self._cases:
            return
        try:
            told = await self._control()
        except DriverError:  # then everybody stays where he is
            return
        now = time.monotonic()
        for uuid, case in list(self._cases.items()):
            state, _ = told.get(uuid, (0, 0.0))
            if uuid not in told or (state not in (_OCCUPIED, _ERROR) and now >= case.retry_at):
                del self._cases[uuid]
                self._freed[uuid] = (now, min(_LAST_RETRY_S, 2 * case.delay))

    async def _add(self, states: tuple[int, ...], least_s: float) -> bool:
        try:
            told = await self._control()
        except DriverError:
            return False
        now = time.monotonic()
        added = False
        for uuid, (state, seconds) in told.items():
            if state in states and (seconds >= least_s or state == _ERROR):
                if uuid not in self._cases:
                    delay = self._delay(uuid, now)
                    self._cases[uuid] = _Case(now - seconds, now + delay, delay)
                added = True
        return added

    def _delay(self, uuid: str, now: float) -> float:
        freed_at, delay = self._freed.pop(uuid, (float("-inf"), _FIRST_RETRY_S))
        return delay if now - freed_at < _FORGIVEN_S else _FIRST_RETRY_S

    async def _control(self) -> dict[str, tuple[int, float]]:
        """UUID to (virDomainControlState, seconds in it) of every running domain."""
        lv, conn = self._session.lv, self._session.diag

        def ask() -> dict[str, tuple[int, float]]:
            told: dict[str, tuple[int, float]] = {}
            for domain in conn.listAllDomains(lv.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
                answer = _ask(lv, domain)
                if answer is not None:
                    told[domain.UUIDString()] = answer
            return told

        return await self._session.call(ask, "the control state could not be read")


def _ask(lv: Any, domain: Any) -> tuple[int, float] | None:
    try:
        state, _details, milliseconds = domain.controlInfo()
    except lv.libvirtError:  # it stopped meanwhile, or this driver has no such call
        return None
    return state, milliseconds / 1000
