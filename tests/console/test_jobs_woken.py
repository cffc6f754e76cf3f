"""A guest that an ended migration left paused is resumed, unless its host was faster."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from console.jobs.migrating import resume_if_paused
from console.policy.truth import Sighting
from drivers.errors import Refused
from drivers.model.vm import Vm, VmState
from tests.policy.fleet import vm

LEFT = replace(vm(VmState.PAUSED), reason="migrating")


def work(now: Vm | None) -> Any:
    """A job whose host refuses to resume, and shows the VM so afterwards."""

    async def resume(_uuid: str) -> None:
        raise Refused("web1 could not be resumed", "domain is already running")

    async def see() -> Sighting:
        return Sighting("kvm1", now)

    driver = SimpleNamespace(resume=resume)
    return SimpleNamespace(facts={}, uuid=LEFT.uuid, see=see, driver=lambda: driver)


async def test_one_that_its_host_let_run_meanwhile_counts_as_resumed() -> None:
    runs = replace(LEFT, state=VmState.RUNNING, reason="migration cancelled")
    assert await resume_if_paused(work(runs), Sighting("kvm1", LEFT))


@pytest.mark.parametrize("now", [LEFT, None])
async def test_one_that_still_stands_is_told(now: Vm | None) -> None:
    with pytest.raises(Refused, match="could not be resumed"):
        await resume_if_paused(work(now), Sighting("kvm1", LEFT))
