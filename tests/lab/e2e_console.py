"""A console without a screen, as the tests drive it: the real engine and its news."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition
from types import TracebackType
from typing import TypeVar

from console.backend import EventsReady, JobsReady, News, SnapshotReady
from console.engine import Engine
from console.sources import real_fleet
from drivers.lab.fleet import LabFleet
from drivers.lab.processes import wait_until
from drivers.model.event import Event
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import HostSpec, LinkState
from drivers.model.job import Action, Job, Plan, Request
from drivers.model.vm import Vm, VmState
from store.open import open_store

T = TypeVar("T")

PATIENCE_S = 150.0
"""Deadline of every wait: far beyond what a busy machine needs, so that only a fault meets it."""


@dataclass(frozen=True)
class Seen:
    """A VM as one published snapshot showed it, and when that was published."""

    at: float
    host: str
    state: VmState


class Console(AbstractContextManager["Console"]):
    """The engine over a lab's hosts, recording into ``folder``."""

    def __init__(self, specs: Sequence[HostSpec], folder: Path) -> None:
        self.database = folder / "history.duckdb"
        # Pools are read often enough for plans to know volumes that were made a moment ago.
        self.specs = tuple(replace(spec, slow_s=3.0, pools_s=5.0) for spec in specs)
        self.engine = Engine(
            real_fleet("lab", self.specs),
            store=lambda: open_store(self.database),
        )
        self.snapshot = FleetSnapshot()
        self.jobs: tuple[Job, ...] = ()
        self.events: list[Event] = []
        self.history: dict[str, list[Seen]] = {}
        self._news = Condition()
        self._taken = 0

    def __enter__(self) -> Console:
        """Start, and wait until every host has told its VMs and pools."""
        self.engine.start(self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close as a person would."""
        self.engine.stop()

    def settled(self) -> Console:
        """Wait until every host is up and has told its VMs and pools."""

        def all_told() -> bool:
            hosts = self.snapshot.hosts
            return bool(hosts) and all(
                h.link.state is LinkState.UP and h.slow_at and h.fast_at and h.pools_at
                for h in hosts
            )

        self.wait("every host is read", all_told)
        return self

    def _take(self, news: News) -> None:
        with self._news:
            if isinstance(news, SnapshotReady):
                self.snapshot = news.snapshot
                self._remember(news.snapshot)
            elif isinstance(news, JobsReady):
                self.jobs = news.jobs
            elif isinstance(news, EventsReady):
                self.events.extend(news.events)
            self._taken += 1
            self._news.notify_all()

    def _remember(self, snapshot: FleetSnapshot) -> None:
        now = time.time()
        for vm in snapshot.vms():
            seen = self.history.setdefault(vm.uuid, [])
            if not seen or (seen[-1].host, seen[-1].state) != (vm.host, vm.state):
                seen.append(Seen(now, vm.host, vm.state))

    def wait(self, what: str, ready: Callable[[], T], deadline_s: float = PATIENCE_S) -> T:
        """Wait until ``ready`` gives something true; it is looked at with each piece of news.

        It may ask the engine and wait for the answer: news are taken in meanwhile.
        """
        end = time.monotonic() + deadline_s
        while True:
            seen = self._taken
            found = ready()
            if found:
                return found
            left = end - time.monotonic()
            assert left > 0, f"not within {deadline_s:g} s: {what}\n{self._situation()}"
            with self._news:
                if self._taken == seen:
                    self._news.wait(min(left, 1.0))

    def _situation(self) -> str:
        lines = [
            f"{h.name}: {h.link.state} {h.link.problem or ''} "
            + " ".join(f"{v.name}={v.state}" for v in h.vms)
            for h in self.snapshot.hosts
        ]
        for job in self.jobs[:4]:
            steps = ", ".join(f"{s.step.verb}={s.state}" for s in job.steps)
            lines.append(f"{job.plan.title}: {job.state} {job.outcome} {job.problem} [{steps}]")
        lines += [f"{e.host} {e.vm_name} {e.change} {e.text}" for e in self.events[-10:]]
        return "\n".join(lines)

    def vm(self, uuid: str, *, on: str = "", state: VmState | None = None) -> Vm:
        """Wait until the snapshot shows the VM (there, and in that state)."""

        def shown() -> Vm | None:
            vm = self.snapshot.vm(uuid)
            right = vm is not None and on in ("", vm.host) and state in (None, vm.state)
            return vm if right else None

        vm = self.wait(f"{uuid} {state or 'shown'} on {on or 'any host'}", shown)
        assert vm is not None
        return vm

    def read_anew(self) -> None:
        """Wait until all hosts are read again, files put into pools by hand included."""
        self.engine.refresh()
        poller = self.engine._poller
        hosts = [spec.name for spec in self.specs]
        work = poller.read_anew(hosts, pools=True)
        asyncio.run_coroutine_threadsafe(work, self.engine._loop).result(PATIENCE_S)

    def sees_disk(self, uuid: str) -> Vm:
        """Wait until the snapshot shows the VM with its first disk's volume in a pool."""

        def placed() -> Vm | None:
            vm = self.snapshot.vm(uuid)
            if vm is None or not vm.disks:
                return None
            host = self.snapshot.host(vm.host)
            volumes = {v.path for p in host.pools for v in p.volumes} if host else set()
            return vm if vm.disks[0].kind != "file" or vm.disks[0].source in volumes else None

        self.read_anew()
        vm = self.wait(f"{uuid} is shown with its volume", placed)
        assert vm is not None
        return vm

    def plan(self, action: Action, uuid: str, target: str = "", **options: str) -> Plan:
        """The plan for one request, as the preview would show it.

        On a busy machine a reading may be too old to act on: then, as a person would, it is
        refreshed and asked again.
        """
        plans: list[Plan] = []

        def fresh() -> bool:
            request = Request(action, uuid, target, options)
            plans[:] = self.engine.plan((request,)).result(PATIENCE_S)
            stale = plans[0].refusal is not None and plans[0].refusal.code == "stale"
            if stale:
                self.engine.refresh()
            return not stale

        assert wait_until(fresh, PATIENCE_S, 0.5), plans[0].refusal
        return plans[0]

    def submit(self, action: Action, uuid: str, target: str = "", **options: str) -> str:
        """Plan and run; returns the job's id. The plan must not be refused."""
        plan = self.plan(action, uuid, target, **options)
        assert plan.refusal is None, plan.refusal
        return self.run(plan)

    def run(self, plan: Plan) -> str:
        """Run a plan; returns the job's id."""
        (job_id,) = self.engine.run((plan,)).result(PATIENCE_S)
        return job_id

    def job(self, job_id: str) -> Job | None:
        """The job as last published."""
        return next((j for j in self.jobs if j.id == job_id), None)

    def ended(self, job_id: str) -> Job:
        """Wait for a job's end."""

        def ended() -> Job | None:
            job = self.job(job_id)
            return job if job is not None and job.state.ended else None

        job = self.wait(f"{job_id} has ended", ended)
        assert job is not None
        return job

    def judged(self, job_id: str = "") -> Job:
        """Wait until a dead console's job (the only one, unless named) is judged by the hosts."""

        def judged() -> Job | None:
            job = self.job(job_id) if job_id else next(iter(self.jobs), None)
            settled = job is not None and job.state.ended and not job.facts.get("unread")
            return job if settled else None

        job = self.wait("the interrupted job is judged", judged)
        assert job is not None
        return job

    def do(self, action: Action, uuid: str, target: str = "", **options: str) -> Job:
        """Plan, run and wait for the end."""
        return self.ended(self.submit(action, uuid, target, **options))

    def moving(self, job_id: str) -> Job:
        """Wait until a migration's figures show that memory or disks are being sent."""

        def moving() -> Job | None:
            job = self.job(job_id)
            assert job is None or not job.state.ended, f"it ended too early: {job}"
            return job if job is not None and job.progress and job.progress.done else None

        job = self.wait(f"{job_id} is moving", moving)
        assert job is not None
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancel a job and wait for its end."""
        self.engine.cancel(job_id).result(PATIENCE_S)
        return self.ended(job_id)

    def choose(self, job_id: str, choice: str) -> Job:
        """Take what an ended job offers, and wait for the end of the job that does it."""
        (plan,) = self.engine.followup(job_id, choice).result(PATIENCE_S)
        assert plan.refusal is None, plan.refusal
        return self.ended(self.run(plan))


def running_on(lab: LabFleet, uuid: str) -> list[str]:
    """Names of the hosts that run a VM, as their own daemons say."""
    return [host.name for host in lab.hosts if uuid in host.domains(running=True)]


def defined_on(lab: LabFleet, uuid: str) -> list[str]:
    """Names of the hosts that know a VM."""
    return [host.name for host in lab.hosts if uuid in host.domains()]


def volumes(lab: LabFleet, name: str) -> list[str]:
    """``host:pool/file`` of every disk image of a guest, in whatever pool it lies."""
    found = [
        f"{host.name}:{pool}/{path.name}"
        for host in lab.hosts
        for pool in host.pools()
        for path in host.pool_folder(pool).glob(f"{name}*")
    ]
    return sorted(found)


def sweep(lab: LabFleet, name: str) -> None:
    """Remove copies of a guest's disk that a test left on purpose; its pools know it no more."""
    for host, pool in itertools.product(lab.hosts, lab.hosts[0].pools()):
        for path in host.pool_folder(pool).glob(f"{name}*"):
            path.unlink()
        listed = host.virsh("vol-list", pool, check=False).split()
        if any(word.startswith(name) for word in listed):
            host.virsh("pool-refresh", pool)


def still_counts(lab: LabFleet, name: str, more: int = 3) -> None:
    """The guest goes on writing, and no number it ever wrote is missing from its disk."""
    image = lab.where(name).disk_file(name)
    before = lab.counter(name).newest

    def counted() -> bool:
        return lab.counter(name).newest >= before + more

    assert wait_until(counted, PATIENCE_S, 0.1), f"{name} writes no more: {before} in {image}"
    assert lab.counter(name).lost == ()
