"""A drain of real guests into which faults are thrown, and what must be true after each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import libvirt

from console.policy.recovery import FINISH, UNDO
from drivers.lab.model import TINY_POOL
from drivers.lab.processes import wait_until
from drivers.model.job import Action, JobState
from drivers.model.operation import MoveState, Operation, OperationState
from drivers.model.vm import VmState
from tests.lab.e2e_console import PATIENCE_S, defined_on, running_on, volumes
from tests.lab.faults_kinds import Shown, Strike
from tests.lab.faults_scene import HOME, VICTIM, Scene, Upkeep, watching


def reach_phase(scene: Scene, console: Upkeep, phase: str, ident: str) -> None:
    """Wait until a drain that was begun has come to ``perform``, ``finish`` or ``between``."""
    if phase == "perform":

        def moving() -> bool:
            jobs = [j for j in console.jobs if j.plan.request.uuid == scene.victim]
            live = [j for j in jobs if j.plan.request.action is Action.MIGRATE and j.progress]
            return any(j.progress is not None and j.progress.done for j in live)

        console.wait("the victim's memory or disk travels", moving)
    elif phase == "finish":
        with watching(scene.host(HOME), scene.victim) as state:
            scene.release()
            running = libvirt.VIR_DOMAIN_RUNNING
            assert wait_until(lambda: state() != running, PATIENCE_S, 0.001)
    elif phase == "between":

        def first_done() -> bool:
            done = console.known(ident) and [
                r for r in console.operation(ident).runs if r.state is MoveState.DONE
            ]
            return bool(done)

        console.wait("one guest has arrived", first_done)


def drain(
    scene: Scene, console: Upkeep, phase: str, strike: Strike, *, hold: tuple[str, ...] = (VICTIM,)
) -> tuple[str, str]:
    """Begin a drain of kvm1 and let the fault strike at that phase.

    Returns:
        The operation's id, and where the victim was to go.
    """
    maintenance = console.engine.maintenance
    scene.hold(*hold)
    plan = maintenance.plan_drain(HOME, scene.others(), {}).result(PATIENCE_S)
    assert plan.refusal is None, plan.refusal
    assert not plan.undecided, plan.undecided
    target = next(m.target for m in plan.moves if m.uuid == scene.victim)
    if phase == "before":
        strike(scene, target)
    ident = maintenance.start(plan).result(PATIENCE_S)
    if phase != "before":
        reach_phase(scene, console, phase, ident)
        strike(scene, target)
    scene.release()
    return ident, target


def tells(console: Upkeep, ident: str) -> bool:
    """Whether it ended, waits for a person, or says which host keeps a migration waiting."""
    operation = console.operation(ident)
    waits = [
        r for r in operation.runs if r.state is MoveState.RUNNING and "cannot be read" in r.note
    ]
    asks = operation.state is OperationState.PAUSED and operation.problem is not None
    return operation.state.ended or asks or bool(waits)


def settled(scene: Scene, console: Upkeep, ident: str, shown: Shown, target: str) -> None:
    """The drain went on or stopped with a reason, and the console shows what broke."""

    def told() -> bool:
        scene.hurry()
        return tells(console, ident)

    console.wait("it has settled, or says what it waits for", told)
    explained(console.operation(ident))
    console.wait(f"what broke is shown of {target}", lambda: shown(console.snapshot, target))


def resumed(scene: Scene, console: Upkeep, ident: str) -> Operation:
    """Mend all; an operation that waited for that goes on to its end."""
    scene.mend()
    scene.release()
    console.settled()
    operation = console.settles(ident, scene.hurry)
    for _ in range(3):
        if operation.state is not OperationState.PAUSED:
            break
        obeyed(scene, console, operation)
        console.engine.maintenance.resume(ident).result(PATIENCE_S)

        def goes_on() -> bool:
            return console.operation(ident).state is not OperationState.PAUSED

        console.wait(f"{ident} goes on", goes_on)
        operation = console.settles(ident, scene.hurry)
    return operation


def obeyed(scene: Scene, console: Upkeep, operation: Operation) -> None:
    """Do what a person is asked for besides mending: libvirtd can hold a broken migration's job.

    Until then nobody is lost or doubled: what it holds stands still where it was.
    """
    explained(operation)
    if not any(f"libvirtd on {HOME} hangs, restart it" in run.note for run in operation.runs):
        return
    for name, uuid in scene.guests.items():
        assert len(running_on(scene.lab, uuid)) == 1, name
    scene.lab.host(HOME).libvirtd_kill()
    scene.lab.host(HOME).libvirtd_start()
    console.settled()


def explained(operation: Operation) -> None:
    """It ended, or it says which VM waits for what; every move that is not done says why."""
    if operation.state is OperationState.PAUSED:
        assert operation.problem is not None
        assert "cannot go on: " in operation.problem.what, operation.problem
        assert operation.problem.fix
    for run in operation.runs:
        if run.state in (MoveState.BLOCKED, MoveState.FAILED, MoveState.DROPPED):
            assert run.note, run


def check_truth(
    scene: Scene, console: Upkeep, operation: Operation, crashed: Mapping[str, str] = {}
) -> None:
    """Nobody lost, doubled or misreported, and no file or definition left behind.

    Args:
        crashed: Guests whose own QEMU was killed: UUID to the host they crashed on.
    """
    for name, uuid in scene.guests.items():
        where = running_on(scene.lab, uuid)
        assert len(where) == (uuid not in crashed), (name, where)
        home = crashed.get(uuid) or where[0]
        shows(console, name, uuid, home, crashed=uuid in crashed)
        run = next(r for r in operation.runs if r.move.uuid == uuid)
        told = (name, home, run.state, run.note)
        if uuid in crashed:
            assert run.state is not MoveState.DONE or home == run.move.target, told
        else:
            assert (run.state is MoveState.DONE) is (home == run.move.target), told
        assert defined_on(scene.lab, uuid) == [home], told
        places = {HOME, home} if name == VICTIM else set()  # what was copied is kept where it was
        images = sorted(f"{place}:{TINY_POOL}/{VICTIM}.raw" for place in places)
        assert volumes(scene.lab, name) == images, told


def shows(console: Upkeep, name: str, uuid: str, home: str, *, crashed: bool) -> None:
    """Wait until the snapshot has the VM where it is, as it is."""
    states = (VmState.CRASHED, VmState.OFF) if crashed else (VmState.RUNNING,)

    def shown() -> bool:
        vm = console.snapshot.vm(uuid)
        return vm is not None and vm.host == home and vm.state in states

    console.wait(f"{name} is shown {states} on {home}", shown)


@contextmanager
def console_over(scene: Scene, folder: Path) -> Iterator[Upkeep]:
    """A console that has read every host."""
    folder.mkdir(exist_ok=True)
    with Upkeep(scene.lab, folder) as console:
        console.settled()
        console.wait(
            "all guests are shown",
            lambda: all(console.snapshot.vm(uuid) for uuid in scene.guests.values()),
        )
        yield console


def leftovers_settled(console: Upkeep) -> None:
    """What a dead host kept is settled as Jobs offers it, now that it answers.

    A VM that has arrived stays there: there is nothing to undo, and what its source held ends.
    """
    for job in [j for j in console.jobs if UNDO in j.followup]:
        plans = console.engine.followup(job.id, UNDO).result(PATIENCE_S)
        if any(p.refusal is not None and p.refusal.code == "done" for p in plans):
            plans = console.engine.followup(job.id, FINISH).result(PATIENCE_S)
        for plan in plans:
            assert plan.refusal is None, plan.refusal
            done = console.ended(console.run(plan))
            assert done.state is JobState.DONE, done
