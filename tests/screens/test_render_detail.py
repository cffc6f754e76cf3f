"""Ranges, scales, gaps, curves and usage as pure functions."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.model.history import HistoryQuery, Series
from drivers.model.job import Action
from drivers.model.vm import VmState
from screens.actions import ENTRIES, why_not
from screens.chart import Axis, Curve, Picture, draw, stacked
from screens.points import Curves, spread
from screens.render_history import (
    BadRange,
    Canvas,
    LegendItem,
    Wanted,
    axis,
    legend,
    parse_range,
    pictures,
    stretches,
)
from screens.render_job import done_share
from screens.render_storage import Usage
from screens.render_xml import coloured, paint, search
from tests.screens.stage import DB, NOW, WEB, fleet, progress, web


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize(
    ("typed", "since", "until"),
    [
        ("90m", -5400.0, None),
        ("1.5h ago", -5400.0, None),
        ("2d..1d", -172_800.0, -86_400.0),
        ("14:00", -800.0, None),
        ("2026-09-21 14:00 .. 2026-09-21 14:10", -800.0, -200.0),
        ("14:30", 1000.0 - 86_400.0, None),
    ],
)
def test_ranges_as_people_type_them(typed: str, since: float, until: float | None) -> None:
    """Ago, clock time, dates, and two of them; a time to come means yesterday's."""
    start, end = parse_range(typed, NOW)
    assert start - NOW == since
    assert (None if end is None else end - NOW) == until


@pytest.mark.parametrize("typed", ["", "soon", "1d..2d", "25:00", "2h..x", "99999999999999999d.."])
def test_ranges_that_make_no_sense(typed: str) -> None:
    """Nonsense is refused with what would be understood; nothing crashes."""
    if typed.endswith(".."):
        assert parse_range(typed, NOW)[1] is None
        return
    with pytest.raises(BadRange):
        parse_range(typed, NOW)


@given(st.text(max_size=30))
def test_no_typed_range_breaks_the_screen(typed: str) -> None:
    """Whatever is typed, it is a range or refused."""
    try:
        since, until = parse_range(typed, NOW)
    except BadRange:
        return
    assert since < (NOW if until is None else until)


def test_a_gap_is_never_bridged() -> None:
    """Points further apart than the step start a new stretch."""
    query = HistoryQuery("vm", WEB, "cpu", 0, 100)
    series = Series(query, "web1", (0, 10, 20, 60, 70), (1, 2, 3, 4, 5), (), 10.0)
    assert [len(s.times) for s in stretches(series)] == [3, 2]


@given(st.floats(0, 1e15), st.sampled_from(["%", "B", "B/s", "/s", "ms", ""]))
def test_scales_hold_their_peak(peak: float, unit: str) -> None:
    """The top of a scale is never below the highest value; ticks rise."""
    found = axis(unit, peak)
    assert found.top >= peak
    assert [value for value, _ in found.ticks] == sorted(value for value, _ in found.ticks)


@pytest.mark.parametrize("plain", [True, False])
def test_charts_of_nothing_have_axes(plain: bool) -> None:
    """An empty range still shows its scales."""
    scale = Axis(10.0, ((0.0, "0"), (10.0, "10")))
    picture = Picture(0.0, 10.0, (), ((5.0, "noon"),), scale, plain)
    text = draw(picture, 60, 12).plain
    assert "noon" in text
    assert "10" in text
    assert text.isascii() or not plain
    assert draw(picture, 10, 2).plain == ""


def test_charts_fit_their_room() -> None:
    """A drawing is never wider or higher than asked, and marks tell curves apart."""
    query = HistoryQuery("vm", WEB, "cpu", 0, 100)
    series = Series(query, "", tuple(range(100)), tuple(float(n % 7) for n in range(100)), (), 1.0)
    curves = (Curve(1, stretches(series)), Curve(2, stretches(series)))
    scale = axis("%", 7.0)
    text = draw(Picture(0, 100, curves, (), scale, marks=True), 70, 15).plain
    assert len(text.splitlines()) <= 15
    assert max(len(line) for line in text.splitlines()) <= 70
    assert "+" in text


def three_units() -> list[LegendItem]:
    """CPU in percent, memory in bytes, a latency in milliseconds, loaded."""
    wanted = [Wanted("vm", WEB, metric) for metric in ("cpu", "mem_used", "read_ms")]
    series = [
        Series(HistoryQuery(one.kind, one.ident, one.metric, 0, 100), "", tuple(range(100)),
               tuple(peak * (n % 9) / 8 for n in range(100)), (), 1.0)
        for one, peak in zip(wanted, (30.0, 3 * 2**30, 7.0), strict=True)
    ]  # fmt: skip
    return legend(wanted, series, {}, height=30)


