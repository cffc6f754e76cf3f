"""What cannot be read is never taken for an end."""

from __future__ import annotations

import pytest

from console.jobs.migrating import settle
from console.policy.truth import Sighting, Whereabouts
from drivers.errors import Gone, TimedOut, Unsupported
from drivers.model.vm import JobProgress, Vm, VmState


class _Source:
    """A source host whose answer about the migration job is always the same."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def job_progress(self, uuid: str, *, ended: bool = False) -> JobProgress | None:
        if self._error:
            raise self._error
        return None


class _Work:
    """A job of a VM that runs on kvm1; time passes with each pause."""

    host, uuid = "kvm1", "u"

    def __init__(self, error: Exception | None) -> None:
        self._source = _Source(error)
        self._now = 0.0

    def driver(self) -> _Source:
        return self._source

    async def see(self, host: str = "kvm1") -> Sighting:
        vm = Vm("u", "web1", "kvm1", VmState.RUNNING) if host == "kvm1" else None
        return Sighting(host, vm)

    def now(self) -> float:
        return self._now

    async def pause(self) -> None:
        self._now += 0.4


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (None, Whereabouts.SOURCE),
        (Gone("domain not found"), Whereabouts.SOURCE),
        (Unsupported("no job statistics"), Whereabouts.SOURCE),
        (TimedOut("no answer in 5 s"), Whereabouts.UNKNOWN),
    ],
)
async def test_a_job_that_cannot_be_read_is_not_over(error, where):
    """A migration whose source does not answer about it is told as unknown, not as ended."""
    found, *_ = await settle(_Work(error), "kvm2")  # type: ignore[arg-type]
    assert found is where
