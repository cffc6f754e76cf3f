"""The list of everything that can be done to the VMs in question."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from drivers.model.fleet import FleetSnapshot
from drivers.model.job import Action
from drivers.model.vm import Vm
from screens.actions import ENTRIES, Entry, allowed, why_not
from screens.dialogs.dialog import Dialog
from screens.format import clean, fit, plural
from screens.prose import DIM, WARN


class ActionMenu(Dialog[Action]):
    """Dismisses the chosen action or None. What is barred stays listed, with the reason.

    A letter chooses as it does in a menu; every choice still leads to a preview.
    """

    AUTO_FOCUS = "OptionList"

    def __init__(self, vms: Sequence[Vm], snapshot: FleetSnapshot) -> None:
        self._vms = tuple(vms)
        self._snapshot = snapshot
        many = plural(len(self._vms), "VM")
        super().__init__(clean(vms[0].name) if len(self._vms) == 1 else many)

    def compose_body(self) -> ComposeResult:
        """One line an action."""
        yield OptionList(*(self._option(item) for item in ENTRIES), id="actions")

    def _option(self, item: Entry) -> Option:
        able = allowed(item.action, self._vms, self._snapshot)
        head = f" {item.key}  {fit(item.label, 14)} "
        if not able:
            reason = why_not(item.action, self._vms[0], self._snapshot)
            told = fit(f"no: {clean(reason)}", max(2, self.room - len(head)), plain=self.plain)
            line = Content.styled(f"{head}{told}", DIM)
            return Option(line, id=item.action.value, disabled=True)
        some = f"{len(able)} of {len(self._vms)}: " if len(self._vms) > 1 else ""
        told = fit(some + item.tip, max(2, self.room - len(head)), plain=self.plain)
        tip = Content.styled(told, WARN if item.harsh else DIM)
        return Option(Content(head) + tip, id=item.action.value)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter chooses."""
        event.stop()
        self.dismiss(Action(event.option.id or ""))

    def on_key(self, event: events.Key) -> None:
        """A letter chooses its line; a barred one does nothing."""
        chosen = next((item for item in ENTRIES if item.key == event.character), None)
        if chosen is None:
            return
        event.stop()
        if allowed(chosen.action, self._vms, self._snapshot):
            self.dismiss(chosen.action)

    def accept(self) -> None:
        """There is no other button than Cancel."""
        self.dismiss(None)
