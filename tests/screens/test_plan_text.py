"""A preview: what speaks against a plan, then its steps, and what is well at the end."""

from __future__ import annotations

from dataclasses import replace

from drivers.model.job import Check, Verdict
from screens.prose import wrap
from screens.render_plan import plan_text
from tests.screens.stage import plan


def _lines(checks: tuple[Check, ...]) -> list[str]:
    made = replace(plan(), checks=checks)
    return [line.plain for line in wrap(plan_text(made), 76)]


def _at(lines: list[str], word: str) -> int:
    return next(number for number, line in enumerate(lines) if word in line)


WELL = tuple(Check(f"fine {n}", Verdict.OK, "is well", f"proof {n}") for n in range(20))
AGAINST = (
    Check("guest agent", Verdict.NOT_TESTED, "not asked"),
    Check("freshness", Verdict.WARN, "read 14 s ago"),
    Check("space", Verdict.BLOCKED, "does not fit"),
)


def test_steps_come_before_what_is_well() -> None:
    """The worst first, then the steps; of the good checks a count, and all of them at the end."""
    lines = _lines((*WELL, *AGAINST))
    wanted = ["space", "freshness", "guest agent", "Pull the plug", "20 of 23 checks"]
    places = [_at(lines, word) for word in [*wanted, "by hand", "fine 0", "fine 19"]]
    assert places == sorted(places)
    assert _at(lines, "Pull the plug") < 10
    assert any("proof 19" in line for line in lines)


def test_no_empty_headings() -> None:
    """Without a good check nothing is counted; without a bad one nothing is said against it."""
    against, well = _lines(AGAINST), _lines(WELL)
    assert not [line for line in against if line.startswith(("ok:", "Checks that are ok"))]
    assert "Checks that are not ok" in against
    assert "Checks that are not ok" not in well
    assert "ok: 20 of 20 checks, in full at the end" in well
