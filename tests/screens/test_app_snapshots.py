"""How the whole console looks on a simulated fleet whose clock stands still."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future

import pytest
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget

from console.app import NovaCronApp
from console.appsettings import AppSettings
from console.backend import News, QuestionAsked
from drivers.model.ask import Question
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import HistoryQuery, Series
from drivers.model.job import Action, Job, JobState, Request, StepRun
from drivers.model.problem import Problem
from drivers.model.vm import VmState
from tests.screens.backend import FakeBackend, done
from tests.screens.fleets import NOW
from tests.screens.simulated import simulated_fleet
from tests.screens.stage import progress, recorded
from tests.screens.test_dialogs import CHANGED, CODES

Compare = Callable[..., bool]

PLACES: dict[str, tuple[str, ...]] = {
    "fleet": (),
    "hosts": ("2",),
    "host": ("2", "j", "j", "enter"),
    "vms": ("3",),
    "vm": ("3", "enter"),
    "storage": ("4",),
    "help": ("3", "question_mark"),
    "settings": ("8",),
    "command": ("3", "colon", *"mig"),
    "filter": ("3", "slash", *"web"),
    "jobs": ("5",),
    "events": ("6",),
    "history": ("7",),
    "targets": ("3", "slash", *"app", "enter", "m"),
    "preview": ("3", "slash", *"app", "enter", "m", "enter"),
    "delete": ("3", "slash", *"off", "enter", "a", "u"),
    "followup": ("5", "j", "f"),
}
"""Keys from the first screen to what is looked at."""

SIZES = [(80, 24), (160, 50)]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of day are part of the picture."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def console(
    *, plain: bool = False, theme: str = "novacron-dark", question: Question | None = None
) -> NovaCronApp:
    """The console over 6 simulated hosts and 40 VMs, one host down, one VM stuck, two jobs."""
    settings = AppSettings(fleet="prod", ascii=plain, theme=theme)
    backend = Telling(simulated_fleet(), question)
    return NovaCronApp(backend, settings=settings, clock=lambda: NOW)


class Telling(FakeBackend):
    """Has something recorded, a job under way and one that failed, and may ask a question."""

    def __init__(self, snapshot: FleetSnapshot, question: Question | None) -> None:
        super().__init__(snapshot)
        self._question = question

    def start(self, publish: Callable[[News], None]) -> None:
        vms = [vm for vm in self.snapshot.vms() if vm.state is VmState.RUNNING]
        moving = self._plan(0, Request(Action.MIGRATE, vms[0].uuid))
        failing = self._plan(1, Request(Action.SHUTDOWN, vms[1].uuid))
        problem = Problem("The guest did not power off within 90 s", "state still running",
                          "force it off, or ask again")  # fmt: skip
        under_way = StepRun(moving.steps[0], JobState.RUNNING, NOW - 65)
        failed = StepRun(failing.steps[0], JobState.FAILED, NOW - 400, NOW - 310)
        figures = progress(at=NOW - 1, started_at=NOW - 65)
        self.jobs = (
            Job("j1", moving, JobState.RUNNING, (under_way,), figures, "", NOW - 70, NOW - 70),
            Job("j2", failing, JobState.FAILED, (failed,), None, "", NOW - 400, NOW - 400,
                NOW - 310, problem, "it still runs", ("force-off", "retry", "dismiss")),
        )  # fmt: skip
        super().start(publish)
        if self._question is not None:
            publish(QuestionAsked(self._question))

    def history(self, queries: tuple[HistoryQuery, ...]) -> Future[tuple[Series, ...]]:
        return done(recorded(queries))


def after(keys: tuple[str, ...]) -> Callable[[Pilot[None]], object]:
    """Press keys one by one, each once the screen before has settled."""

    async def run(pilot: Pilot[None]) -> None:
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
            await settled(pilot)

    return run


async def settled(pilot: Pilot[None]) -> None:
    """Everything posted so far is done, and no cursor blinks."""
    for _ in range(4):
        await pilot.pause()
        working = [w for w in pilot.app.workers if w.group != "flow"]  # those wait for a person
        if working:
            await pilot.app.workers.wait_for_complete(working)
    for field in pilot.app.screen.query("Input"):
        field.cursor_blink = False  # type: ignore[attr-defined]
    await pilot.pause()


LARGE = ("fleet", "vms", "jobs", "events", "history", "targets")
"""What is looked at in a large terminal as well."""


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
@pytest.mark.parametrize("place", LARGE)
def test_main_screens(snap_compare: Compare, place: str, size: tuple[int, int]) -> None:
    """Problems first, columns aligned, the space used, the keys in the last line."""
    assert snap_compare(console(), terminal_size=size, run_before=after(PLACES[place]))


@pytest.mark.parametrize("place", [name for name in PLACES if name not in LARGE])
def test_other_screens(snap_compare: Compare, place: str) -> None:
    """Readable in the smallest terminal."""
    assert snap_compare(console(), terminal_size=SIZES[0], run_before=after(PLACES[place]))


@pytest.mark.parametrize("question", [CHANGED, CODES], ids=["host-key", "secret"])
def test_questions(snap_compare: Compare, question: Question) -> None:
    """What a host asks, over the screen that it interrupts."""
    app = console(question=question)
    assert snap_compare(app, terminal_size=SIZES[0], run_before=after(()))


@pytest.mark.parametrize("place", ["fleet", "storage"])
def test_plain_screens(snap_compare: Compare, place: str) -> None:
    """The same in ASCII and the terminal's own sixteen colours."""
    app = console(plain=True, theme="novacron-16")
    assert snap_compare(app, terminal_size=SIZES[0], run_before=after(PLACES[place]))


def test_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR: cursor, header and problems stand out by words, signs and reverse alone."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(console(), terminal_size=SIZES[0], run_before=after(()))


async def test_no_colour_on_the_terminals_own_colours_asks_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the terminal's two colours are, text is never painted black on black."""
    monkeypatch.setenv("NO_COLOR", "1")
    settings = AppSettings(theme="novacron-16")
    app = NovaCronApp(FakeBackend(), settings=settings, clock=lambda: NOW)
    async with app.run_test(size=SIZES[0]) as pilot:
        await settled(pilot)
        lines = [line for widget in app.screen.query("*") for line in painted(widget)]
    assert lines
    assert {colour for line in lines for colour in line} <= {None, "default"}


def painted(widget: Widget) -> list[list[str | None]]:
    """The colours of every line of a widget as they go to the terminal."""
    lines = widget.render_lines(Region(0, 0, *widget.size))
    styles = [[segment.style for segment in line if segment.style] for line in lines]
    return [
        [
            colour.name if colour else None
            for style in line
            for colour in (style.color, style.bgcolor)
        ]
        for line in styles
    ]
