"""What a migration took, journaled at its end, and what later estimates make of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime

from console.jobs.work import Work
from console.policy.preflight.grounds import Bandwidth
from console.policy.sizes import size_words
from drivers.errors import DriverError
from drivers.model.job import Action, Job, JobState
from drivers.model.migration import Figures
from drivers.model.vm import JobProgress

_LEAST_S = 1.0
_LEAST_BYTES = 4 << 20
"""What was over sooner, or sent less, tells of its own beginnings and not of the link."""

_NEWEST = 5
"""Migrations of a link that its estimate is made of."""


async def remember_figures(work: Work, target: str) -> str:
    """Journal what the target's daemon kept of it; the same in words, empty where it told nothing.

    Never raises for a host that does not answer: the migration itself is done.
    """
    try:
        last = await work.driver(target).job_progress(work.uuid, ended=True)
    except DriverError:
        return ""
    found = figures_of(last, work.now(), int(work.facts.get("cap_mib", "0") or 0))
    if found is None:
        return ""
    await work.remember(figures=json.dumps(asdict(found), sort_keys=True))
    return _words(found)


def figures_of(last: JobProgress | None, now: float, cap_mib: int) -> Figures | None:
    """The figures of a job that has ended; None where it told no bytes or no time."""
    if last is None or not last.done or not last.started_at:
        return None
    seconds = max(0.001, last.at - last.started_at)
    return Figures(
        now,
        round(seconds, 3),
        last.done,
        round(last.done / seconds, 1),
        last.downtime_ms,
        last.dirty_bps,
        last.iteration,
        cap_mib,
    )


def _words(found: Figures) -> str:
    told = f"{size_words(found.bytes)} in {found.seconds:.1f} s"
    if found.downtime_ms is not None:
        told += f", standstill {found.downtime_ms:.0f} ms"
    return told


def read_figures(job: Job) -> Figures | None:
    """What a job's journal says that its migration took; None where it says nothing."""
    try:
        return Figures(**json.loads(job.facts.get("figures", "null")))
    except (ValueError, TypeError):
        return None  # there are none, or another version wrote them


class Paces:
    """How fast migrations went, by source and target, whoever carried them out."""

    def __init__(self) -> None:
        self._past: dict[tuple[str, str], dict[str, Figures]] = {}
        """The newest of each link by job, oldest first; what is older tells nothing more."""

    def take(self, jobs: Iterable[Job]) -> None:
        """Look at jobs as they are published, and at those the journal holds."""
        for job in jobs:
            if job.state is not JobState.DONE or job.plan.request.action is not Action.MIGRATE:
                continue
            pair = (job.plan.host, job.plan.request.target)
            past = self._past.get(pair, {})
            if job.id in past or _is_older(job, past):
                continue
            found = read_figures(job)
            if found is None or found.seconds < _LEAST_S or found.bytes < _LEAST_BYTES:
                continue
            if found.capped_mib or job.facts.get("mode") == "offline":
                continue
            known = sorted(
                {**past, job.id: found}.items(), key=lambda one: (one[1].ended_at, one[0])
            )
            self._past[pair] = dict(known[-_NEWEST:])

    def bandwidth(self) -> dict[tuple[str, str], Bandwidth]:
        """The median of the last few between each two hosts, with its day and number."""
        return {pair: _median(list(past.values())) for pair, past in self._past.items()}


def _is_older(job: Job, past: dict[str, Figures]) -> bool:
    """Whether a job ended before all that are kept, so that it need not be read."""
    if len(past) < _NEWEST or job.ended_at is None:
        return False
    return job.ended_at < next(iter(past.values())).ended_at


def _median(past: list[Figures]) -> Bandwidth:
    rates = sorted(one.rate_bps for one in past)
    newest = past[-1].ended_at
    day = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d")
    count = f"{len(past)} migration{'s' * (len(past) != 1)}"
    return Bandwidth(rates[len(rates) // 2], f"measured on {day} from {count}", newest)
