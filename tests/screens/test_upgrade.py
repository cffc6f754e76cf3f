"""Upgrades from the keyboard: the plan first, choices, then stage after stage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.backend import OperationsReady
from console.policy.upgrade.plan import stage_runs
from console.policy.upgrade.words import upgrade_words
from console.run_command import run_command
from drivers.errors import Gone
from drivers.model.operation import (
    Choice,
    MoveState,
    Operation,
    OperationPlan,
    OperationState,
    StageRun,
)
from drivers.model.problem import Problem
from drivers.model.upgrade import UpgradeRules
from screens.dialogs.confirm import ConfirmDialog
from screens.dialogs.pick import PickDialog
from screens.hosts import HostsScreen
from screens.render.operations import place_of
from screens.render.upgrade import of_upgrade_arg
from screens.upgrade import UpgradeScreen
from tests.policy.test_drain import drain, fleet, guest
from tests.policy.test_upgrade import upgrade
from tests.screens.backend import FakeBackend, done
from tests.screens.conftest import Running, until
from tests.screens.fleets import NOW
from tests.screens.test_app import shown

LOCAL = guest(2, shared=False)


class FakeMaintenance:
    """Plans with the real planner over a small fleet; ``asked`` keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.fails: Exception | None = None

    def plan_upgrade(self, hosts: list[str], name: str, choices: dict):
        self.asked.append(("plan_upgrade", tuple(hosts), name, choices))
        if self.fails:
            raise self.fails
        return done(make_plan(choices))

    def plan_drain(self, host: str, choices: dict, pins: dict):
        return done(drain(fleet(guest(1))))

    def __getattr__(self, name: str):
        def ask(*args: object):
            self.asked.append((name, *args))
            return done("op-1")

        return ask


def make_plan(choices: dict | None = None) -> OperationPlan:
    snapshot = fleet(guest(1), LOCAL, guest(3, home="kvm2"))
    return upgrade(snapshot, choices=choices or {})


def operation(*states: MoveState, **fields: object) -> Operation:
    """The stages in these states, those that are not named pending."""
    plan = make_plan({LOCAL.uuid: Choice.LEAVE})
    assert plan.upgrade is not None
    runs = list(stage_runs(plan.upgrade))
    for number, state in enumerate(states):
        runs[number] = _told(runs[number], state)
    made = Operation("upgrade-1", plan, stages=tuple(runs), actor="me@desk", created_at=NOW - 300)
    made = replace(made, **fields)  # type: ignore[arg-type]
    return replace(made, outcome=upgrade_words(made))


def _told(run: StageRun, state: MoveState) -> StageRun:
    command = run.stage.command
    notes = {"wait": "back after 94 s, kernel 6.1.0-30 as expected", "command": "exit status 0"}
    return replace(
        run,
        state=state,
        note="exit status 100: E: no"
        if state is MoveState.FAILED
        else notes.get(run.stage.verb, ""),
        started_at=NOW - 60,
        ended_at=NOW - 9 if state.ended else None,
        output=f"Reading package lists...\nran {command}" if command else "",
    )


@pytest.fixture
def desk(backend: FakeBackend) -> FakeMaintenance:
    backend.maintenance = FakeMaintenance()  # type: ignore[attr-defined]
    return backend.maintenance  # type: ignore[attr-defined, no-any-return]


async def to_upgrade(app, pilot) -> UpgradeScreen:
    """Two marked hosts, and w."""
    await pilot.press("2")
    await until(pilot, lambda: isinstance(app.screen, HostsScreen))
    await until(pilot, lambda: app.screen.table.cursor_key is not None)
    await pilot.press("g", "space", "j", "space", "w")
    await until(pilot, lambda: isinstance(app.screen, UpgradeScreen))
    await until(pilot, lambda: app.screen.plan is not None or app.screen.failure is not None)
    return app.screen


async def test_another_way_to_upgrade_is_chosen_by_its_name(
    running: Running, desk: FakeMaintenance
) -> None:
    """``:upgrade --name``; without hosts, and for hosts that are not there, it says why not."""
    async with running() as (app, pilot):
        first, second = (host.name for host in app.view.snapshot.hosts[:2])
        run_command(app, f"upgrade --name nightly {first} {second}")
        await until(pilot, lambda: bool(desk.asked))
        assert desk.asked[-1][:3] == ("plan_upgrade", (first, second), "nightly")
        run_command(app, "upgrade --name nightly nowhere")
        await until(pilot, lambda: "There is no host 'nowhere'" in shown(app))
        run_command(app, "upgrade --name nightly")
        await until(pilot, lambda: "Which hosts, is not said" in shown(app))
        assert len(desk.asked) == 1


def test_its_screen_is_found_again_by_its_hosts_and_its_name() -> None:
    """From Jobs: also one host alone, whose title is not its name."""
    snapshot = fleet(guest(1))
    alone = upgrade(snapshot, ("kvm1",))
    assert alone.host == "kvm1 alone"
    assert place_of(Operation("u", alone)) == ("upgrade", "kvm1")
    named = upgrade(snapshot, ("kvm2", "kvm1"), UpgradeRules("nightly", ("apt-get update",)))
    view, arg = place_of(Operation("u", named))
    assert (view, of_upgrade_arg(arg)) == ("upgrade", (("kvm2", "kvm1"), "nightly"))
    assert of_upgrade_arg("") == ((), "")


