"""One host's maintenance: what a drain would do, how it goes, and the way home."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from drivers.model.operation import (
    Choice,
    Operation,
    OperationKind,
    OperationState,
    WishVerb,
)
from screens.base import View
from screens.binding import bind
from screens.dialogs.confirm import ConfirmDialog
from screens.dialogs.pick import PickDialog
from screens.messages import (
    CordonSet,
    MoveRetargeted,
    PlanWanted,
    VmOpened,
)
from screens.operating import OperationScreen
from screens.prose import DIM, Prose, para
from screens.render.maintenance import (
    Line,
    choose_title,
    choose_words,
    columns,
    ended_paras,
    last_drain,
    no_rows,
    operation_text,
    plan_ready,
    plan_rows,
    plan_text,
    problem_paras,
    run_rows,
    shown_operation,
    standing_paras,
)
from screens.render.upgrade import shown_upgrade
from screens.render_job import figure_words
from screens.table import LineTable


class MaintenanceScreen(OperationScreen):
    """The plan of a drain, blocked VMs first; once it runs, its progress."""

    columns = columns()
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("maintenance.run", "r", "run", "Run", "Run the plan that is shown, after asking"),
        bind("maintenance.choose", "c", "choose", "Choose",
             "What becomes of the marked VMs: leave, shut down, copy storage"),
        bind("maintenance.anew", "n", "anew", "Plan anew",
             "Make the plan again by what the hosts show now"),
        bind("maintenance.target", "t", "target", "Target",
             "Send the VM under the cursor to another host"),
        bind("maintenance.pause", "p", "pause", "Pause",
             "Begin nothing more; what moves now arrives"),
        bind("maintenance.resume", "e", "resume", "Resume",
             "Go on when paused, or take up what an ended console left"),
        bind("maintenance.cancel", "x", "cancel", "Cancel",
             "Stop what moves now and give up the rest, after asking"),
        bind("maintenance.home", "b", "home", "Bring back",
             "Plan how the VMs of the last drain come home"),
        bind("maintenance.cordon", "u", "cordon", "Cordon",
             "Close the host to new VMs, or open it"),
        bind("maintenance.vm", "v", "vm", "VM", "Open the VM under the cursor"),
    ]  # fmt: skip
    heading = "Maintenance"
    footer = (
        "maintenance.run",
        "maintenance.anew",
        "maintenance.choose",
        "maintenance.target",
        "maintenance.pause",
        "maintenance.resume",
        "maintenance.cancel",
        "maintenance.home",
        "maintenance.cordon",
        "maintenance.vm",
    )

    def __init__(self, place: str) -> None:
        """``place`` is a host, or ``return:HOST`` to plan the way home at once."""
        super().__init__()
        way, _, self.host = place.rpartition(":")
        self._pins: dict[str, str] = {}
        self._kind = OperationKind.DRAIN
        self._first = OperationKind.RETURN if way == "return" else OperationKind.DRAIN

    @property
    def operation(self) -> Operation | None:
        """The operation of this host that is under way."""
        return shown_operation(self.view.operations, self.host)

    @property
    def line(self) -> Line | None:
        """The VM under the cursor."""
        item = self.cursor_item
        return item if isinstance(item, Line) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now."""
        operation, line = self.operation, self.line
        ready = plan_ready(self.plan, self.view.cordons)
        home = operation is None and last_drain(self.view.operations, self.host) is not None
        allowed = {
            "run": operation is None and ready,
            "choose": operation is None and line is not None and bool(line.choices),
            "target": line is not None and line.waits,
            "pause": operation is not None and operation.state is OperationState.RUNNING,
            "resume": operation is not None,
            "cancel": operation is not None,
            "home": home,
            "anew": self.wants_planning,
        }
        if action in allowed:
            return True if allowed[action] else None
        return super().check_action(action, parameters)

    def show_view(self, view: View) -> None:
        """The operation under way, else the plan, else why there is none."""
        operation, plan = self.operation, self.plan
        if operation is None and not self._asked:
            self._plan(self._first)
            self._first = OperationKind.DRAIN
        told = self.query_one("#told", Prose)
        if operation is not None:
            self.plan, self._asked = None, False
            moving = {j.plan.id: j.progress for j in view.jobs if j.progress is not None}
            figures = {ident: figure_words(p, view.now) for ident, p in moving.items()}
            rows, lines = run_rows(operation, figures), operation_text(operation)
        elif plan is not None:
            rows, lines = plan_rows(plan), plan_text(plan)
        else:
            rows, lines = [], [para("Planning...", DIM)]
            if self.failure is not None:
                lines = problem_paras(self.failure)
        self.table.placeholder = no_rows(plan)
        self.show_parts(rows)
        told.paras = tuple(lines)
        self._show_standing(view, operation)
        self.refresh_bindings()

    def _show_standing(self, view: View, operation: Operation | None) -> None:
        plan = self.plan if operation is None else None
        lines = standing_paras(
            view.snapshot.host(self.host), self.host, view.cordons, plan, view.now
        )
        ended = next((o for o in view.operations if o.plan.host == self.host), None)
        if operation is None and ended is not None and ended.state.ended:
            lines += ended_paras(ended, view.snapshot.host(self.host), view.now)
        if (upgrade := shown_upgrade(view.operations, (self.host,))) is not None:
            lines.append(para(f"upgrade {upgrade.state.value}: {upgrade.outcome}"))
        self.query_one("#standing", Prose).paras = tuple(lines)

    def on_line_table_row_selected(self, event: LineTable.RowSelected) -> None:
        """Enter decides about the VM while it can be decided, else opens it."""
        event.stop()
        if self.check_action("choose", ()):
            self.action_choose()
        else:
            self.action_vm()

    def _plan(self, kind: OperationKind) -> None:
        self._asked = True
        self.failure = None
        if kind is not self._kind:
            self._kind = kind
            self._choices.clear()
            self._pins.clear()
        choices, pins = tuple(self._choices.items()), tuple(self._pins.items())
        self.post_message(PlanWanted(kind, self.host, choices, pins))

    def action_vm(self) -> None:
        """Open the VM."""
        if (line := self.line) is not None:
            self.post_message(VmOpened(line.uuid))

    def action_choose(self) -> None:
        """Decide about the marked VMs, or the one under the cursor; the plan is made anew."""
        found = (self.table.item(key) for key in self.table.chosen)
        lines = [line for line in found if isinstance(line, Line) and line.choices]
        if not lines:
            return

        def decided(choice: str | None) -> None:
            if choice is not None:
                word = Choice("" if choice == "none" else choice)
                self._choices |= {line.uuid: word for line in lines}
                self.table.mark(())
                self._plan(self._kind)

        self.app.push_screen(PickDialog(choose_title(lines), choose_words(lines)), decided)

    def action_target(self) -> None:
        """Another target for the VM under the cursor."""
        line, operation = self.line, self.operation
        if line is None:
            return

        def decided(host: str | None) -> None:
            if host is None:
                return
            if operation is not None:
                self.post_message(MoveRetargeted(operation.id, line.uuid, host))
            else:
                self._pins[line.uuid] = host
                self._plan(OperationKind.DRAIN)

        closed = {c.host for c in self.view.cordons} | {self.host}
        hosts = [(h.name, h.name) for h in self.view.snapshot.hosts if h.name not in closed]
        self.app.push_screen(PickDialog(f"Where to send {line.name}?", hosts), decided)

    def action_run(self) -> None:
        """Run exactly the plan that is shown, once a person said so."""
        if (plan := self.plan) is not None:
            harsh = any("SHUT DOWN" in line for line in plan.effects)
            title = f"{str(plan.kind).capitalize()} {self.host}?"
            self.ask_to_run(title, plan_text(plan), yes=f"Run the {plan.kind}", harsh=harsh)

    def action_pause(self) -> None:
        """Begin nothing more."""
        self.steer(WishVerb.PAUSE, self.operation)

    def action_resume(self) -> None:
        """Go on, also with what an ended console left."""
        self.steer(WishVerb.RESUME, self.operation)

    def action_cancel(self) -> None:
        """Cancel the operation, once a person said so."""
        operation = self.operation
        if operation is None:
            return

        def decided(yes: bool | None) -> None:
            if yes:
                self.steer(WishVerb.CANCEL, operation)

        told = para("VMs that move now stay where they are; those that arrived stay there.")
        dialog = ConfirmDialog("Cancel this operation?", [told], yes="Cancel it", no="Let it run")
        self.app.push_screen(dialog, decided)

    def action_anew(self) -> None:
        """The same plan by newer readings, with the choices that were made."""
        self._plan(self._kind)

    def action_home(self) -> None:
        """Plan the way home."""
        self._plan(OperationKind.RETURN)

    def action_cordon(self) -> None:
        """Close the host, or open it."""
        closed = any(c.host == self.host for c in self.view.cordons)
        self.post_message(CordonSet(self.host, not closed))
