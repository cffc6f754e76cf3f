"""What the audit ledger says of all that is done: before it acts, and how it ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from drivers.errors import DriverError, Failed
from drivers.model.audit import Actor, Deed, Entry
from drivers.model.event import Event, EventKind, Severity
from drivers.model.job import Action, Job, JobState, Plan


class Auditor:
    """Puts deeds on the ledger.

    Args:
        write: Adds an entry, durable on return, or returns the one that tells the same where that
            is to be told once; raises Failed when it cannot.
        actor: Who sits at this console.
        clock: Epoch seconds.
        on_events: Told when an end could not be written.
    """

    def __init__(
        self,
        write: Callable[[Entry, bool], Awaitable[Entry]],
        actor: Actor,
        clock: Callable[[], float],
        on_events: Callable[[tuple[Event, ...]], None],
    ) -> None:
        self.actor = actor
        self._write = write
        self._clock = clock
        self._on_events = on_events

    async def begin(self, entry: Entry) -> None:
        """Say what is about to be done.

        Raises:
            Failed: It could not be written; nothing must be done.
        """
        await self._write(replace(entry, deed=Deed.BEGUN, actor=self.actor), False)

    async def end(self, entry: Entry, *, once: bool = False) -> Entry:
        """Say what became of it; a ledger that cannot take that is told of: the deed stands.

        Args:
            once: What was told of that job under that title before stands.

        Returns:
            What the ledger tells of it.
        """
        now = self._clock()
        told = replace(entry, deed=Deed.ENDED, actor=self.actor, at=now)
        try:
            return await self._write(told, once)
        except Failed as error:
            words = f"{entry.title}: {error.problem.what}"
            host = entry.hosts[0] if entry.hosts else ""
            detail, severity = str(error.problem), Severity.ERROR
            event = Event(now, EventKind.ACTION, host, words, entry.vm, detail=detail)
            self._on_events((replace(event, severity=severity),))
            return told

    @asynccontextmanager
    async def deed(
        self, title: str, hosts: tuple[str, ...], *, job: str = "", commands: tuple[str, ...] = ()
    ) -> AsyncIterator[None]:
        """A deed that is done at once, on the ledger before and after.

        Args:
            job: The job or operation it is about; empty for none.

        Raises:
            Failed: The ledger could not be written; nothing was done.
        """
        entry = Entry(
            Deed.BEGUN, self._clock(), self.actor, title, job, hosts=hosts, commands=commands
        )
        await self.begin(entry)
        short = replace(entry, commands=())
        try:
            yield
        except BaseException as error:
            why = str(error.problem) if isinstance(error, DriverError) else type(error).__name__
            await self.end(replace(short, state=JobState.FAILED.value, outcome=why))
            raise
        await self.end(replace(short, state=JobState.DONE.value))


def begun(job: Job, actor: Actor) -> Entry:
    """The entry that must be durable before a job acts: who, what, and the equivalent commands."""
    plan = job.plan
    return Entry(
        Deed.BEGUN,
        job.created_at,
        actor,
        plan.title,
        job.id,
        plan.request.uuid,
        plan.vm_name,
        _hosts(plan),
        tuple(step.virsh or step.text for step in plan.steps),
        plan=(*(step.text for step in plan.steps), *plan.effects),
    )


def ended(job: Job, actor: Actor, now: float) -> Entry:
    """The entry that tells what became of a job."""
    plan = job.plan
    return Entry(
        Deed.ENDED,
        now,
        actor,
        plan.title,
        job.id,
        plan.request.uuid,
        plan.vm_name,
        _hosts(plan),
        state=job.state.value,
        outcome=" ".join(filter(None, (str(job.problem or ""), job.outcome))),
    )


def _hosts(plan: Plan) -> tuple[str, ...]:
    request = plan.request
    moved = request.action is Action.MIGRATE and request.target
    return (plan.host, request.target) if moved else (plan.host,)
