"""Runs plans as journaled jobs, and takes up what an ended console left behind."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from console.actor import this_actor
from console.jobs.admission import Admission, Planner, busy
from console.jobs.auditing import Auditor, begun, ended
from console.jobs.carry import carry_out
from console.jobs.gates import Gates
from console.jobs.inheritance import Inheritance
from console.jobs.journal import Journal
from console.jobs.reader import FleetReader
from console.jobs.recovery import read_left
from console.jobs.tracing import traced, tracing
from console.jobs.work import ReadAnew, Tools, Work
from console.policy.bounds import BOUNDS, Bounds
from console.policy.plans import make_plan
from console.policy.recovery import DISMISS, FINISH, RECOVER, RETRY, TAKE_OVER, UNDO
from console.policy.recovery_plan import recovery_plan, take_over_plan
from drivers.errors import DriverError, Gone, Refused
from drivers.model.deadletter import RETRIES
from drivers.model.event import Event
from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action, Job, JobState, Plan, Request, StepRun
from drivers.model.migration import Lever
from drivers.protocol import HostDriver
from store.api import Store

_STOP_S = 1.0
"""How long a closing console waits for a managed migration to be aborted cleanly."""


class NoSuchJob(Gone):
    """No job of this id is shown or on record."""


class JobRunner:
    """One console's jobs.

    Args:
        drivers: Host name to driver, shared with the poller.
        store: Holds the journal; its calls block and go through a lane.
        snapshot: The poller's newest picture.
        publish: Called with all jobs, newest first, whenever one changes.
        on_events: Told what began and ended.
        nudge: Asks the poller for an early reading of a host.
        read_anew: Waits for one, before a job is told as ended: what is planned next, from the
            snapshot, must know what the job did.
        clock: Epoch seconds.
        owner: This console, as ``console.jobs.owner`` words it.
        replanner: Makes previews of what failed before, from all that is read and asked anew.
        bounds: How much is done at a time.
        planner: Makes previews; a plan must come out the same again when it is submitted.
        sleep: Waits; replaced in tests.
    """

    def __init__(
        self,
        drivers: Mapping[str, HostDriver],
        store: Store,
        *,
        snapshot: Callable[[], FleetSnapshot],
        publish: Callable[[tuple[Job, ...]], None],
        on_events: Callable[[tuple[Event, ...]], None],
        nudge: Callable[[str], None],
        read_anew: ReadAnew,
        clock: Callable[[], float],
        owner: str,
        bounds: Bounds = BOUNDS,
        planner: Planner | None = None,
        replanner: Planner | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._owner = owner
        self._journal = Journal(store, publish, sleep)
        self.auditor = Auditor(self._journal.audit, this_actor(), clock, on_events)
        known = {name: traced(driver) for name, driver in drivers.items()}
        reader = FleetReader(known)
        self._tools = Tools(known, self._journal, reader, snapshot, nudge, read_anew, clock, sleep)
        self._on_events = on_events
        self._gates = Gates(
            bounds, lambda h: known[h].spec.site if h in known else "", self._memory_of
        )
        self._works: dict[str, Work] = {}
        self._vms: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._inheritance = Inheritance(self._tools, owner)
        self._planner = planner or self._from_snapshot
        self._replanner = replanner or self._planner
        self._admission = Admission(self._tools, owner, self._planner, self._works)
        self._numbers = itertools.count(1)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Jobs of this session and what is known of others', newest first."""
        return self._journal.jobs

    async def submit(self, plan: Plan) -> str:
        """Journal a plan as a job and start it; returns the job's id once it is durable.

        Raises:
            Refused: The plan carries a refusal, or is not what its preview showed.
            Busy: A job of this VM runs already, here or in another console.
            Failed: The journal cannot be written.
        """
        uuid = plan.request.uuid
        holder = self._journal.get(self._vms.get(uuid, ""))
        if uuid in self._vms and (holder is None or not holder.state.ended):
            raise busy(plan, "in this console")
        job_id = self._new_id("job")
        job = Job(
            job_id,
            plan,
            JobState.PENDING,
            tuple(StepRun(step) for step in plan.steps),
            owner=self._owner,
            created_at=self._tools.clock(),
        )
        self._vms[uuid] = job_id
        work = Work(self._tools, job_id)
        try:
            with tracing(work.trace), work.trace.span("checks"):
                beside = await self._admission.admit(plan)
            await self.auditor.begin(begun(job, self.auditor.actor))
            await self._begin(job, beside)
        except BaseException:
            del self._vms[uuid]
            raise
        self._works[job_id] = work
        if origin := plan.request.options.get(RETRIES, ""):
            await self._inheritance.settle(origin, f"tried again as {job_id}")
        task = asyncio.create_task(self._run(work), name=job_id)
        self._tasks[job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job_id, None))
        return job_id

    async def _begin(self, job: Job, beside: tuple[str, ...]) -> None:
        """Journal a new job; where that is refused the ledger tells that nothing was done."""
        try:
            await self._journal.begin(job, beside)
        except DriverError as error:
            outcome = f"Nothing was done: {error.problem.what}."
            await self._audit_end(replace(job, state=JobState.CANCELLED, outcome=outcome))
            raise

    async def cancel(self, job_id: str) -> None:
        """Ask a running job to stop; where it stands then arrives as news."""
        work = self._works.get(job_id)
        if work is not None:
            if work.cockpit is not None and work.cockpit.switched:
                raise Refused(
                    f"{work.name} runs on its target already",
                    proof="it was switched to post-copy: neither host alone has all its memory",
                    fix="wait until the rest has followed",
                )
            work.cancelled.set()
            return
        job = self._journal.get(job_id)
        if job is None:
            raise NoSuchJob("there is no such job", proof=job_id)
        if not job.state.ended:
            raise Refused(
                "that job belongs to another console",
                proof=f"owner {job.owner}",
                fix="cancel it there",
            )

    async def pull(self, job_id: str, lever: Lever, value: float) -> None:
        """Pull a lever of a running migration; its effect arrives as news.

        Args:
            value: What to set it to; 0 for what is offered.

        Raises:
            Refused: Nothing migrates in this job now, or the lever cannot be pulled.
        """
        work = self._works.get(job_id)
        if work is None or work.cockpit is None:
            raise Refused(
                "this job has no levers now",
                proof="levers are pulled in the console that runs the migration, while it runs",
            )
        work.cockpit.want(lever, value, self.auditor.actor.name)

    async def recover(self) -> tuple[Job, ...]:
        """Read the journal for unfinished jobs; those of dead consoles are re-read and offered.

        Jobs of a console that lives are shown and not touched. Hosts that do not answer yet are
        asked again in the background until they do.
        """
        return await self._inheritance.take()

    async def followup(self, job_id: str, choice: str) -> tuple[Plan, ...]:
        """The plan for what an ended job offers; none when nothing needs a preview.

        Raises:
            NoSuchJob: Of this id, on screen or on record.
            Refused: The job does not offer that.
        """
        job = await self._recorded(job_id)
        if choice not in job.followup and job.facts.get("unread"):
            job = await self._inheritance.read_again(job)
        if choice not in job.followup:
            offered = ", ".join(job.followup) or "nothing"
            raise Refused(f"this job does not offer {choice}", proof=f"it offers: {offered}")
        if choice == DISMISS:
            title, hosts = f"Dismiss: {job.plan.title}", (job.plan.host,)
            words = (f"novacron jobs dismiss {job_id}",)
            async with self.auditor.deed(title, hosts, job=job_id, commands=words):
                await self._inheritance.settle(job_id)
            return ()
        now = self._tools.clock()
        plan_id = self._new_id(choice)
        if choice == TAKE_OVER:
            return (take_over_plan(job, now=now, plan_id=plan_id),)
        if choice in (FINISH, UNDO, RECOVER):
            left = await read_left(self._tools, job)
            specs = {name: driver.spec for name, driver in self._tools.drivers.items()}
            return (recovery_plan(job, choice, left, specs, now=now, plan_id=plan_id),)
        request = job.plan.request
        if choice != RETRY:
            request = Request(Action(choice), request.uuid)
        options = {**request.options, RETRIES: job_id}
        return await self._replanner((replace(request, options=options),))

    def learn(self, jobs: Iterable[Job]) -> None:
        """Show ended jobs as the history holds them, of whatever console; known ones stay."""
        for job in jobs:
            if job.state.ended and self._journal.get(job.id) is None:
                self._journal.show(job)

    async def _recorded(self, job_id: str) -> Job:
        """A job that is shown, or that the journal holds; NoSuchJob when there is none."""
        shown = self._journal.get(job_id)
        if shown is not None:
            return shown
        found = next((j for j in await self._journal.recorded() if j.id == job_id), None)
        if found is None:
            raise NoSuchJob("there is no such job", proof=job_id)
        self._journal.show(found)
        return found

    async def stop(self) -> None:
        """Let go within about a second, losing nothing.

        A peer-to-peer migration and a block copy go on in their hosts; a managed migration, which
        cannot live without us, is aborted cleanly. All stay open in the journal, where the next
        console finds them.
        """
        await self._inheritance.stop()
        managed = []
        for job_id, work in self._works.items():
            if work.facts.get("mode") == "managed" and work.facts.get("phase") == "migrating":
                work.leaving = True
                work.cancelled.set()
                managed.append(self._tasks[job_id])
        if managed:
            await asyncio.wait(managed, timeout=_STOP_S)
        running = list(self._tasks.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._journal.close()

    async def _run(self, work: Work) -> None:
        try:
            async with self._gates.passing(work.job.plan, work.cancelled):
                await carry_out(work, self._on_events)
            await self._audit_end(work.job)
            if work.job.state is JobState.DONE:
                for origin in filter(None, work.facts.get("origin", "").split(",")):
                    words = f"settled by {work.job_id}: {work.job.outcome}"
                    await self._inheritance.settle(origin, words)
        finally:
            self._works.pop(work.job_id, None)
            if self._vms.get(work.uuid) == work.job_id:
                del self._vms[work.uuid]

    async def _from_snapshot(self, requests: tuple[Request, ...]) -> tuple[Plan, ...]:
        """Plans from the poller's newest picture alone."""
        snapshot, now = self._tools.snapshot(), self._tools.clock()
        return tuple(
            make_plan(snapshot, request, now=now, plan_id=self._new_id("plan"))
            for request in requests
        )

    async def _audit_end(self, job: Job) -> None:
        await self.auditor.end(ended(job, self.auditor.actor, self._tools.clock()))

    def _memory_of(self, uuid: str) -> int | None:
        vm = self._tools.snapshot().vm(uuid)
        return vm.memory if vm is not None else None

    def _new_id(self, kind: str) -> str:
        """Unique among all consoles of this journal: time, process id and a number."""
        pid = self._owner.rpartition("@")[2].split(":")[1:2]
        millis = int(self._tools.clock() * 1000)
        return "-".join((kind, f"{millis:x}", *pid, str(next(self._numbers))))
