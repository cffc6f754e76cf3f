"""The command that a failure names is one that its job takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from console.headless.failed import OFFERS
from console.jobs.carry import _again
from console.jobs.cleanup import After
from drivers.model.job import Action, Job, JobState, Plan, Request

PLAN = Plan("p", Request(Action.MIGRATE, "u", "kvm2"), "web1", "kvm1", 1.0, "Migrate web1")
WORK = SimpleNamespace(name="web1", job=Job("job-1", PLAN))
OPEN = JobState.INTERRUPTED


@pytest.mark.parametrize(
    ("state", "offered", "command"),
    [
        (None, ("retry", "dismiss"), "novacron migrate web1 --to kvm2"),
        (OPEN, ("undo", "retry", "dismiss"), "novacron migrate web1 --to kvm2"),
        (OPEN, ("finish", "undo", "dismiss"), "novacron jobs finish job-1"),
        (OPEN, ("finish", "dismiss"), "novacron jobs finish job-1"),
        (OPEN, ("recover", "dismiss"), "novacron jobs recover job-1"),
        (OPEN, ("force-off", "dismiss"), ""),
        (OPEN, ("dismiss",), ""),
    ],
)
def test_what_is_open_is_gone_on_with_and_not_begun_anew(
    state: JobState | None, offered: tuple[str, ...], command: str
) -> None:
    found = _again(WORK, After("told.", offered, state))  # type: ignore[arg-type]
    assert found == command
    words = found.split()
    if words[1:2] == ["jobs"]:
        assert words[2] in OFFERS
        assert words[2] in offered
