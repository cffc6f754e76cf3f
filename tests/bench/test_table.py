"""The arithmetic of the benchmarks: a verdict must never flatter."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.bench import table
from tests.bench.cost import Cost, beside
from tests.bench.table import LOG, Beside, Table, above, below, figure, paired_ratio, times


def test_an_aim_is_met_or_not() -> None:
    """Limits themselves are not met, but as times of a floor; nothing beats a missing floor."""
    assert below(20).met(19.9, None)
    assert not below(20).met(20, None)
    assert above(200_000).met(200_001, None)
    assert not above(200_000).met(200_000, None)
    assert times(1.5).met(99, 1.5)
    assert not times(1.5).met(0.1, 1.51)
    assert not times(1.5).met(0.1, None)
    assert not below(50).met(math.inf, None)


def test_a_ratio_comes_from_pairs_where_there_are_any() -> None:
    """One disturbed round moves both means, and neither the median of ratios."""
    assert paired_ratio([2.0, 20.0, 4.0], [1.0, 10.0, 1.0]) == 2.0
    assert paired_ratio([1.0], [0.0]) is None
    assert Beside("floor", 2.0).over(3.0) == 1.5
    assert Beside("floor", 2.0, 1.2).over(3.0) == 1.2
    assert Beside("floor", 0.0).over(3.0) is None


def test_the_cost_of_a_floor() -> None:
    """CPU is compared round by round, and shown as the median."""
    ours, floor = Cost([3.0, 6.0, 9.0], [30.0, 60.0, 90.0]), Cost([2.0, 4.0, 3.0], [10.0] * 3)
    shown = beside("bare", ours.cpu, floor.cpu)
    assert (shown.name, shown.value, shown.ratio) == ("bare", 3.0, 1.5)


def test_percentiles() -> None:
    """The worst of few, and never of none."""
    assert table.percentile([5, 1, 4, 2, 3], 0.5) == 3
    assert table.percentile([5, 1, 4, 2, 3], 0.99) == 5
    assert table.percentile([], 0.95) == math.inf


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.554, "0.55"), (43.21, "43.2"), (671.4, "671"), (250000.0, "250,000"), (math.inf, "never")],
)
def test_figures_are_short(value: float, text: str) -> None:
    """As many digits as matter."""
    assert figure(value) == text


def test_rows_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every row lands in the log with its verdict, and the summary names what was missed."""
    log = tmp_path / "rows"
    monkeypatch.setenv(LOG, str(log))
    monkeypatch.setattr(table, "crowd", lambda: "")
    rows = Table()
    assert rows.row("fast", 1.0, aim=below(2))
    assert not rows.row("slow", 3.0, aim=below(2), reason="it is far")
    assert not rows.row("dear", 3.0, beside=Beside("bare", 1.0), aim=times(1.5))
    assert rows.row("plain", 3.0)
    rows.skip("root's", "needs root")
    assert table.summary(table.read_log(log)).splitlines() == [
        "  slow: missed: it is far",
        "  dear: missed: no reason is known",
        "5 rows: 1 met, 2 missed, 1 not measured",
    ]
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in printed] == ["met", "far", "known", "ms", "root"]
    assert table.read_log(tmp_path / "none") == []
