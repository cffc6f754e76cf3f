"""One VM: charts since it was opened and before, disks, NICs, its job and its events."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from drivers.model.history import HistoryQuery, Series
from drivers.model.job import Job
from drivers.model.vm import Vm
from screens.acting import VmActionScreen
from screens.base import View
from screens.binding import bind
from screens.columns import Pen
from screens.dialogs.confirm import ConfirmDialog
from screens.messages import HistoryRequested, JobCancelled
from screens.points import Curves, Point
from screens.prose import BAD, Para, Prose, para, put
from screens.render.states import vm_is_stale, vm_lags
from screens.render_event import event_columns, event_rows
from screens.render_job import progress_text, title_of
from screens.render_vm import (
    CELL_S,
    CURVES,
    chart_lines,
    disk_columns,
    disk_rows,
    events_of,
    facts_text,
    head_text,
    missing_line,
    nic_columns,
    nic_rows,
    readings,
    summed,
    warnings_text,
)
from screens.table import LineTable

RECORDED_S = 1800.0
"""Recorded seconds asked for when the screen opens: more than the widest chart shows."""

FEW = 4
"""Lines of a table that come before charts of more than one line."""


class VmScreen(VmActionScreen):
    """Everything about one VM on one screen; sections scroll on their own.

    ``series`` is set by the App with what was recorded before the screen was opened.
    """

    CSS_PATH = "vm.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 - Textual's type
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("vm.facts", "i", "facts", "Facts", "Tags, age of values, what is missing and why"),
        bind("vm.cancel-job", "X", "cancel_job", "Stop job",
             "Stop the job under way, after asking"),
    ]  # fmt: skip

    heading = "VM"
    footer = (
        "vm.cancel-job",
        "vm.actions",
        "vm.migrate",
        "vm.tier",
        "vm.console",
        "vm.events",
        "vm.history",
        "vm.facts",
        "vm.xml",
    )

    series: reactive[tuple[Series, ...]] = reactive(())
    """Recorded series; points older than the first live one are drawn before it."""

    def __init__(self, uuid: str) -> None:
        super().__init__()
        self.uuid = uuid
        self._curves = Curves()
        self._asked = False
        self._charted: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Head, warnings, charts, then tables and facts."""
        yield Static(id="head", markup=False)
        yield Prose(id="alerts")
        yield Static(id="charts", markup=False)
        with Horizontal(id="below"):
            with Vertical(id="tables"):
                yield LineTable(disk_columns(), id="disks", placeholder="no disks")
                yield LineTable(nic_columns(), id="nics", placeholder="no network interfaces")
                yield LineTable(event_columns(vm=False), id="events", placeholder="no events yet")
            with VerticalScroll(id="side"):
                yield Prose(id="facts")

    def _ask_recorded(self, now: float) -> None:
        """Ask once for what was recorded before the screen was opened."""
        self._asked = True
        self.post_message(HistoryRequested(tuple(
            HistoryQuery("vm", self.uuid, metric, now - RECORDED_S, now, points=360)
            for curve in CURVES for metric in curve.metrics
        )))  # fmt: skip

    @property
    def vm(self) -> Vm | None:
        """The VM as known now, None when no host has it any more."""
        return self.view.snapshot.vm(self.uuid)

    @property
    def job(self) -> Job | None:
        """The console's own job on this VM that still runs."""
        mine = (job for job in self.view.jobs if job.plan.request.uuid == self.uuid)
        return next((job for job in mine if not job.state.ended), None)

    def acted_on(self) -> tuple[Vm, ...]:
        """This VM."""
        vm = self.vm
        return () if vm is None else (vm,)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stopping is offered while a job runs."""
        if action == "cancel_job":
            return self.job is not None
        return super().check_action(action, parameters)

    def show_view(self, view: View) -> None:
        """Take the reading and show it."""
        if not view.now:
            return
        vm = self.vm
        if vm is not None:
            self._curves.add(max(vm.fast_at, vm.slow_at), readings(vm))
        if not self._asked:
            self._ask_recorded(view.now)
        self._show(view, vm)
        self.refresh_bindings()

    def watch_series(self) -> None:
        """Draw the charts with what was recorded."""
        if self.is_mounted:
            self._show(self.view, self.vm)

    def on_resize(self) -> None:
        """Charts are as wide and high as there is room."""
        self.redraw()

    def _show(self, view: View, vm: Vm | None) -> None:
        self._show_alerts(view, vm)
        if vm is None:
            return
        pen = Pen(view.now, view.ascii)
        host = view.snapshot.host(vm.host)
        put(self.query_one("#head", Static), head_text(vm, host, view.now))
        self._show_charts(vm, pen)
        disks = self.query_one("#disks", LineTable)
        disks.set_class(host is not None and vm_lags(vm, host, view.now), "-stale")
        disks.set_rows(disk_rows(vm), pen)
        disks.styles.max_height = 1 + max(1, len(vm.disks))
        nics = self.query_one("#nics", LineTable)
        nics.set_class(host is not None and vm_is_stale(vm, host, view.now), "-stale")
        nics.set_rows(nic_rows(vm), pen)
        nics.styles.max_height = 1 + max(1, len(vm.nics))
        events = event_rows(events_of(view.events, self.uuid), view.snapshot)
        self.query_one("#events", LineTable).set_rows(events, pen)
        self.query_one("#facts", Prose).paras = tuple(facts_text(vm, host, view.now))

    def _show_alerts(self, view: View, vm: Vm | None) -> None:
        lines: list[Para] = []
        if vm is None:
            lines.append(para("No host of this fleet has this VM any more.", BAD))
        else:
            lines += warnings_text(vm)
            if vm.missing and not self.has_class("-wide"):
                lines.append(missing_line(vm))
        job, running = self.job, vm.job if vm is not None else None
        progress = job.progress if job is not None and job.progress is not None else running
        if job is not None:
            lines.append(para(title_of(job), "bold"))
        if progress is not None:
            cells = max(10, min(40, self.size.width - 50))
            told = progress_text(progress, view.now, cells=cells, plain=view.ascii)
            lines += [Para(line) for line in told]
        alerts = self.query_one("#alerts", Prose)
        alerts.display = bool(lines)
        alerts.paras = tuple(lines)

    def _show_charts(self, vm: Vm, pen: Pen) -> None:
        """Draw the charts if a reading, a cell of time, the size or the record is another."""
        key = (vm.fast_at, vm.slow_at, pen.now // CELL_S, pen.ascii, self.size, self.series)
        if key == self._charted:
            return
        self._charted = key
        height = max(1, min(5, (self.size.height - self._other_lines(vm)) // len(CURVES)))
        width = self.size.width - 2
        since = pen.now - width * CELL_S
        lines: list[Content] = []
        for curve in CURVES:
            points = self._points(curve.metrics, since)
            lines += chart_lines(vm, curve, points, width=width, height=height, pen=pen)
        put(self.query_one("#charts", Static), Content("\n").join(lines))

    def _other_lines(self, vm: Vm) -> int:
        """Lines that header, head, alerts, keys and the beginnings of the tables want; facts in
        place of the tables want all."""
        if self.has_class("-facts") and not self.has_class("-wide"):
            return self.size.height
        events = min(FEW, len(events_of(self.view.events, self.uuid)))
        alerts = len(self.query_one("#alerts", Prose).paras)
        return 6 + alerts + min(FEW, len(vm.disks)) + min(FEW, len(vm.nics)) + max(1, events)

    def _points(self, metrics: tuple[str, ...], since: float) -> list[Point]:
        recorded = {one.query.metric: one for one in self.series}
        parts = []
        for metric in metrics:
            old = recorded.get(metric)
            before = zip(old.times, old.means, strict=True) if old else ()
            parts.append(self._curves.points(metric, before, since))
        return parts[0] if len(parts) == 1 else summed(parts)

    def action_facts(self) -> None:
        """Show the facts in place of the tables, or beside them where there is room."""
        self.toggle_class("-facts")
        self._charted = ()
        self.redraw()

    def action_cancel_job(self) -> None:
        """Stop the job, once a person said so."""
        job = self.job
        if job is not None:
            self.app.push_screen(ConfirmDialog.for_stopping(job), self._stop_confirmed)

    def _stop_confirmed(self, yes: bool | None) -> None:
        job = self.job
        if yes and job is not None:
            self.post_message(JobCancelled(job.id))
