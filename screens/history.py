"""History: recorded figures of any hosts and VMs over any range, several in one chart."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from drivers.model.history import HistoryQuery, Series
from screens.base import FleetScreen, View
from screens.binding import bind
from screens.chart import Chart
from screens.columns import Pen, natural
from screens.dialogs.pick import PickDialog
from screens.format import clean, clean_block
from screens.messages import HistoryRequested, NamesRequested
from screens.prompt import PromptLine
from screens.prose import put
from screens.render_history import (
    RANGES,
    BadRange,
    Canvas,
    Wanted,
    date_words,
    known_names,
    legend,
    legend_columns,
    legend_rows,
    metrics_of,
    parse_range,
    pictures,
    span_words,
    unit_of,
)
from screens.table import LineTable

POINTS = 400
"""Points asked for a curve: two for each braille cell of the widest usual chart."""

REFRESH_S = 10.0
"""A range that ends now is asked for again this often, or once a point where points are longer."""

FIRST = 4
"""Hosts whose CPU is shown when nothing else was asked for."""


class HistoryScreen(FleetScreen):
    """A chart and its legend; ``series`` and ``names`` are set by the App as they arrive."""

    CSS_PATH = "history.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("history.add", "n", "add", "Add", "Add a curve: pick a VM or host, then what of it"),
        bind("history.remove", "x", "remove", "Take out", "Take the curve under the cursor out"),
        bind("history.shorter", "less_than_sign", "zoom(-1)", "Shorter", "A shorter range"),
        bind("history.longer", "greater_than_sign", "zoom(1)", "Longer", "A longer range"),
        bind("history.earlier", "comma", "pan(-0.5)", "Earlier", "Half a range back"),
        bind("history.later", "full_stop", "pan(0.5)", "Later", "Half a range on"),
        bind("history.now", "0", "now", "Now", "Back to the range that ends now"),
        bind("history.since", "e", "since", "Since", "Type a range: 2h, 14:00, 3d .. 2d"),
    ]  # fmt: skip

    heading = "History"
    footer = (
        "history.add",
        "history.since",
        "history.shorter",
        "history.longer",
        "history.earlier",
        "history.later",
        "history.now",
        "history.remove",
    )

    series: reactive[tuple[Series, ...]] = reactive(())
    """What was recorded, as far as it has arrived."""

    names: reactive[tuple[tuple[str, str, str], ...]] = reactive(())
    """(kind, identity, name) of everything ever recorded, VMs that are gone included."""

    def __init__(self, about: str = "") -> None:
        super().__init__()
        self._about = about
        self._wanted: list[Wanted] = []
        self._span = RANGES[1][1]
        self._until: float | None = None
        self._asked_at = 0.0

    def compose(self) -> ComposeResult:
        """The range in words, the chart, the legend."""
        yield Static(id="range", markup=False)
        yield Chart(id="chart")
        yield LineTable(legend_columns(), id="legend", placeholder="no curves: n adds one")

    def watch_view(self, view: View) -> None:
        """Start with what was asked for; follow the clock while the range ends now."""
        if not self.is_mounted or not view.now:
            return
        if not self._asked_at:
            self._wanted = self._first(view)
            self.post_message(NamesRequested())
            self._ask()
        elif self._until is None and view.now - self._asked_at >= self._every:
            self._ask()

    def watch_series(self) -> None:
        """Draw what arrived."""
        self._show()

    def watch_names(self) -> None:
        """Names of what is gone."""
        self._show()

    def on_resize(self) -> None:
        """Other ticks may fit."""
        self._show()

    @property
    def _every(self) -> float:
        return max(REFRESH_S, self._span / POINTS)

    @property
    def _range(self) -> tuple[float, float]:
        until = self.view.now if self._until is None else self._until
        return until - self._span, until

    def _first(self, view: View) -> list[Wanted]:
        if self._about and view.snapshot.host(self._about) is None:
            return [Wanted("vm", self._about, metric) for metric in ("cpu", "mem_used")]
        hosts = [self._about] if self._about else [h.name for h in view.snapshot.hosts[:FIRST]]
        return [Wanted("host", host, "cpu") for host in hosts]

    def _ask(self) -> None:
        """Ask for every curve over the range, and show what is known meanwhile."""
        self._asked_at = self.view.now
        since, until = self._range
        queries = (
            HistoryQuery(w.kind, w.ident, w.metric, since, until, POINTS) for w in self._wanted
        )
        if self._wanted:
            self.post_message(HistoryRequested(tuple(queries)))
        self._show()

    def _show(self) -> None:
        if not self.is_mounted or not self._asked_at:
            return
        view, (since, until) = self.view, self._range
        chart = self.query_one("#chart", Chart)
        height = chart.content_size.height
        names = known_names(view.snapshot, self.names)
        live = self._until is None
        items = legend(self._wanted, self.series, names, height, live=live)
        if self._until is None and self.series:
            since, until = self._asked_at - self._span, self._asked_at
        canvas = Canvas(since, until, self.size.width, height, view.ascii, bool(self.app.no_color))
        chart.pictures = pictures(items, canvas)
        table = self.query_one("#legend", LineTable)
        table.set_rows(legend_rows(items), Pen(view.now, view.ascii))
        lines = 1 + max(1, min(8, len(items)))
        if table.styles.height is None or table.styles.height.value != lines:
            table.styles.height = lines
            self.call_after_refresh(self._show)  # the chart has other lines now
        put(self.query_one("#range", Static), self._words(since, until))

    def _words(self, since: float, until: float) -> Content:
        line = Content.styled(span_words(self._span), "bold")
        line += Content(" until now" if self._until is None else "")
        line += Content.styled(f"  {date_words(since)} to {date_words(until)}", "$faint")
        store = self.view.store
        if store.role == "off" or store.paused:
            why = clean(store.paused) or "history is off"
            line += Content.styled(f"  not recording: {why}", "bold $care")
        return line

    def action_add(self) -> None:
        """Pick a VM or host, then a metric of it."""
        known = known_names(self.view.snapshot, self.names)
        gone = {uuid for kind, uuid in known if kind == "vm"}
        gone -= {vm.uuid for vm in self.view.snapshot.vms()}
        choices = [
            (f"{kind}/{ident}", f"{kind:<4}  {name}{'  (gone)' if ident in gone else ''}")
            for (kind, ident), name in sorted(known.items(), key=lambda e: natural(e[1]))
        ]

        def picked(key: str | None) -> None:
            if key is not None:
                kind, _, ident = key.partition("/")
                self._add_metric(kind, ident, known[(kind, ident)])

        self.app.push_screen(PickDialog("History of what?", choices), picked)

    def _add_metric(self, kind: str, ident: str, name: str) -> None:
        choices = [(m, f"{m:<12} {unit_of(m)}") for m in metrics_of(kind)]

        def picked(metric: str | None) -> None:
            wanted = Wanted(kind, ident, metric or "")
            if metric is not None and wanted not in self._wanted:
                self._wanted.append(wanted)
                self._ask()

        self.app.push_screen(PickDialog(f"What of {clean(name)}?", choices), picked)

    def action_remove(self) -> None:
        """Take the curve under the cursor out of the chart; what is recorded stays."""
        key = self.query_one("#legend", LineTable).cursor_key
        self._wanted = [one for one in self._wanted if "/".join(one) != key]
        self._show()

    def action_zoom(self, step: int) -> None:
        """The next shorter or longer range offered; its end stays."""
        spans = [span for _, span in RANGES]
        longer = [span for span in spans if span > self._span + 1]
        shorter = [span for span in spans if span < self._span - 1]
        fitting = longer[:1] if step > 0 else shorter[-1:]
        if fitting:
            self._span = fitting[0]
            self._ask()

    def action_pan(self, part: float) -> None:
        """Move the range; at the present it follows the clock again."""
        _, until = self._range
        moved = until + part * self._span
        self._until = None if moved >= self.view.now else moved
        self._ask()

    def action_now(self) -> None:
        """Follow the clock."""
        self._until = None
        self._ask()

    async def action_since(self) -> None:
        """Type a range."""

        def done(text: str | None) -> None:
            if text:
                self._use(text)

        await self.open_prompt(PromptLine("since", done))

    def _use(self, text: str) -> None:
        try:
            since, until = parse_range(text, self.view.now)
        except BadRange as error:
            told = clean_block(f"{text!r}: {error}")
            self.notify(told, severity="warning", markup=False)
            return
        self._span = (self.view.now if until is None else until) - since
        self._until = until
        self._ask()
