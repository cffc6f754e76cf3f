"""The upgrade of a set of hosts: what it would do, and how it goes."""

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
from screens.format import age, plural
from screens.messages import PlanWanted, ViewRequested
from screens.operating import OperationScreen
from screens.prose import DIM, Prose, para
from screens.render.maintenance import CHOICES, problem_paras
from screens.render.upgrade import (
    Line,
    columns,
    is_failed,
    of_upgrade_arg,
    plan_rows,
    shown_upgrade,
    stage_rows,
    summary,
    upgrade_plan_text,
    upgrade_text,
)
from screens.table import LineTable

_NOTHING = "no upgrade is under way; mark hosts on Hosts and press w, or :upgrade HOST..."


class UpgradeScreen(OperationScreen):
    """The plan, VMs that need a choice first; once it runs, its stages.

    Args:
        hosts: As ``upgrade_arg`` makes it; empty for the upgrade that is under way.
    """

    columns = columns()
    BINDINGS: ClassVar[list[BindingType]] = [
        bind("upgrade.run", "r", "run", "Run", "Run the upgrade that is shown, after asking"),
        bind("upgrade.choose", "c", "choose", "Choose",
             "What becomes of the marked VMs: leave, shut down, copy storage"),
        bind("upgrade.anew", "n", "anew", "Plan anew",
             "Make the plan again by what the hosts show now"),
        bind("upgrade.pause", "p", "pause", "Pause",
             "Begin nothing more; what runs now ends"),
        bind("upgrade.resume", "e", "resume", "Resume",
             "Go on when paused, also by trying again what failed, after asking"),
        bind("upgrade.skip", "s", "skip", "Skip",
             "Count the step that failed as done and go on, after asking"),
        bind("upgrade.cancel", "x", "cancel", "Cancel",
             "End the upgrade and leave hosts as they are, after asking"),
        bind("upgrade.host", "v", "host", "Host", "The maintenance of the host under the cursor"),
    ]  # fmt: skip
    heading = "Upgrade"
    footer = (
        "upgrade.run",
        "upgrade.anew",
        "upgrade.choose",
        "upgrade.resume",
        "upgrade.skip",
        "upgrade.pause",
        "upgrade.cancel",
        "upgrade.host",
    )

    def __init__(self, hosts: str = "") -> None:
        super().__init__()
        self.hosts, self.rules = of_upgrade_arg(hosts)

    @property
    def operation(self) -> Operation | None:
        """The upgrade of these hosts that is under way."""
        return shown_upgrade(self.view.operations, self.hosts)

    @property
    def line(self) -> Line | None:
        """What is under the cursor."""
        item = self.cursor_item
        return item if isinstance(item, Line) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now."""
        operation, line, plan = self.operation, self.line, self.plan
        ready = plan is not None and not plan.undecided and plan.refusal is None
        allowed = {
            "run": operation is None and ready,
            "choose": operation is None and line is not None and bool(line.choices),
            "pause": operation is not None and operation.state is OperationState.RUNNING,
            "resume": operation is not None,
            "skip": is_failed(operation),
            "cancel": operation is not None,
            "anew": self.wants_planning,
            "host": line is not None and not line.uuid,
        }
        if action in allowed:
            return True if allowed[action] else None
        return super().check_action(action, parameters)

    def show_view(self, view: View) -> None:
        """The upgrade under way, else the plan, else why there is none."""
        operation, plan = self.operation, self.plan
        if operation is None and self.hosts and not self._asked:
            self._plan()
        if operation is not None:
            self.plan, self._asked = None, False
            rows, lines = stage_rows(operation, view.now), upgrade_text(operation, view.now)
        elif plan is not None:
            rows, lines = plan_rows(plan), upgrade_plan_text(plan)
        else:
            rows, lines = [], [para("Asking the hosts..." if self.hosts else _NOTHING, DIM)]
            if self.failure is not None:
                lines = problem_paras(self.failure)
        self.show_parts(rows)
        self.query_one("#told", Prose).paras = tuple(lines)
        self._show_standing(view, operation)
        self.refresh_bindings()

    def _show_standing(self, view: View, operation: Operation | None) -> None:
        upgrade = operation.plan.upgrade if operation is not None else None
        names = upgrade.names if upgrade is not None else self.hosts
        found = [h for h in view.snapshot.hosts if h.name in names]
        lines = [para(summary(names, found))] if names else []
        if operation is None:
            ended = (o for o in view.operations if o.plan.upgrade and o.state.ended)
            last = next((o for o in ended if set(names) & set(o.plan.hosts)), None)
            if last is not None:
                when = age(last.ended_at, view.now)
                lines.append(para(f"last upgrade, {when} ago: {last.outcome}", DIM))
        self.query_one("#standing", Prose).paras = tuple(lines)

    def on_line_table_row_selected(self, event: LineTable.RowSelected) -> None:
        """Enter decides about a VM that needs it, else shows the host."""
        event.stop()
        if self.check_action("choose", ()):
            self.action_choose()
        else:
            self.action_host()

    def _plan(self) -> None:
        self._asked = True
        self.failure = None
        choices = tuple(self._choices.items())
        hosts = ",".join(self.hosts)
        self.post_message(PlanWanted(OperationKind.UPGRADE, hosts, choices, rules=self.rules))

    def action_anew(self) -> None:
        """The same plan by newer readings, with the choices that were made."""
        self._plan()

    def action_host(self) -> None:
        """Open the maintenance of the host."""
        if (line := self.line) is not None and not line.uuid:
            self.post_message(ViewRequested("maintenance", line.host))

    def action_choose(self) -> None:
        """Decide about the marked VMs, or the one under the cursor; the plan is made anew."""
        plan, chosen = self.plan, self.table.chosen
        stuck = [s for s in plan.stuck if s.uuid in chosen] if plan is not None else []
        if not stuck:
            return

        def decided(choice: str | None) -> None:
            if choice is not None:
                word = Choice("" if choice == "none" else choice)
                self._choices |= {s.uuid: word for s in stuck}
                self.table.mark(())
                self._plan()

        wanted = [c for c in stuck[0].choices if all(c in s.choices for s in stuck)]
        shown = [
            (c.value or "none", f"{CHOICES[c][0]}: {CHOICES[c][1]}")
            for c in dict.fromkeys((*wanted, Choice.NONE))
        ]
        who = stuck[0].vm_name if len(stuck) == 1 else plural(len(stuck), "VM")
        self.app.push_screen(PickDialog(f"What becomes of {who}?", shown), decided)

    def action_run(self) -> None:
        """Run exactly the plan that is shown, once a person said so."""
        if (plan := self.plan) is not None:
            harsh = any("SHUT DOWN" in line or "GOES DOWN" in line for line in plan.effects)
            title, text = f"Upgrade {plan.host}?", upgrade_plan_text(plan)
            self.ask_to_run(title, text, yes="Run the upgrade", harsh=harsh)

    def action_pause(self) -> None:
        """Begin nothing more."""
        self.steer(WishVerb.PAUSE, self.operation)

    def action_resume(self) -> None:
        """Go on; where a command failed it is run again, once a person said so."""
        if is_failed(self.operation):
            self._ask(WishVerb.RESUME, "Try what failed again?", "Try it again")
        else:
            self.steer(WishVerb.RESUME, self.operation)

    def action_skip(self) -> None:
        """Count what failed as done, once a person said so."""
        self._ask(WishVerb.SKIP, "Count what failed as done?", "Skip it")

    def action_cancel(self) -> None:
        """End it, once a person said so."""
        self._ask(WishVerb.CANCEL, "Cancel this upgrade?", "Cancel it")

    def _ask(self, verb: WishVerb, title: str, yes: str) -> None:
        operation = self.operation
        if operation is None:
            return

        def decided(agreed: bool | None) -> None:
            now = self.operation
            if not agreed or now is None or now.id != operation.id:
                return
            if verb is WishVerb.CANCEL or now.problem == operation.problem:
                self.steer(verb, now)
            else:
                self._ask(verb, title, yes)  # something else has failed since it was asked

        told = problem_paras(operation.problem) if operation.problem is not None else []
        if verb is WishVerb.CANCEL:
            words = "A command that runs is let end. A host that is out stays cordoned and empty."
            told = [para(words)]
        self.app.push_screen(ConfirmDialog(title, told, yes=yes, no="Leave it"), decided)
