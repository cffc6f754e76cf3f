"""What numbers, ages and names look like."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screens import format as fmt


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0, "0B"), (512, "512B"), (1023, "1.0K"), (1536, "1.5K"), (2**40, "1.0T")],
)
def test_sizes_are_short(value: float | None, shown: str) -> None:
    """A size takes at most five cells; an unknown one is a dash, never zero."""
    assert fmt.size(value) == shown


@given(st.floats(0, 1e20))
def test_sizes_never_outgrow_their_column(value: float) -> None:
    """No size up to exabytes is wider than five cells, no rate wider than seven."""
    assert len(fmt.size(value)) <= 5
    assert len(fmt.rate(value)) <= 7


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0, "0s"), (72, "1m12s"), (7500, "2h05m"), (90_000, "1d01h")],
)
def test_durations(seconds: float | None, shown: str) -> None:
    """A span shows its two largest units."""
    assert fmt.duration(seconds) == shown


def test_ages() -> None:
    """An age has one unit; a value never read says so."""
    assert fmt.age(0.0, 100.0) == "never"
    assert fmt.age(88.0, 100.0) == "12s"
    assert fmt.age(100.0, 7300.0) == "2h"
    assert fmt.age(105.0, 100.0) == "0s"


@given(st.text(max_size=80))
def test_clean_leaves_nothing_that_steers_a_terminal(text: str) -> None:
    """No control, direction or zero-width character survives."""
    for char in fmt.clean(text):
        assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


@given(st.text(max_size=40), st.integers(0, 30), st.booleans())
def test_fit_is_exact(text: str, width: int, right: bool) -> None:
    """A fitted text takes exactly its cells, wide characters included."""
    assert fmt.width_of(fmt.fit(fmt.clean(text), width, right=right)) == width


def test_bars() -> None:
    """A bar is as wide as asked, shows a trace of anything above zero, and has an ASCII form."""
    assert fmt.bar(0.5, 4) == "██░░"
    assert fmt.bar(0.5, 4, plain=True) == "##.."
    assert fmt.bar(0.0001, 4)[0] == "▏"
    assert fmt.bar(None, 4) == "    "
    assert fmt.bar(7.0, 4) == "████"


def test_sparklines_keep_gaps() -> None:
    """Newest at the right; a gap is a blank, zero is the lowest mark."""
    assert fmt.sparkline([0.0, None, 5.0, 10.0], 6) == "  ▁ ▅█"
    assert fmt.sparkline([0.0, 10.0], 2, plain=True) == "_#"
    assert fmt.sparkline([], 3) == "   "
    assert fmt.sparkline([50.0], 1, top=100.0) == "▅"


def test_counts_and_milliseconds() -> None:
    """IOPS and latencies are short."""
    assert fmt.count(7.0) == "7"
    assert fmt.count(12_340) == "12.3k"
    assert fmt.milliseconds(0.421) == "0.42ms"
    assert fmt.milliseconds(1500) == "1.5s"
    assert fmt.percent(0.3) == "0.3%"
