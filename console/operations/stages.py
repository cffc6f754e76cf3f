"""The stages of an upgrade, as they are recorded."""

from __future__ import annotations

from dataclasses import replace

from console.operations.record import Record
from console.operations.tools import Desk
from console.policy.upgrade.lines import configured_line
from console.policy.upgrade.order import of_host
from drivers.errors import Refused
from drivers.model.operation import Operation, StageRun, UpgradePlan


def upgrade_of(operation: Operation) -> UpgradePlan:
    """The upgrade that an operation is."""
    if operation.plan.upgrade is None:
        raise TypeError(f"{operation.id} is no upgrade")
    return operation.plan.upgrade


def line_to_run(desk: Desk, operation: Operation, told: str) -> str:
    """The line that was told of, with the secrets that are configured and not recorded.

    Raises:
        Refused: The fleet file does not have that line any more.
    """
    rules = upgrade_of(operation).rules
    line = configured_line(told, desk.hands.rules.get(rules.name))
    if line is None:
        what = f"the secret of this line is not recorded, and the fleet file lacks the line: {told}"
        table = f"[upgrades.{rules.name}]" if rules.name else "[upgrade]"
        raise Refused(what, table, "resume with the fleet file that has it, or skip this step")
    return line


async def put_stage(record: Record, run: StageRun) -> None:
    """Replace the stage of that id, durably."""

    def put(operation: Operation) -> Operation:
        stages = tuple(run if r.stage.id == run.stage.id else r for r in operation.stages)
        return replace(operation, stages=stages)

    await record.change(put)


def drain_run(operation: Operation, host: str) -> StageRun:
    """The first stage of a host: what was true before anything was done to it."""
    return of_host(operation.stages, host)[0]
