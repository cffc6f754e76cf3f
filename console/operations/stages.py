"""The stages of an upgrade, as they are recorded."""

from __future__ import annotations

from dataclasses import replace

from console.operations.record import Record
from console.policy.upgrade.order import of_host
from drivers.model.operation import Operation, StageRun, UpgradePlan


def upgrade_of(operation: Operation) -> UpgradePlan:
    """The upgrade that an operation is."""
    if operation.plan.upgrade is None:
        raise TypeError(f"{operation.id} is no upgrade")
    return operation.plan.upgrade


async def put_stage(record: Record, run: StageRun) -> None:
    """Replace the stage of that id, durably."""

    def put(operation: Operation) -> Operation:
        stages = tuple(run if r.stage.id == run.stage.id else r for r in operation.stages)
        return replace(operation, stages=stages)

    await record.change(put)


def drain_run(operation: Operation, host: str) -> StageRun:
    """The first stage of a host: what was true before anything was done to it."""
    return of_host(operation.stages, host)[0]
