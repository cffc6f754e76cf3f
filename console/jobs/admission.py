"""May a plan become a job now: it is what the preview showed, and no other job holds its VM."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container

from console.jobs.owner import owner_alive
from console.jobs.recovery import read_left
from console.jobs.work import Tools
from console.policy.changes import CHANGED, change_since
from console.policy.recovery_plan import recovery_plan
from console.policy.verbs import Verb
from drivers.errors import Busy, Refused
from drivers.model.job import Job, Plan, Request, Step
from drivers.model.problem import Problem

Planner = Callable[[tuple[Request, ...]], Awaitable[tuple[Plan, ...]]]


class Changed(Refused):
    """A plan is not what its preview showed; a fresh preview may be."""

    code = CHANGED


class Admission:
    """The one door between previews and jobs, for the console and the command line alike.

    Args:
        tools: What all jobs share.
        owner: This console.
        planner: Answers requests from what is known now, as previews do.
        running: Ids of the jobs this console carries out.
    """

    def __init__(self, tools: Tools, owner: str, planner: Planner, running: Container[str]) -> None:
        self._tools = tools
        self._owner = owner
        self._planner = planner
        self._running = running

    async def admit(self, plan: Plan) -> tuple[str, ...]:
        """Let a plan pass; returns the ids of unfinished jobs of its VM that do not hinder it.

        Raises:
            Refused: It carries a refusal.
            Changed: It is not what its preview showed.
            Busy: A job of this VM runs already, here or in another console.
        """
        if plan.refusal is not None or not plan.steps:
            problem = plan.refusal or Problem("this plan has no steps")
            raise Refused(problem.what, problem.proof, problem.fix)
        beside = await self._beside(plan)
        change = await self._change(plan)
        if change is not None:
            raise Changed(change.what, change.proof, change.fix)
        return beside

    async def _beside(self, plan: Plan) -> tuple[str, ...]:
        taken = plan.steps[0].args["origin"] if plan.steps[0].verb == Verb.TAKE_OVER else ""
        found = []
        for job in await self._tools.journal.unfinished():
            if job.plan.request.uuid != plan.request.uuid:
                continue
            if self._holds(job) and job.id != taken:
                where = "in this console" if job.owner == self._owner else f"in {job.owner}"
                raise busy(plan, where)
            found.append(job.id)
        return tuple(found)

    def _holds(self, job: Job) -> bool:
        """Whether an unfinished job may still act; one of ours that never began does not."""
        if job.owner == self._owner:
            return job.id in self._running
        return owner_alive(job.owner) is not False

    async def _change(self, plan: Plan) -> Problem | None:
        first, now = plan.steps[0], self._tools.clock()
        if first.verb == Verb.TAKE_OVER:
            job = await self._recorded(first)
            return None if job is not None and not job.state.ended else _settled(plan)
        if first.verb == Verb.ADOPT:
            job = await self._recorded(first)
            choice = first.args["choice"]
            if job is None or choice not in job.followup:
                return _settled(plan)
            left = await read_left(self._tools, job)
            specs = {name: driver.spec for name, driver in self._tools.drivers.items()}
            fresh = recovery_plan(job, choice, left, specs, now=now, plan_id=plan.id)
        else:
            (fresh,) = await self._planner((plan.request,))
        return change_since(plan, fresh, now=now)

    async def _recorded(self, step: Step) -> Job | None:
        """The job a step takes over, as the journal holds it now: others may have settled it."""
        ident = step.args["origin"].rpartition(",")[2]
        found = (job for job in await self._tools.journal.recorded() if job.id == ident)
        return next(found, self._tools.journal.get(ident))


def busy(plan: Plan, where: str) -> Busy:
    """The refusal of a second job of one VM."""
    return Busy(
        f"a job of {plan.vm_name} is already under way",
        proof=where,
        fix="wait for it, or cancel it; Jobs shows it, and what is offered where its console ended",
    )


def _settled(plan: Plan) -> Problem:
    return Problem(
        f"{plan.title}: that job has ended or been settled meanwhile",
        proof="read from the journal just now",
        fix="look at Jobs",
        code=CHANGED,
    )
