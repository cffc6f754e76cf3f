"""Cordon and drain from the keyboard: the plan first, choices, then progress."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.app import NovaCronApp
from console.appsettings import AppSettings
from console.backend import JobsReady, OperationsReady, SnapshotReady
from console.policy.drain.layout import Wishes
from console.policy.drain.words import progress_words
from drivers.errors import Refused
from drivers.model.job import Action, Job, JobState, Plan, Request
from drivers.model.migration import Outlook, Pace
from drivers.model.operation import (
    Choice,
    Cordon,
    MoveRun,
    MoveState,
    Operation,
    OperationKind,
    OperationPlan,
    OperationState,
)
from drivers.model.problem import Problem
from drivers.model.vm import JobProgress
from screens.dialogs.confirm import ConfirmDialog
from screens.dialogs.pick import PickDialog
from screens.format import age
from screens.hosts import HostsScreen
from screens.maintenance import MaintenanceScreen
from screens.render.maintenance import ended_paras, plan_ready
from screens.render_job import figure_words
from tests.policy.test_drain import drain, guest
from tests.policy.test_drain import fleet as small_fleet
from tests.screens.backend import FakeBackend, done
from tests.screens.conftest import Running, until
from tests.screens.fleets import NOW
from tests.screens.test_app import shown
from tests.screens.test_app_snapshots import SIZES, Compare, after, utc

__all__ = ["utc"]

LOCAL = guest(2, shared=False)


class FakeMaintenance:
    """Plans with the real planner over a small fleet; ``asked`` keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.fails: Exception | None = None

    def plan_drain(self, host: str, choices: dict, pins: dict):
        self.asked.append(("plan_drain", host, choices, pins))
        if self.fails:
            raise self.fails
        return done(make_plan(choices, pins))

    def plan_back(self, kind: OperationKind, name: str, choices: dict):
        self.asked.append(("plan_back", kind, name, choices))
        return done((replace(make_plan(), kind=kind), "drain-1"))

    def __getattr__(self, name: str):
        def ask(*args: object):
            self.asked.append((name, *args))
            return done("op-1")

        return ask


def make_plan(choices: dict | None = None, pins: dict | None = None) -> OperationPlan:
    snapshot = small_fleet(guest(1), LOCAL, guest(3))
    return drain(snapshot, Wishes(choices=choices or {}, pins=pins or {}))


def operation(*states: MoveState, **fields: object) -> Operation:
    plan = make_plan({LOCAL.uuid: Choice.LEAVE})
    runs = tuple(
        MoveRun(move, state, note="kvm3 is full" if state is MoveState.BLOCKED else "")
        for move, state in zip(plan.moves, states, strict=True)
    )
    made = Operation("op-1", plan, runs=runs, actor="me@desk", created_at=NOW)
    made = replace(made, **fields)  # type: ignore[arg-type]
    return replace(made, outcome=progress_words(made))


@pytest.fixture
def desk(backend: FakeBackend) -> FakeMaintenance:
    backend.maintenance = FakeMaintenance()  # type: ignore[attr-defined]
    return backend.maintenance  # type: ignore[attr-defined, no-any-return]


async def to_maintenance(app, pilot) -> MaintenanceScreen:
    await pilot.press("2")
    await until(pilot, lambda: isinstance(app.screen, HostsScreen))
    await until(pilot, lambda: app.screen.table.cursor_key is not None)
    await pilot.press("g", "j", "r")
    await until(pilot, lambda: isinstance(app.screen, MaintenanceScreen))
    await until(pilot, lambda: app.screen.plan is not None or app.screen.failure is not None)
    return app.screen


