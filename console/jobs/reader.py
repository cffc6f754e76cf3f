"""Fresh readings of hosts, shared by the jobs that wait for one at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from console.policy.truth import Sighting
from drivers.errors import DriverError
from drivers.model.vm import Vm
from drivers.protocol import HostDriver, SlowReading


class HostReader:
    """Reads one host; a caller never gets a reading that began before it asked."""

    def __init__(self, driver: HostDriver) -> None:
        self._driver = driver
        self._current: asyncio.Task[SlowReading] | None = None
        self._next: asyncio.Task[SlowReading] | None = None

    async def read(self) -> SlowReading:
        """A reading that began after this call; raises what the driver raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._run(self._current))
            self._next.add_done_callback(_taken)
        return await asyncio.shield(self._next)

    async def _run(self, previous: asyncio.Task[SlowReading] | None) -> SlowReading:
        if previous is not None:
            await asyncio.wait({previous})
        self._current, self._next = self._next, None
        return await self._driver.read_slow()


def _taken(task: asyncio.Task[SlowReading]) -> None:
    if not task.cancelled():
        task.exception()


class FleetReader:
    """All hosts' readers, and what they say of one VM."""

    def __init__(self, drivers: Mapping[str, HostDriver]) -> None:
        self._readers = {name: HostReader(driver) for name, driver in drivers.items()}

    async def read(self, host: str) -> SlowReading:
        """One host's fresh reading."""
        return await self._readers[host].read()

    async def sight(self, host: str, uuid: str) -> Sighting:
        """What a host says of a VM now; never raises, an unreachable host is not known."""
        return (await self.sight_among(host, uuid))[0]

    async def sight_among(self, host: str, uuid: str) -> tuple[Sighting, tuple[Vm, ...]]:
        """The same, and all VMs that the host listed in that reading."""
        if host not in self._readers:
            return Sighting(host, known=False, why="it is not in this fleet"), ()
        try:
            reading = await self.read(host)
        except DriverError as error:
            return Sighting(host, known=False, why=error.problem.what), ()
        vm = next((v for v in reading.vms if v.uuid == uuid), None)
        if vm is None and uuid in reading.stuck:
            why = "the VM's monitor does not answer"
            return Sighting(host, known=False, why=why), reading.vms
        return Sighting(host, vm), reading.vms
