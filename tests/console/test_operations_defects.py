"""A defect of the console itself: the operation waits for a person, and says why."""

from __future__ import annotations

from collections.abc import Sequence

from console.policy.preflight.grounds import Grounds
from drivers.model.operation import Operation, OperationState
from tests.console.opsworld import OpsConsole, fleet, until


class Defective(OpsConsole):
    """A console whose steps fail in itself as long as ``broken``."""

    broken = False

    async def gather(
        self, uuids: Sequence[str], targets: Sequence[str], *, age_s: float
    ) -> Grounds:
        if self.broken:
            raise TypeError("two were given")
        return await super().gather(uuids, targets, age_s=age_s)


async def paused_by_a_defect(console: Defective) -> Operation:
    """A drain of kvm1 whose console fails before its first move."""
    plan = await console.operations.plan_drain("kvm1", {})
    console.broken = True
    ident = await console.operations.start(plan)
    await until(lambda: not console.operations.drives(ident))
    console.broken = False
    return console.world.operations[ident]


async def test_it_is_paused_with_the_reason_and_goes_on_when_resumed():
    """Not for ever running with nobody who drives it."""
    console = Defective(fleet(2))
    operation = await paused_by_a_defect(console)
    assert operation.state is OperationState.PAUSED
    assert operation.problem is not None
    assert operation.problem.what == "the console itself failed"
    assert "two were given" in operation.problem.proof
    assert "resume or cancel" in operation.problem.fix
    assert console.world.leases == {}
    await console.operations.resume(operation.id)
    ended = await console.ended(operation.id)
    assert ended.state is OperationState.DONE
    assert ended.problem is None
    await console.close()


async def test_it_can_be_cancelled_instead():
    """Nothing moves any more, and nothing is left waiting."""
    console = Defective(fleet(2))
    operation = await paused_by_a_defect(console)
    await console.operations.cancel(operation.id)
    await until(lambda: not console.operations.drives(operation.id))
    assert console.world.operations[operation.id].state is OperationState.CANCELLED
    assert set(console.world.where().values()) == {"kvm1"}
    await console.close()