@pytest.mark.parametrize("look", [{}, {"ascii": True, "theme": "novacron-16"}])
async def test_the_plan_shows_vms_that_cannot_move_first(
    running: Running, desk: FakeMaintenance, look: dict
) -> None:
    """At 80x24: the VM that needs a choice on top, the blast radius and N+1 below."""
    async with running(**look) as (app, pilot):
        await to_maintenance(app, pilot)
        wanted = (
            "CHOOSE",
            "web2",
            "cannot move",
            "needs a choice",
            "would have to be copied",
            "2 VMs move from kvm1",
        )
        await until(pilot, lambda: all(words in shown(app) for words in wanted))
        text = shown(app)
        assert text.index("web2") < text.index("web1")
        if look:
            assert text.isascii()


async def test_a_short_plan_leaves_the_lines_to_its_text(
    running: Running, desk: FakeMaintenance
) -> None:
    """At 80x24 three VMs take four lines; what the plan means has the others."""
    async with running() as (app, pilot):
        screen = await to_maintenance(app, pilot)
        await until(pilot, lambda: screen.table.size.height == 4)
        await until(pilot, lambda: "Given to VMs" in shown(app))


async def test_a_choice_makes_the_plan_ready_and_running_it_asks(
    running: Running, desk: FakeMaintenance
) -> None:
    """r does nothing before the choice; after it asks, with Cancel as the default."""
    async with running() as (app, pilot):
        screen = await to_maintenance(app, pilot)
        await pilot.press("r")
        assert app.screen is screen
        await pilot.press("g", "c")
        await until(pilot, lambda: isinstance(app.screen, PickDialog))
        await pilot.press("j", "enter")
        await until(pilot, lambda: app.screen is screen and not screen.plan.undecided)
        assert desk.asked[-1][2] == {LOCAL.uuid: Choice.LEAVE}
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert app.focused is not None
        assert app.focused.id == "cancel"
        await pilot.press("tab", "enter")
        await until(pilot, lambda: desk.asked[-1][0] == "start")
        assert desk.asked[-1][1] == screen.plan


async def test_one_choice_is_made_for_all_marked_vms(
    running: Running, desk: FakeMaintenance
) -> None:
    """Forty VMs are not asked about forty times; one that moves by itself may be left too."""
    async with running() as (app, pilot):
        screen = await to_maintenance(app, pilot)
        await until(pilot, lambda: len(screen.table.rows) == 3)
        await pilot.press("g", "space", "g", "j", "space", "c")
        await until(pilot, lambda: isinstance(app.screen, PickDialog))
        await until(pilot, lambda: "What becomes of 2 VMs?" in shown(app))
        assert "As at first: it moves if it can" in shown(app)
        assert "Decide later" not in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: len(desk.asked[-1][2]) == 2)
        assert set(desk.asked[-1][2].values()) == {Choice.LEAVE}
        assert screen.table.marked == ()  # the next choice is about the cursor again


async def test_progress_is_followed_paused_and_cancelled(
    running: Running, desk: FakeMaintenance
) -> None:
    """The sentence of the progress, what is blocked on top, and the keys that steer."""
    async with running() as (app, pilot):
        screen = await to_maintenance(app, pilot)
        host = screen.host
        one = operation(MoveState.DONE, MoveState.BLOCKED)
        one = replace(one, plan=replace(one.plan, host=host))
        app._publish(OperationsReady((one,), (Cordon(host, NOW - 60, "me@desk", "op-1"),)))
        wanted = ("1 of 2 moved, 1 blocked because kvm3 is full", "cordoned 1m by me@desk")
        await until(pilot, lambda: all(words in shown(app) for words in wanted))
        await until(pilot, lambda: "blocked    web3" in shown(app))
        assert shown(app).index("blocked    web3") < shown(app).index("done       web1")
        await pilot.press("p")
        await until(pilot, lambda: desk.asked[-1] == ("pause", "op-1"))
        await pilot.press("e")
        await until(pilot, lambda: desk.asked[-1] == ("resume", "op-1"))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: desk.asked[-1] == ("cancel", "op-1"))
        await pilot.press("u")
        await until(pilot, lambda: desk.asked[-1] == ("uncordon", host))


