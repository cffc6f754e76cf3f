"""The form of a migration's options: profiles fill it, what a host lacks is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import Button, Input

from console.headless.arguments import parse
from console.policy.tuning import option_problem
from drivers.model.job import Action
from screens.dialogs.cycle import Cycle
from screens.dialogs.target import TargetDialog
from screens.dialogs.tuning import _ROWS, TuningDialog
from tests.screens.stage import Stage, fits, shown_text, web

SIZE = (80, 24)
CAREFUL = {
    "bandwidth_mib": "50", "downtime_ms": "200", "auto_converge": "yes", "finish_s": "600",
    "levers": "downtime",
}  # fmt: skip
LACKS = (("zstd", "needs libvirt 9.1, kvm1 has 9.0.0"), ("parallel", "needs QEMU 4.0"))


def test_the_form_has_every_option_of_the_command_line() -> None:
    """One place to learn them, whichever way they are given."""
    known = vars(parse(["migrate", "web1", "--to", "kvm2"]))
    names = {"downtime_ms": "downtime", "timeout_s": "timeout", "finish_s": "finish"}
    form = {item.option for row in _ROWS for item in row} - {"longest_downtime_ms"}
    assert {names.get(option, option) for option in form} <= set(known)


async def test_a_profile_fills_the_form_and_one_field_may_differ() -> None:
    """What comes back is what a request takes."""
    app = Stage(TuningDialog((), {"careful": CAREFUL}))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        screen = app.screen
        assert screen.query_one("#downtime_ms", Input).value == "200"
        assert screen.query_one("#auto_converge", Cycle).value == "yes"
        screen.query_one("#downtime_ms", Input).value = "250"
        screen.query_one("#go", Button).press()
        await pilot.pause()
        assert dict(app.result) == {**CAREFUL, "downtime_ms": "250"}  # type: ignore[call-overload]
        assert option_problem(dict(app.result)) is None  # type: ignore[call-overload]


async def test_what_the_hosts_lack_is_told_and_cannot_be_chosen() -> None:
    """A method is not among the values; an option cannot be set."""
    app = Stage(TuningDialog((), {}, LACKS))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "zstd: needs libvirt 9.1, kvm1 has 9.0.0" in shown_text(app)
        assert app.screen.query_one("#parallel", Input).disabled
        method = app.screen.query_one("#compression", Cycle)
        seen = {method.press().value for _ in range(6)}
        assert seen == {"", "xbzrle", "mt", "zlib"}


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_all_of_the_form_is_in_sight(size: tuple[int, int]) -> None:
    """Every field lies inside the window, with two lines of what the hosts lack."""
    app = Stage(TuningDialog((), {"careful": CAREFUL}, LACKS))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        for widget in app.screen.query("Cycle, Input, Button"):
            assert app.screen.region.contains_region(widget.region), widget
            assert widget.region.width > 4, widget


async def test_options_are_kept_beside_the_target_and_counted() -> None:
    """The choice of a host stays; the button tells how many options are set."""
    some = tuple(replace(fit, lacking=LACKS) for fit in fits())
    app = Stage(TargetDialog(web(), Action.MIGRATE, some, profiles={"careful": CAREFUL}))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        app.screen.query_one("#more", Button).press()
        await pilot.pause()
        assert isinstance(app.screen, TuningDialog)
        await pilot.press("enter")
        await pilot.pause()
        app.screen.query_one("#go", Button).press()
        await pilot.pause()
        assert "Options (5)" in shown_text(app)
        assert dict(app.screen.options) == CAREFUL  # type: ignore[attr-defined]
