"""Jobs: what runs, what waits for a decision, what was done."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.reactive import reactive

from drivers.model.deadletter import tried_before
from drivers.model.job import Job
from drivers.model.migration import Lever
from drivers.model.operation import Operation, WishVerb
from screens.base import FleetScreen, View
from screens.binding import bind
from screens.columns import Pen, Row
from screens.dialogs.confirm import ConfirmDialog
from screens.dialogs.followup import FollowupDialog
from screens.dialogs.levers import LeversDialog
from screens.messages import (
    JobCancelled,
    JobFollowup,
    JobsWanted,
    LeverPulled,
    OperationDismissed,
    OperationSteered,
    ViewRequested,
    VmOpened,
)
from screens.prose import WARN, Para, Prose, para
from screens.reading import Reading
from screens.render.operations import held_jobs, keeping, operation_detail, place_of, task_rows
from screens.render_job import Task, job_columns, job_text, offers_of, task_title
from screens.table import LineTable

FINISH = "finish"
"""The choice that an operation offers for all its jobs together."""


class JobsScreen(FleetScreen):
    """A table of jobs and, below or beside it, everything about the one under the cursor."""

    CSS_PATH = "jobs.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (140, "-wide")]  # noqa: RUF012 - Textual's type
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("jobs.read", "d", "read", "Read", "Give the job's text the whole screen, or not"),
        bind("jobs.stop", "x", "stop", "Stop", "Stop the job under the cursor, after asking"),
        bind("jobs.followup", "f", "followup", "What next",
             "What an ended job or operation offers: finish, undo, force off, retry, dismiss"),
        bind("jobs.levers", "l", "levers", "Levers",
             "What can be pulled to make a running migration end"),
        bind("jobs.vm", "v", "vm", "VM", "Open the job's VM"),
        bind("jobs.failed", "e", "failed", "Failed for good",
             "Only what failed for good and waits for a decision, or all"),
    ]  # fmt: skip

    heading = "Jobs"
    footer = ("jobs.levers", "jobs.stop", "jobs.followup", "jobs.failed", "jobs.read", "jobs.vm",
              "screen.filter")  # fmt: skip
    filterable = True

    failed: reactive[bool] = reactive(False, repaint=False)
    """Only what failed for good is shown."""

    def __init__(self) -> None:
        super().__init__()
        self._below: frozenset[str] = frozenset()
        self._keeping: frozenset[str] = frozenset()
        self._read: tuple[str, str] = ("", "")

    def compose(self) -> ComposeResult:
        """What the table is narrowed to, the table, and the text."""
        yield Prose(id="tab")
        columns = job_columns(
            lambda job_id: job_id in self._below and not self.failed,
            lambda operation_id: operation_id in self._keeping,
        )
        yield LineTable(columns, id="jobs", placeholder="no jobs yet")
        with Reading(id="text"):
            yield Prose(id="detail")

    @property
    def task_shown(self) -> Task | None:
        """The job or operation under the cursor."""
        tables = self.query(LineTable)
        item = tables.first().cursor_item if tables else None
        return item if isinstance(item, Job | Operation) else None

    @property
    def job(self) -> Job | None:
        """The job under the cursor."""
        shown = self.task_shown
        return shown if isinstance(shown, Job) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stopping needs a running job, what comes next an ended one."""
        shown = self.task_shown if self.is_mounted else None
        job = shown if isinstance(shown, Job) else None
        if action == "stop":
            return True if job is not None and not job.state.ended else None
        if action == "levers":
            return True if job is not None and job.progress and job.progress.levers else None
        if action == "followup":
            return True if self._offers() else None
        if action == "vm":
            return True if job is not None else None
        return super().check_action(action, parameters)

    def watch_failed(self) -> None:
        """Show the other list."""
        self.redraw()

    def on_resize(self) -> None:
        """Progress bars are as wide as there is room."""
        self.redraw()

    def on_line_table_row_highlighted(self) -> None:
        """Another job: its text, its keys."""
        self._show_text()
        self._read_jobs()
        self.refresh_bindings()

    def on_line_table_row_selected(self) -> None:
        """Enter reads a job, and opens an operation where it is steered."""
        shown = self.task_shown
        if isinstance(shown, Operation):
            self.post_message(ViewRequested(*place_of(shown)))
        else:
            self.action_read()

    def show_view(self, view: View) -> None:
        """The jobs as they stand."""
        self._below = held_jobs(view.jobs, view.operations)
        self._keeping = keeping(view.jobs, view.operations)
        found = task_rows(view.jobs, view.operations, failed=self.failed)
        rows = [row for row in found if self._passes(row)]
        table = self.query_one("#jobs", LineTable)
        nothing = "nothing failed for good" if self.failed else "no jobs yet"
        table.placeholder = "no job passes the filter" if self.filter else nothing
        table.set_rows(rows, Pen(view.now, view.ascii))
        self.set_class(self.failed, "-failed")
        keys = "f tries one again or dismisses it, e shows all" if found else "e shows all jobs"
        words = f"Failed for good: {len(found)}. {keys}."
        self.query_one("#tab", Prose).paras = (para(words, WARN),) if self.failed else ()
        self._show_text()
        self._read_jobs()
        self.refresh_bindings()

    def _read_jobs(self) -> None:
        """Ask for the jobs of the operation under the cursor, again each time it got on."""
        shown = self.task_shown
        if not isinstance(shown, Operation):
            return
        stands = shown.id, f"{shown.state} {shown.outcome}"
        if stands != self._read:
            self._read = stands
            self.post_message(JobsWanted(shown.id))

    def _offers(self) -> tuple[str, ...]:
        shown = self.task_shown
        return () if shown is None else offers_of(shown, keeps=shown.id in self._keeping)

    def _passes(self, row: Row) -> bool:
        task: Task = row.item
        words = f"{task.state} {task_title(task)} {task.plan.host} {task.outcome}"
        return self.filter.passes(
            f"{words} {task.plan.vm_name}" if isinstance(task, Job) else words
        )

    def _show_text(self) -> None:
        self.query_one("#detail", Prose).paras = tuple(self._told())

    def _told(self) -> list[Para]:
        shown, view = self.task_shown, self.view
        cells = max(10, min(40, self.size.width - 50))
        if shown is None:
            return [para("Every action becomes a job and is listed here.", "$faint")]
        if isinstance(shown, Operation):
            return operation_detail(shown, view.jobs, view.now, cells=cells, plain=view.ascii)
        before = tried_before(shown, {job.id: job for job in view.jobs})
        return job_text(shown, view.now, cells=cells, plain=view.ascii, before=before)

    def action_failed(self) -> None:
        """Only what failed for good, or all."""
        self.failed = not self.failed

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
        shown = self.task_shown
        if shown is None or not (offers := self._offers()):
            return
        if isinstance(shown, Operation) and offers == (FINISH,):
            self.post_message(JobFollowup(shown.id, FINISH))
            return

        def decided(choice: str | None) -> None:
            if choice is None:
                return
            if isinstance(shown, Operation) and choice != FINISH:
                self._decide(shown, choice)
            else:
                self.post_message(JobFollowup(shown.id, choice))

        self.app.push_screen(FollowupDialog(shown, keeps=shown.id in self._keeping), decided)

    def _decide(self, operation: Operation, choice: str) -> None:
        """Dismiss it; or go where it is planned anew, and let it go on if it only waits."""
        if choice == "dismiss":
            self.post_message(OperationDismissed(operation.id))
            return
        if not operation.state.ended:
            self.post_message(OperationSteered(operation.id, WishVerb.RESUME))
        self.post_message(ViewRequested(*place_of(operation)))