async def test_a_problem_of_an_operation_is_told_with_its_way_out(
    running: Running, desk: FakeMaintenance
) -> None:
    """Paused for a person: what, proof and fix stand on the screen."""
    async with running() as (app, pilot):
        screen = await to_maintenance(app, pilot)
        problem = Problem("web1 cannot go on", "no room", "resume or cancel")
        one = operation(
            MoveState.DONE, MoveState.FAILED, state=OperationState.PAUSED, problem=problem
        )
        one = replace(one, plan=replace(one.plan, host=screen.host))
        app._publish(OperationsReady((one,), ()))
        wanted = ("is paused", "web1 cannot go on", "no room", "resume or cancel")
        await until(pilot, lambda: all(words in shown(app) for words in wanted))


async def test_a_moving_vm_tells_how_far_it_is(running: Running, desk: FakeMaintenance) -> None:
    """Percent, rate and time left where its reason stood; a note, and old figures, are told."""
    async with running(size=(160, 50)) as (app, pilot):
        screen = await to_maintenance(app, pilot)
        one = operation(MoveState.RUNNING, MoveState.PENDING)
        run = replace(one.runs[0], ticket="plan-1")
        one = replace(one, plan=replace(one.plan, host=screen.host), runs=(run, *one.runs[1:]))
        app._publish(OperationsReady((one,), ()))
        await until(pilot, lambda: "running" in shown(app) and run.move.reason in shown(app))
        progress = JobProgress(
            "copying memory",
            NOW,
            total=4 << 30,
            done=1 << 30,
            rate_bps=float(100 << 20),
            eta_s=30.0,
        )
        plan = Plan("plan-1", Request(Action.MIGRATE, run.move.uuid, "kvm2"), "web1", "kvm1", NOW)
        job = Job("job-1", plan, JobState.RUNNING, progress=progress)
        app._publish(JobsReady((job,)))
        await until(pilot, lambda: "25%  100M/s  ETA 30s" in shown(app))


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (JobProgress("waiting", NOW), "waiting"),
        (JobProgress("waiting", NOW - 60), "waiting  no news for 1m00s"),
        (
            JobProgress("x", NOW, total=10, done=5, outlook=Outlook(
                Pace.NOT_CONVERGING, "", eta_s=(9.0, None)
            )),
            "50%  ETA never, as it goes",
        ),
    ],
)  # fmt: skip
def test_figures_in_a_few_words(progress: JobProgress, words: str) -> None:
    """What is not known is left out; figures that are not news any more say so."""
    assert figure_words(progress, NOW) == words


async def test_the_way_home_is_offered_after_a_drain(
    running: Running, desk: FakeMaintenance
) -> None:
    """b plans the return of the last drain."""
    async with running() as (app, pilot):
        screen = await to_maintenance(app, pilot)
        one = operation(MoveState.DONE, MoveState.DONE, state=OperationState.DONE, ended_at=NOW)
        one = replace(one, plan=replace(one.plan, host=screen.host))
        app._publish(OperationsReady((one,), ()))
        await until(pilot, lambda: "last drain, 0s ago: 2 of 2 moved" in shown(app))
        await pilot.press("b")
        await until(
            pilot, lambda: desk.asked[-1] == ("plan_back", OperationKind.RETURN, screen.host, {})
        )
        await until(pilot, lambda: screen.parent_id == "drain-1")


def test_safe_to_reboot_is_not_repeated_once_a_vm_runs_there_again() -> None:
    """What a drain said when it ended has an age, and is taken back when it does not hold."""
    told = "2 of 2 moved, safe to reboot: yes."
    one = operation(MoveState.DONE, MoveState.DONE, state=OperationState.DONE, ended_at=NOW - 300)
    one = replace(one, outcome=told)
    empty, full = small_fleet().host("kvm1"), small_fleet(guest(1)).host("kvm1")
    assert [p.text.plain for p in ended_paras(one, empty, NOW)] == [f"last drain, 5m ago: {told}"]
    again = [p.text.plain for p in ended_paras(one, full, NOW)]
    assert again[1] == "safe to reboot now: no, 1 VM runs here again"


