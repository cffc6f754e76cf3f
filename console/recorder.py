"""Carries what the poller sees to the store, at the store's own interval."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host
from store.api import Store

MANY_VMS = 1000
"""Beyond this many VMs samples are taken less often, to keep a day near 250 MB."""


def sample_interval(vms: int, configured: float | None) -> float:
    """Seconds between samples: as configured, else 5 up to 1,000 VMs and 15 beyond."""
    if configured is not None:
        return configured
    return 5.0 if vms <= MANY_VMS else 15.0


class Recorder:
    """Samples the newest snapshot into the store until cancelled.

    A VM with a job under way is sampled every second together with its host, so that a migration's
    course is on record; the other VMs of that host are not.

    Args:
        store: Where samples go; its put methods never block.
        snapshot: Gives the newest snapshot.
        interval_s: Configured seconds between samples, None for the default.
    """

    def __init__(
        self,
        store: Store,
        snapshot: Callable[[], FleetSnapshot],
        *,
        clock: Callable[[], float],
        interval_s: float | None = None,
    ) -> None:
        self._store = store
        self._snapshot = snapshot
        self._clock = clock
        self._interval_s = interval_s
        self._next_full = 0.0

    async def run(self) -> None:
        """Sample for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self.sample(loop.time())
            await asyncio.sleep(1.0)

    def sample(self, tick: float) -> None:
        """Record what is due at monotonic time ``tick``: all hosts, or only the busy VMs."""
        snapshot = self._snapshot()
        if tick >= self._next_full:
            due: tuple[Host, ...] = snapshot.hosts
            count = sum(len(h.vms) for h in snapshot.hosts)
            self._next_full = tick + sample_interval(count, self._interval_s)
        else:
            due = tuple(busy for h in snapshot.hosts if (busy := _busy(h)).vms)
        if due:
            self._store.put_hosts(self._clock(), due)


def _busy(host: Host) -> Host:
    """The host with those of its VMs alone that have a job under way, as a partial reading."""
    return replace(host, vms=tuple(vm for vm in host.vms if vm.job), slow_at=0.0)
