"""What a step has in hand while it acts: its job, its hosts, its clock, its cancel switch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from console.jobs.cockpit import Cockpit
from console.jobs.journal import Journal
from console.jobs.reader import FleetReader
from console.jobs.tracing import Trace
from console.policy.truth import Sighting
from drivers.errors import Cancelled, Gone
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Job
from drivers.model.vm import JobProgress, VmState
from drivers.protocol import HostDriver

POLL_S = 0.4
"""Seconds between two looks at a running migration or copy."""


@dataclass(frozen=True, slots=True)
class Made:
    """A volume this job has made or is about to make: journaled before it exists."""

    host: str
    path: str
    disk: str

    def text(self) -> dict[str, str]:
        """As the journal holds it."""
        return {"host": self.host, "path": self.path, "disk": self.disk}


def made_of(facts: Mapping[str, str]) -> tuple[Made, ...]:
    """The volumes a job's facts name as its own."""
    return tuple(Made(m["host"], m["path"], m["disk"]) for m in json.loads(facts.get("made", "[]")))


class ReadAnew(Protocol):
    """Has the poller read hosts again."""

    async def __call__(self, hosts: Iterable[str], *, pools: bool) -> None:
        """Until the snapshot shows hosts, and their pools, as they are now or do not answer."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What all jobs share."""

    drivers: Mapping[str, HostDriver]
    journal: Journal
    reader: FleetReader
    snapshot: Callable[[], FleetSnapshot]
    nudge: Callable[[str], None]
    read_anew: ReadAnew
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


class Work:
    """One job being carried out.

    Attributes:
        cancelled: Set when a person wants it stopped; steps look at it where stopping is safe.
        leaving: It is stopped because the console closes: what was asked for stays open.
        offer: Followups a failing step suggests.
        trace: Times of all that is done.
        cockpit: Verdict and levers, while a migration runs.
    """

    def __init__(self, tools: Tools, job_id: str) -> None:
        self.tools = tools
        self.job_id = job_id
        self.cancelled = asyncio.Event()
        self.leaving = False
        self.offer: tuple[str, ...] = ()
        self.trace = Trace(tools.clock)
        self.cockpit: Cockpit | None = None

    @property
    def job(self) -> Job:
        """The job as it stands."""
        job = self.tools.journal.get(self.job_id)
        if job is None:
            raise Gone("this job is not in the journal", proof=self.job_id)
        return job

    @property
    def uuid(self) -> str:
        """UUID of the VM."""
        return self.job.plan.request.uuid

    @property
    def name(self) -> str:
        """The VM's name when the plan was made."""
        return self.job.plan.vm_name

    @property
    def host(self) -> str:
        """The host the plan acts on: the source of a migration."""
        return self.job.plan.host

    @property
    def facts(self) -> Mapping[str, str]:
        """What a recovery must know, as journaled."""
        return self.job.facts

    @property
    def made(self) -> tuple[Made, ...]:
        """Volumes this job made or was about to make."""
        return made_of(self.facts)

    def driver(self, host: str = "") -> HostDriver:
        """The driver of a host, of the plan's own when none is named."""
        name = host or self.host
        driver = self.tools.drivers.get(name)
        if driver is None:
            raise Gone(f"{name} is not in this fleet", fix="add it to the configuration")
        return driver

    async def remember(self, **facts: str) -> None:
        """Journal facts; they are durable when this returns."""
        job = self.job
        await self.tools.journal.write(replace(job, facts={**job.facts, **facts}))

    async def remember_made(self, made: tuple[Made, ...]) -> None:
        """Journal which volumes are this job's own."""
        await self.remember(made=json.dumps([m.text() for m in made]))

    def show(self, progress: JobProgress) -> None:
        """Show live figures."""
        self.tools.journal.show_progress(self.job_id, progress)

    async def see(self, host: str = "") -> Sighting:
        """What a host says of this VM now."""
        return await self.tools.reader.sight(host or self.host, self.uuid)

    def now(self) -> float:
        """Seconds on the console's clock."""
        return self.tools.clock()

    async def pause(self, seconds: float = POLL_S) -> None:
        """Wait between two looks."""
        await self.tools.sleep(seconds)

    def check_cancel(self) -> None:
        """Raise Cancelled when a person wants the job stopped."""
        if self.cancelled.is_set():
            raise Cancelled("cancelled on request")

    def polled_state(self, host: str = "") -> VmState | None:
        """The VM's state in the poller's picture: a hint, kept current by libvirt's events."""
        name = host or self.host
        found = self.tools.snapshot().host(name)
        return next((v.state for v in found.vms if v.uuid == self.uuid), None) if found else None