def test_a_drain_that_would_do_nothing_is_not_offered() -> None:
    """Running it would only hide the way home of the drain before."""
    nothing = drain(small_fleet())
    assert nothing.moves == ()
    assert plan_ready(nothing, ())
    assert not plan_ready(nothing, (Cordon("kvm1", NOW, "me", ""),))
    assert plan_ready(drain(small_fleet(guest(1))), (Cordon("kvm1", NOW, "me", ""),))
    assert not plan_ready(make_plan(), ())


async def test_why_nothing_can_be_planned(running: Running, desk: FakeMaintenance) -> None:
    """A failure stands on the screen, not in a toast alone."""
    desk.fails = Refused("the journal is closed", "disk full", "make room")
    async with running() as (app, pilot):
        await to_maintenance(app, pilot)
        await until(pilot, lambda: "the journal is closed" in shown(app))


async def test_hosts_show_cordons_and_u_toggles(running: Running, desk: FakeMaintenance) -> None:
    """u on Hosts closes, u again opens; the list says who closed it."""
    async with running(size=(160, 50)) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, HostsScreen))
        await until(pilot, lambda: app.screen.table.cursor_key is not None)
        await pilot.press("G")
        key = app.screen.table.cursor_key
        await pilot.press("u")
        await until(pilot, lambda: ("cordon", key) in desk.asked)
        app._publish(OperationsReady((), (Cordon(key, NOW - 60, "me@desk", "kernel"),)))
        await until(pilot, lambda: "cordoned by me" in shown(app))
        await pilot.press("u")
        await until(pilot, lambda: ("uncordon", key) in desk.asked)


async def test_what_is_old_is_told_above_the_plan(running: Running, desk: FakeMaintenance) -> None:
    """The plan with its age; a host that is not read any more with its own."""
    async with running() as (app, pilot):
        screen = await to_maintenance(app, pilot)
        await until(pilot, lambda: f"planned {age(screen.plan.made_at, NOW)} ago" in shown(app))
        screen.plan = replace(screen.plan, made_at=NOW - 5)
        await until(pilot, lambda: "planned 5s ago" in shown(app))
        assert "STALE" not in shown(app)
        screen.plan = replace(screen.plan, made_at=NOW - 125)
        await until(pilot, lambda: "planned 2m ago: STALE" in shown(app))
        hosts = tuple(
            replace(h, fast_at=NOW - 95, slow_at=NOW - 95) for h in app.view.snapshot.hosts
        )
        app._publish(SnapshotReady(replace(app.view.snapshot, hosts=hosts, version=2)))
        await until(pilot, lambda: "STALE: last read 1m ago" in shown(app))


def maintaining(read_at: float) -> NovaCronApp:
    """The plan of a host that was read then, made a minute after."""

    class Planning(FakeMaintenance):
        def plan_drain(self, host: str, choices: dict, pins: dict):
            return done(replace(make_plan(choices, pins), host=host, made_at=read_at + 60))

    backend = FakeBackend()
    hosts = tuple(replace(h, fast_at=read_at, slow_at=read_at) for h in backend.snapshot.hosts)
    backend.snapshot = replace(backend.snapshot, hosts=hosts)
    backend.maintenance = Planning()  # type: ignore[attr-defined]
    return NovaCronApp(backend, settings=AppSettings(fleet="prod"), clock=lambda: NOW)


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
def test_looks_of_an_old_plan(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Two marks of age over the VMs, and the room that there is beside or below."""
    app = maintaining(NOW - 240)
    assert snap_compare(app, terminal_size=size, run_before=after(("2", "g", "r")))
