"""What all operations of one console share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from console.jobs.auditing import Auditor
from console.operations.book import OperationBook
from console.operations.hands import Hands
from console.operations.leases import LeaseDesk
from console.policy.drain.fits import Fits, fits_in
from console.policy.drain.rules import with_groups
from console.policy.preflight.grounds import Grounds, Rules
from drivers.model.event import Event
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import LinkState
from drivers.model.job import Job, Plan

_FRESH_S = 12.0
"""How long hosts are given to be read anew before a step."""

STEP_AGE_S = 15.0
"""How old an answer may be that a step is judged by: a login from host to host costs as much as the
beginning of a migration. Readings and definitions of guests are at most a few seconds old."""

PLAN_AGE_S = 60.0
"""How old it may be for a plan that a person looks at first."""

LOOK_S = 0.2
"""Seconds between two looks at whether what is waited for has come."""

_ANSWERS = (LinkState.UP, LinkState.DEGRADED)


class Jobs(Protocol):
    """The job runner, as operations use it."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Jobs of this session and what is known of others'."""
        ...

    async def submit(self, plan: Plan) -> str:
        """Journal a plan as a job and start it."""
        ...

    async def cancel(self, job_id: str) -> None:
        """Ask a running job to stop."""
        ...

    async def recover(self) -> tuple[Job, ...]:
        """Take up what dead consoles left."""
        ...

    async def followup(self, job_id: str, choice: str) -> tuple[Plan, ...]:
        """The plan for what an ended job offers."""
        ...


class Gather(Protocol):
    """Asks hosts about guests and each other; ``EvidenceDesk.grounds``."""

    def __call__(
        self, uuids: Sequence[str], targets: Sequence[str], *, age_s: float
    ) -> Awaitable[Grounds]:
        """What these VMs against these hosts are judged by, from answers of so many seconds ago."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """Hosts, jobs, records and clock.

    Attributes:
        read: The poller's newest picture.
        nudge: Asks the poller for an early reading of a host.
        gather: What a snapshot cannot tell, as single migrations are judged by it too.
        owner: This console.
        actor: Who sits at it, ``user@machine``.
        leases: Keep other consoles off the hosts of an operation.
        auditor: Puts on the ledger what is done.
        hands: Commands on hosts, for upgrades.
    """

    book: OperationBook
    jobs: Jobs
    read: Callable[[], FleetSnapshot]
    nudge: Callable[[str], None]
    gather: Gather
    on_events: Callable[[tuple[Event, ...]], None]
    rules: Rules
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    owner: str
    actor: str
    leases: LeaseDesk
    auditor: Auditor
    hands: Hands

    def snapshot(self) -> FleetSnapshot:
        """The newest picture, with configured groups as tags."""
        return with_groups(self.read(), self.rules.groups)

    async def grounds(
        self,
        uuids: Sequence[str],
        targets: Sequence[str],
        home: str = "",
        *,
        age_s: float = STEP_AGE_S,
    ) -> Grounds:
        """What migrations are judged by, asked of the hosts; ``home`` counts as not cordoned."""
        found = await self.gather(uuids, targets, age_s=age_s)
        return replace(found, cordoned={h: w for h, w in self.book.cordoned.items() if h != home})

    def fits(self, snapshot: FleetSnapshot, grounds: Grounds) -> Fits:
        """Whether a VM could run on a host."""
        return fits_in(snapshot, now=self.clock(), grounds=grounds)

    async def fresh(self, hosts: Iterable[str], since: float | None = None) -> FleetSnapshot:
        """A picture in which these hosts were read after ``since``, as far as they answer.

        Args:
            since: Console clock; None for now.
        """
        began, wanted = self.clock(), set(hosts)
        since = began if since is None else since
        nudged = False
        while self.clock() - began < _FRESH_S:
            snapshot = self.snapshot()
            late = [
                h.name for h in snapshot.hosts
                if h.name in wanted and h.link.state in _ANSWERS and h.slow_at < since
            ]  # fmt: skip
            if not late:
                return snapshot
            for host in () if nudged else late:
                self.nudge(host)
            nudged = True
            await self.sleep(LOOK_S)
        return self.snapshot()