@pytest.mark.parametrize("look", [{}, {"ascii": True, "theme": "novacron-16"}])
async def test_the_plan_shows_order_commands_and_choices(
    running: Running, desk: FakeMaintenance, look: dict
) -> None:
    """At 80x24: who needs a choice on top, then hosts in order; verbatim what is run."""
    async with running(**look) as (app, pilot):
        screen = await to_upgrade(app, pilot)
        assert len(screen.hosts) == 2
        assert desk.asked[-1] == ("plan_upgrade", screen.hosts, "", {})
        wanted = ("CHOOSE", "web2", "canary", "turn 2", "1 VM needs a choice", "VMs to kvm")
        await until(pilot, lambda: all(words in shown(app) for words in wanted))
        assert shown(app).index("web2") < shown(app).index("canary")
        if look:
            assert shown(app).isascii()


async def test_a_wide_screen_has_it_all_at_once(running: Running, desk: FakeMaintenance) -> None:
    """What is run word for word, N+1 and the time it takes."""
    async with running(size=(160, 50)) as (app, pilot):
        await to_upgrade(app, pilot)
        wanted = (
            "each host runs as root: apt-get -y full-upgrade",
            "each host reboots as root: systemctl reboot",
            "N+1 ",
            "commands and reboots at most 270 min",
        )
        await until(pilot, lambda: all(words in shown(app) for words in wanted))


async def test_a_choice_makes_it_ready_and_running_it_asks(
    running: Running, desk: FakeMaintenance
) -> None:
    """r does nothing before the choice; after it asks, with Cancel as the default."""
    async with running() as (app, pilot):
        screen = await to_upgrade(app, pilot)
        await pilot.press("r")
        assert app.screen is screen
        await pilot.press("g", "c")
        await until(pilot, lambda: isinstance(app.screen, PickDialog))
        await pilot.press(*"leave", "enter")
        await until(pilot, lambda: app.screen is screen and not screen.plan.undecided)
        assert desk.asked[-1][3] == {LOCAL.uuid: Choice.LEAVE}
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert "GOES DOWN" in shown(app)
        assert app.focused is not None
        assert app.focused.id == "cancel"
        await pilot.press("tab", "enter")
        await until(pilot, lambda: desk.asked[-1][0] == "start")
        assert desk.asked[-1][1] == screen.plan


async def test_a_failure_is_told_and_skipped_or_tried_again_only_after_asking(
    running: Running, desk: FakeMaintenance
) -> None:
    """The failed stage on top, its command's last words below; x and p steer as anywhere."""
    async with running(size=(160, 50)) as (app, pilot):
        await to_upgrade(app, pilot)
        problem = Problem("kvm1 cannot go on at command", "exit status 100", "resume or skip")
        one = operation(
            MoveState.DONE, MoveState.FAILED, state=OperationState.PAUSED, problem=problem
        )
        app._publish(OperationsReady((one,), ()))
        wanted = (
            "is paused", "kvm1 cannot go on", "Reading package lists...", "safe to stop: no",
            "kvm1 (canary) failed at command",
        )  # fmt: skip
        await until(pilot, lambda: all(words in shown(app) for words in wanted))
        for key, verb in (("e", "resume"), ("s", "skip"), ("x", "cancel")):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
            await pilot.press("tab", "enter")
            await until(pilot, lambda verb=verb: desk.asked[-1] == (verb, "upgrade-1"))
            await until(pilot, lambda: isinstance(app.screen, UpgradeScreen))
        asked = len(desk.asked)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        more = replace(one, problem=replace(problem, what="kvm2 cannot go on either"))
        app._publish(OperationsReady((more,), ()))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "kvm2 cannot go on either" in shown(app))
        assert isinstance(app.screen, ConfirmDialog)
        assert len(desk.asked) == asked


async def test_progress_is_read_on_the_screens_of_upgrade_and_host(
    running: Running, desk: FakeMaintenance
) -> None:
    """``:upgrade`` finds what is under way; p pauses; the host's own screen has the sentence."""
    async with running() as (app, pilot):
        one = operation(*[MoveState.DONE] * 5, MoveState.RUNNING)
        app._publish(OperationsReady((one,), ()))
        await pilot.press("colon", *"upgrade", "enter")
        await until(pilot, lambda: isinstance(app.screen, UpgradeScreen))
        sentence = "1 of 3 hosts done; safe to stop: no"
        await until(pilot, lambda: sentence in " ".join(shown(app).split()))
        await pilot.press("p")
        await until(pilot, lambda: desk.asked[-1] == ("pause", "upgrade-1"))
        await pilot.press("g", "v")
        await until(pilot, lambda: "upgrade running: kvm2" in shown(app))


async def test_why_nothing_can_be_planned(running: Running, desk: FakeMaintenance) -> None:
    """A failure stands on the screen."""
    desk.fails = Gone("how to upgrade hosts is not configured", "", "novacron init --stdout")
    async with running() as (app, pilot):
        await to_upgrade(app, pilot)
        await until(pilot, lambda: "how to upgrade hosts is not configured" in shown(app))
