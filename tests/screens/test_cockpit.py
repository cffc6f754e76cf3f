"""The cockpit of a migration: the verdict in words, the levers with effect or reason."""

from __future__ import annotations

from dataclasses import replace

from console.policy.convergence import Course, observe, outlook
from console.policy.levers import Moment, Settings, options
from drivers.model.migration import Lever, Outlook, Pace
from drivers.model.vm import JobProgress
from screens import messages as ask
from screens.dialogs.confirm import ConfirmDialog
from screens.dialogs.levers import LeversDialog
from screens.jobs import JobsScreen
from screens.render.cockpit import KEYS, band, cockpit_text, spread
from tests.screens.stage import NOW, Stage, jobs, shown_text, view

SIZE = (80, 24)
MIB = 1 << 20


def hopeless() -> JobProgress:
    """Three passes of a guest that changes memory as fast as it is sent, judged for real."""
    course, reading = Course(), JobProgress("copying memory", NOW)
    for second in range(30):
        reading = JobProgress(
            "copying memory", NOW + second, NOW, done=second * 100 * MIB, total=4096 * MIB,
            remaining=(10 - second % 10) * 100 * MIB, rate_bps=100.0 * MIB, dirty_bps=110.0 * MIB,
            iteration=1 + second // 10,
        )  # fmt: skip
        course = observe(course, reading)
    verdict = outlook(course, max_downtime_ms=300)
    moment = Moment(reading, verdict, Settings(100, post_copy=True), 30.0)
    trail = tuple((NOW + s, float((10 - s % 10) * 100 * MIB)) for s in range(30))
    return replace(reading, outlook=verdict, levers=options(moment), trail=trail)


def test_a_hopeless_migration_says_so_and_why() -> None:
    text = "\n".join(line.plain for line in cockpit_text(hopeless(), cells=30, plain=True))
    assert "NOT CONVERGING" in text
    assert "1.10 bytes for each byte sent" in text
    assert "ETA never, as it goes" in text
    assert "switched now, it would pause" in text
    assert "remaining " in text
    assert text.isascii()


def test_the_eta_is_a_band_and_never_a_promise() -> None:
    good = Outlook(Pace.CONVERGING, "", eta_s=(12.0, 30.0))
    assert band(good) == "ETA 12s to 30s"
    assert band(replace(good, eta_s=(12.0, 12.4))) == "ETA 12s"
    assert band(replace(good, pace=Pace.STARTING, eta_s=(12.0, None))) == "ETA 12s or more"
    assert band(replace(good, eta_s=None)) == ""


def test_the_trail_keeps_its_gaps() -> None:
    assert spread(((0.0, 5.0), (1.0, 4.0), (9.0, 1.0)), 5) == [4.0, None, None, None, 1.0]


async def test_a_mild_lever_is_pulled_at_once_by_its_letter() -> None:
    job = replace(jobs()[0], progress=hopeless())
    app = Stage(LeversDialog(job))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        text = shown_text(app)
        assert "from 100 to 200 MiB/s" in text
        assert "without auto-converge" in text
        await pilot.press("b")
        await pilot.pause()
        assert app.result is Lever.BANDWIDTH


async def test_a_lever_the_guest_feels_is_asked_twice() -> None:
    job = replace(jobs()[0], progress=hopeless())
    app = Stage(LeversDialog(job))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("p")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmDialog)
        assert "the guest stops" in shown_text(app)
        await pilot.press("enter")  # without looking: nothing happens
        await pilot.pause()
        assert app.result == "still open"
        await pilot.press("p")
        await pilot.pause()
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert app.result is Lever.POST_COPY


async def test_a_blocked_lever_does_nothing() -> None:
    job = replace(jobs()[0], progress=hopeless())
    app = Stage(LeversDialog(job))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("t")
        await pilot.pause()
        assert app.result == "still open"


async def test_the_jobs_screen_posts_what_was_pulled() -> None:
    running = replace(jobs()[0], progress=hopeless())
    app = Stage(JobsScreen(), view(jobs=(running,)))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "NOT CONVERGING" in shown_text(app)
        await pilot.press("l")
        await pilot.pause()
        await pilot.press("b")
        await pilot.pause()
        [pulled] = app.asked(ask.LeverPulled)
        assert isinstance(pulled, ask.LeverPulled)
        assert (pulled.job_id, pulled.lever) == (running.id, Lever.BANDWIDTH)


async def test_without_a_migration_there_is_nothing_to_pull() -> None:
    copying = replace(jobs()[0], progress=JobProgress("copying", NOW))
    app = Stage(JobsScreen(), view(jobs=(copying,)))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("l")
        await pilot.pause()
        assert isinstance(app.screen, JobsScreen)


def test_every_lever_has_a_key_of_its_own() -> None:
    assert set(KEYS) == set(Lever)
    assert len({key for key, _ in KEYS.values()}) == len(KEYS)
