"""Jobs: what runs, what waits for a decision, what was done."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from drivers.model.job import Job
from drivers.model.migration import Lever
from screens.base import FleetScreen, View
from screens.binding import bind
from screens.columns import Pen, Row
from screens.dialogs.confirm import ConfirmDialog
from screens.dialogs.followup import FollowupDialog
from screens.dialogs.levers import LeversDialog
from screens.messages import JobCancelled, JobFollowup, LeverPulled, VmOpened
from screens.prose import Prose, para
from screens.reading import Reading
from screens.render_job import job_columns, job_rows, job_text, title_of
from screens.table import LineTable


class JobsScreen(FleetScreen):
    """A table of jobs and, below or beside it, everything about the one under the cursor."""

    CSS_PATH = "jobs.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (140, "-wide")]  # noqa: RUF012 - Textual's type
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("jobs.read", "d", "read", "Read", "Give the job's text the whole screen, or not"),
        bind("jobs.stop", "x", "stop", "Stop", "Stop the job under the cursor, after asking"),
        bind("jobs.followup", "f", "followup", "What next",
             "What an ended job offers: finish, undo, force off, retry, dismiss"),
        bind("jobs.levers", "l", "levers", "Levers",
             "What can be pulled to make a running migration end"),
        bind("jobs.vm", "v", "vm", "VM", "Open the job's VM"),
    ]  # fmt: skip

    heading = "Jobs"
    footer = ("jobs.levers", "jobs.stop", "jobs.followup", "jobs.read", "jobs.vm", "screen.filter")
    filterable = True

    def compose(self) -> ComposeResult:
        """Table and text."""
        yield LineTable(job_columns(), id="jobs", placeholder="no jobs yet")
        with Reading(id="text"):
            yield Prose(id="detail")

    @property
    def job(self) -> Job | None:
        """The job under the cursor."""
        tables = self.query(LineTable)
        item = tables.first().cursor_item if tables else None
        return item if isinstance(item, Job) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stopping needs a running job, what comes next an ended one."""
        job = self.job if self.is_mounted else None
        if action == "stop":
            return True if job is not None and not job.state.ended else None
        if action == "levers":
            return True if job is not None and job.progress and job.progress.levers else None
        if action == "followup":
            return True if job is not None and job.followup else None
        return super().check_action(action, parameters)

    def on_resize(self) -> None:
        """Progress bars are as wide as there is room."""
        self.redraw()

    def on_line_table_row_highlighted(self) -> None:
        """Another job: its text, its keys."""
        self._show_text()
        self.refresh_bindings()

    def on_line_table_row_selected(self) -> None:
        """Enter reads."""
        self.action_read()

    def show_view(self, view: View) -> None:
        """The jobs as they stand."""
        rows = [row for row in job_rows(view.jobs) if self._passes(row)]
        table = self.query_one("#jobs", LineTable)
        table.placeholder = "no job passes the filter" if self.filter else "no jobs yet"
        table.set_rows(rows, Pen(view.now, view.ascii))
        self._show_text()
        self.refresh_bindings()

    def _passes(self, row: Row) -> bool:
        job = row.item
        words = f"{job.state} {title_of(job)} {job.plan.vm_name} {job.plan.host} {job.outcome}"
        return self.filter.passes(words)

    def _show_text(self) -> None:
        job = self.job
        cells = max(10, min(40, self.size.width - 50))
        told = (
            [para("Every action becomes a job and is listed here.", "$faint")]
            if job is None
            else job_text(job, self.view.now, cells=cells, plain=self.view.ascii)
        )
        self.query_one("#detail", Prose).paras = tuple(told)

    def action_read(self) -> None:
        """Give the text the whole screen and the keys, or take both back."""
        reading = not self.has_class("-reading")
        self.set_class(reading, "-reading")
        self.query_one("#text" if reading else "#jobs").focus()

    def action_back(self) -> None:
        """Stop reading; else as on every screen."""
        if self.has_class("-reading"):
            self.action_read()
        else:
            super().action_back()

    def action_vm(self) -> None:
        """Open the VM."""
        if (job := self.job) is not None:
            self.post_message(VmOpened(job.plan.request.uuid))

    def action_stop(self) -> None:
        """Stop the job, once a person said so."""
        job = self.job
        if job is None or job.state.ended:
            return

        def decided(yes: bool | None) -> None:
            if yes:
                self.post_message(JobCancelled(job.id))

        self.app.push_screen(ConfirmDialog.for_stopping(job), decided)

    def action_levers(self) -> None:
        """Choose a lever of the migration under the cursor."""
        job = self.job
        if job is None or job.progress is None or not job.progress.levers:
            return

        def decided(lever: Lever | None) -> None:
            if lever is not None:
                self.post_message(LeverPulled(job.id, lever))

        self.app.push_screen(LeversDialog(job, ascii_only=self.view.ascii), decided)

    def action_followup(self) -> None:
        """Choose what comes next."""
        job = self.job
        if job is None or not job.followup:
            return

        def decided(choice: str | None) -> None:
            if choice is not None:
                self.post_message(JobFollowup(job.id, choice))

        self.app.push_screen(FollowupDialog(job), decided)
