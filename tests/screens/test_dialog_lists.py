"""Lists in dialogs: found by typing or by letters, cut in ASCII, and in true words."""

from __future__ import annotations

from dataclasses import replace

from textual.widgets import OptionList

from drivers.model.job import Action, Check, JobState, TargetFit, Verdict
from screens.dialogs.followup import FollowupDialog
from screens.dialogs.pick import PickDialog
from screens.dialogs.target import TargetDialog
from tests.screens.stage import Stage, jobs, shown_text, view, web

SIZE = (80, 24)


async def test_to_finish_a_job_that_is_done_says_what_it_deletes() -> None:
    """No steps are left there: what is left are copies that nobody uses."""
    left = replace(jobs()[2], state=JobState.DONE, followup=("finish", "dismiss"))
    app = Stage(FollowupDialog(left))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "Delete the unused copies" in shown_text(app)
        assert "steps that are left" not in shown_text(app)


async def test_picking_from_thousands() -> None:
    """Typing narrows; Enter takes the line under the cursor."""
    app = Stage(PickDialog("Which VM?", [(f"u{n}", f"vm web{n}") for n in range(5000)]))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press(*"web4321", "enter")
        await pilot.pause()
        assert app.result == "u4321"


async def test_a_list_that_nothing_fits_says_so() -> None:
    """An empty list does not look like a dialog without choices; Enter chooses nothing."""
    app = Stage(PickDialog("Which VM?", [(f"u{n}", f"vm web{n}") for n in range(50)]))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press(*"nosuch", "enter")
        await pilot.pause()
        assert "nothing fits nosuch" in shown_text(app)
        assert isinstance(app.screen, PickDialog)


async def test_a_short_list_is_moved_in_by_letters() -> None:
    """Fingers that know j and k find the line; nothing is typed into a filter."""
    app = Stage(PickDialog("Which?", [("a", "one"), ("b", "two"), ("c", "three")]))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("j", "j", "k")
        await pilot.pause()
        picked = app.screen.query_one(OptionList)
        assert picked.highlighted == 1
        await pilot.press("o", "x")
        assert picked.highlighted == 0
        await pilot.press("t", "enter")
        await pilot.pause()
        assert app.result == "b"


async def test_a_cut_reason_stays_ascii_where_only_that_may_be_drawn() -> None:
    """An ellipsis that the font lacks would be a box in the one line that says why not."""
    check = Check(
        "reach", Verdict.BLOCKED, "kvm04 is not reachable, " + "so nothing goes there " * 9
    )
    dialog = TargetDialog(web(), Action.MIGRATE, (TargetFit("kvm04", False, "", (check,)),))
    app = Stage(dialog, view(ascii=True))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        line = next(x for x in shown_text(app).splitlines() if "NO  kvm04" in x)
        assert "~" in line
        assert "\u2026" not in line
