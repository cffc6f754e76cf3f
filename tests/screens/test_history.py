"""History: ranges, curves and scales."""

from __future__ import annotations

from screens import messages as ask
from screens.chart import Chart
from screens.history import HistoryScreen
from screens.table import LineTable
from tests.screens.conftest import until
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
        wanted = ("1h until now", "100%", "4.0G", "cpu", "mem_used", "0 to 100%", "0 to 4.0G",
                  "raw, 9s a point")  # fmt: skip
        await until(pilot, lambda: all(words in shown_text(app) for words in wanted))


async def test_history_ranges() -> None:
    """< and > change the range, comma goes back, e takes a typed one, nonsense is told."""
    app = Stage(HistoryScreen(WEB))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: bool(app.asked(ask.HistoryRequested)))

        def last() -> tuple[float, float]:
            asked = app.asked(ask.HistoryRequested)[-1]
            assert isinstance(asked, ask.HistoryRequested)
            return asked.queries[0].since - NOW, asked.queries[0].until - NOW

        assert last() == (-3600.0, 0.0)
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: last() == (-21_600.0, 0.0))
        await pilot.press("less_than_sign", "less_than_sign", "comma")
        await until(pilot, lambda: last() == (-1350.0, -450.0))
        await pilot.press("e", *"2d..1d", "enter")
        await until(pilot, lambda: last() == (-172_800.0, -86_400.0))
        await pilot.press("e", *"soon", "enter")
        await pilot.pause()
        assert last() == (-172_800.0, -86_400.0)


async def test_history_adds_and_takes_out_curves() -> None:
    """n picks a host or VM and a metric by typing; x takes the curve out again."""
    app = Stage(HistoryScreen(WEB))
    async with app.run_test(size=WIDE) as pilot:
        table = app.front.query_one("#legend", LineTable)

        def curves() -> list[str]:
            return [row.item.wanted.metric for row in table.rows]

        await until(pilot, lambda: curves() == ["cpu", "mem_used"])
        await pilot.press("n")
        await until(pilot, lambda: app.screen is not app.front)
        first = app.screen
        await pilot.press(*"kvm2", "enter")
        await until(pilot, lambda: app.screen not in (app.front, first))
        await pilot.press(*"rtt", "enter")
        await until(pilot, lambda: curves() == ["cpu", "mem_used", "rtt_ms"])
        await until(pilot, lambda: table.rows[2].item.drawn.startswith("0 to"))
        await pilot.press("x")
        await until(pilot, lambda: curves() == ["mem_used", "rtt_ms"])
        await until(pilot, lambda: len(app.front.query_one(Chart).pictures) == 2)


async def test_history_follows_the_clock_without_asking_every_second() -> None:
    """A range that ends now is asked for again after ten seconds, not at every tick."""
    app = Stage(HistoryScreen(WEB))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: bool(app.asked(ask.HistoryRequested)))
        for second in range(1, 10):
            app.show(view(now=NOW + second))
        await pilot.pause()
        assert len(app.asked(ask.HistoryRequested)) == 1
        app.show(view(now=NOW + 11))
        await until(pilot, lambda: len(app.asked(ask.HistoryRequested)) == 2)
