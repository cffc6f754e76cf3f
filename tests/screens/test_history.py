"""History: ranges, curves and scales."""

from __future__ import annotations

from screens import messages as ask
from screens.chart import Chart
from screens.history import HistoryScreen
from screens.table import LineTable
from tests.screens.stage import (
    NOW,
    WEB,
    Stage,
    shown_text,
    view,
)

SIZE = (80, 24)
WIDE = (160, 50)


async def test_history_of_a_vm_with_a_second_scale() -> None:
    """CPU and memory have a chart each; the legend gives scales, figures and resolution."""
    app = Stage(HistoryScreen(WEB))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.pause()
        text = shown_text(app)
        for words in ("1h until now", "100%", "4.0G", "cpu", "mem_used", "0 to 100%", "0 to 4.0G",
                      "raw, 9s a point"):  # fmt: skip
            assert words in text, words


async def test_history_ranges() -> None:
    """< and > change the range, comma goes back, e takes a typed one, nonsense is told."""
    app = Stage(HistoryScreen(WEB))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()

        def last() -> tuple[float, float]:
            asked = app.asked(ask.HistoryRequested)[-1]
            assert isinstance(asked, ask.HistoryRequested)
            return asked.queries[0].since - NOW, asked.queries[0].until - NOW

        assert last() == (-3600.0, 0.0)
        await pilot.press("greater_than_sign")
        await pilot.pause()
        assert last() == (-21_600.0, 0.0)
        await pilot.press("less_than_sign", "less_than_sign", "comma")
        await pilot.pause()
        assert last() == (-1350.0, -450.0)
        await pilot.press("e", *"2d..1d", "enter")
        await pilot.pause()
        assert last() == (-172_800.0, -86_400.0)
        await pilot.press("e", *"soon", "enter")
        await pilot.pause()
        assert last() == (-172_800.0, -86_400.0)


async def test_history_adds_and_takes_out_curves() -> None:
    """n picks a host or VM and a metric by typing; x takes the curve out again."""
    app = Stage(HistoryScreen(WEB))
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        await pilot.press("n", *"kvm2", "enter")
        await pilot.pause()
        await pilot.press(*"rtt", "enter")
        await pilot.pause()
        await pilot.pause()
        table = app.screen.query_one("#legend", LineTable)
        assert [row.item.wanted.metric for row in table.rows] == ["cpu", "mem_used", "rtt_ms"]
        assert table.rows[2].item.drawn.startswith("0 to")
        await pilot.press("x")
        await pilot.pause()
        assert [row.item.wanted.metric for row in table.rows] == ["mem_used", "rtt_ms"]
        assert len(app.screen.query_one(Chart).pictures) == 2


async def test_history_follows_the_clock_without_asking_every_second() -> None:
    """A range that ends now is asked for again after ten seconds, not at every tick."""
    app = Stage(HistoryScreen(WEB))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        for second in range(1, 10):
            app.show(view(now=NOW + second))
        await pilot.pause()
        assert len(app.asked(ask.HistoryRequested)) == 1
        app.show(view(now=NOW + 11))
        await pilot.pause()
        assert len(app.asked(ask.HistoryRequested)) == 2