def test_each_unit_has_a_chart_over_the_same_time() -> None:
    """Three units, three charts: axes aligned, times under the last, no line too many."""
    items = three_units()
    drawn = pictures(items, Canvas(0.0, 100.0, 80, 30))
    assert [len(one.curves) for one in drawn] == [1, 1, 1]
    assert [bool(one.times) for one in drawn] == [False, False, True]
    assert len({len(label) for one in drawn for _, label in one.scale.ticks}) == 1
    lines = stacked(drawn, 80, 30).plain.splitlines()
    assert len(lines) == 30
    frames = {line.index(sign) for line in lines for sign in "┌└" if sign in line}
    assert len(frames) == 1
    assert [item.drawn for item in items] == ["0 to 40%", "0 to 4.0G", "0 to 8.00ms"]


def test_without_room_for_three_charts_each_curve_fills_one() -> None:
    """Normalised: the legend says what the top of the chart means for each curve."""
    items = three_units()
    (one,) = pictures(items, Canvas(0.0, 100.0, 80, 12))
    assert one.scale.top == 100.0
    assert [max(curve.stretches[0].values) for curve in one.curves] == [75.0, 75.0, 87.5]
    wanted, series = [i.wanted for i in items], [i.series for i in items if i.series]
    told = [item.drawn for item in legend(wanted, series, {}, height=12)]
    assert told == ["100% = 40%", "100% = 4.0G", "100% = 8.00ms"]


def test_live_curves_keep_one_point_a_reading() -> None:
    """A reading shown twice counts once; recorded points end where live ones begin."""
    curves = Curves()
    for at, value in ((10.0, 1.0), (10.0, 9.0), (9.0, 9.0), (11.0, None)):
        curves.add(at, {"cpu": value})
    assert curves.points("cpu", [(5.0, 3.0), (10.0, 7.0)]) == [
        (5.0, 3.0),
        (10.0, 1.0),
        (11.0, None),
    ]


def test_spread_holds_rare_readings_and_leaves_gaps() -> None:
    """A reading every 15 s fills its 5 s cells; a silence longer than that is a gap."""
    points = [(0.0, 1.0), (15.0, 2.0), (100.0, 3.0)]
    cells = spread(points, 105.0, 21, 5.0, 20.0)
    assert cells[:7] == [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    assert cells[10] is None
    assert cells[-1] == 3.0


def test_shares_are_never_beyond_one() -> None:
    """Progress stays between 0 and 1 also when the total shrinks meanwhile."""
    assert done_share(progress(done=9, total=8)) == 1.0
    assert done_share(progress(done=None, remaining=2, total=8)) == 0.75
    assert done_share(progress(done=None, remaining=None)) is None
    assert done_share(progress(total=0)) is None


def test_a_disk_named_only_in_a_domain_counts_as_used() -> None:
    """A volume is used when a VM names its path, also if the pool was read before that."""
    usage = Usage(fleet())
    volume = fleet().hosts[0].pools[0].volumes[0]
    assert usage.of(replace(volume, used_by=())) == (WEB,)
    assert set(usage.of(fleet().hosts[0].pools[0].volumes[1])) == {WEB, DB}


def test_every_action_has_one_key_and_a_reason_when_barred() -> None:
    """The menu has every action once; a stopped VM can be started and not paused."""
    assert {entry.action for entry in ENTRIES} == set(Action)
    assert len({entry.key for entry in ENTRIES}) == len(ENTRIES)
    off = web(state=VmState.OFF)
    assert why_not(Action.START, off, fleet()) == ""
    assert why_not(Action.PAUSE, off, fleet()) == "it is off"
    assert why_not(Action.START, web(host="kvm3"), fleet()) == "kvm3 is down"


@given(st.text(max_size=300), st.text(max_size=5), st.sampled_from([0, 20]))
def test_any_text_can_be_shown_as_xml(text: str, wanted: str, width: int) -> None:
    """Broken XML is shown as it is; search and wrapping never fail."""
    found = search(text, wanted, width)
    shown = paint(found, wanted, None, plain=True).plain
    assert shown.isascii()


def test_xml_is_coloured_by_meaning() -> None:
    """Tags, attributes, values and comments have tones of their own."""
    [line] = coloured("<a b='c'><!-- d -->")
    tones = {line.plain[s.start : s.end]: s.style for s in line.spans}
    assert tones == {"<a": "$calm", "b": "$busy", "'c'": "$good", ">": "$calm",
                     "<!-- d -->": "$faint"}  # fmt: skip
