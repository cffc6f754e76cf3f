"""What a source that died at the end of a migration still knows is settled by its operation."""

from __future__ import annotations

from drivers.model.job import JobState
from drivers.model.operation import Operation, OperationState
from tests.console.opsworld import OpsConsole, OpsWorld, fleet, until


async def source_lost_in_mid_move(vms: int) -> tuple[OpsWorld, OpsConsole, str]:
    """A drain whose source died before it forgot what has left it."""
    world = fleet(vms)
    world.forgets = False
    console = OpsConsole(world)
    plan = await console.operations.plan_drain("kvm1")
    ident = await console.operations.start(plan)
    await until(lambda: bool(world.moves))
    world.lose("kvm1")
    await until(lambda: any(j.state is JobState.INTERRUPTED for j in console.jobs.jobs))
    return world, console, ident


async def goes_on(world: OpsWorld, console: OpsConsole, ident: str) -> Operation:
    """Its end; where it has asked a person what to do by now, that person lets it go on."""
    while not (operation := await console.ended(ident)).state.ended:
        await console.operations.resume(ident)
        await until(lambda: world.operations[ident].state is not OperationState.PAUSED)
    return operation


async def test_what_arrived_is_forgotten_once_its_source_answers():
    """The operation ends when that is done, and leaves nothing for a person to do.

    A second VM was to move when the source died, and never began to: nothing is left to follow.
    """
    world, console, ident = await source_lost_in_mid_move(4)
    world.down.clear()
    operation = await goes_on(world, console, ident)
    assert operation.state is OperationState.DONE, [(r.state, r.note) for r in operation.runs]
    known = [(host, uuid) for host, uuid in world.domains if host == "kvm1"]
    assert known == [], [(j.plan.title, j.state, j.outcome) for j in console.jobs.jobs]
    open_ = [j for j in console.jobs.jobs if j.state is JobState.INTERRUPTED and j.followup]
    assert open_ == []
    assert all(j.state.ended for j in console.jobs.jobs)
    assert "taken back" not in operation.outcome
    assert set(world.arrivals.values()) == {1}
    await console.close()


async def test_a_source_that_stays_silent_is_named_at_the_end():
    """A person learns which host may still know what runs elsewhere."""
    _world, console, ident = await source_lost_in_mid_move(1)
    operation = await console.ended(ident)
    assert operation.state is OperationState.DONE
    told = "what web0 left on kvm1 is to be taken back once that answers: Jobs offers it"
    assert told in operation.outcome
    await console.close()
