"""Base of the screens on which VMs can be acted on: one list of keys, one meaning each."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from drivers.model.job import Action
from drivers.model.vm import Vm
from screens.actions import BINDINGS as VM_BINDINGS
from screens.actions import allowed, offered, why_not
from screens.base import FleetScreen
from screens.dialogs.action_menu import ActionMenu
from screens.format import clean
from screens.messages import ActionRequested, ConsoleRequested, ViewRequested, XmlRequested


class VmActionScreen(FleetScreen):
    """A screen with VMs to act on; subclasses say which by ``acted_on``."""

    BINDINGS: ClassVar[list[BindingType]] = [*VM_BINDINGS]

    def acted_on(self) -> tuple[Vm, ...]:
        """The VMs an action key means now: the marked ones, else the one under the cursor."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what no VM in question can take; ``protect`` counts."""
        if action not in ("vm_migrate", "vm_tier", "vm_console"):
            return super().check_action(action, parameters)
        vms = self.acted_on()
        if action == "vm_console":
            return True if any(vm.state.active for vm in vms[:1]) else None
        wanted = Action.MIGRATE if action == "vm_migrate" else Action.TIER
        return True if offered(wanted, vms, self.view.snapshot) else None

    def request_action(self, action: Action) -> None:
        """Post a request for every VM that can take the action, or say why none can."""
        vms = self.acted_on()
        able = allowed(action, vms, self.view.snapshot)
        if able:
            self.post_message(ActionRequested(action, tuple(vm.uuid for vm in able)))
        elif vms:
            reason = why_not(action, vms[0], self.view.snapshot)
            self.notify(f"{clean(vms[0].name)}: {reason}", severity="warning", markup=False)

    def action_vm_menu(self) -> None:
        """Open the action menu."""
        vms = self.acted_on()
        if vms:
            self.app.push_screen(ActionMenu(vms, self.view.snapshot), self._menu_closed)

    def _menu_closed(self, action: Action | None) -> None:
        if action is not None:
            self.request_action(action)

    def action_vm_migrate(self) -> None:
        """Ask for a live migration."""
        self.request_action(Action.MIGRATE)

    def action_vm_tier(self) -> None:
        """Ask for a move of a disk."""
        self.request_action(Action.TIER)

    def action_vm_console(self) -> None:
        """Leave for the serial console of the first VM in question."""
        for vm in self.acted_on()[:1]:
            self.post_message(ConsoleRequested(vm.uuid))

    def action_vm_xml(self) -> None:
        """Show the definition of the first VM in question."""
        for vm in self.acted_on()[:1]:
            self.post_message(XmlRequested(vm.uuid))

    def action_vm_events(self) -> None:
        """Show what happened to the first VM in question."""
        for vm in self.acted_on()[:1]:
            self.post_message(ViewRequested("events", vm.uuid))

    def action_vm_history(self) -> None:
        """Show recorded figures of the first VM in question."""
        for vm in self.acted_on()[:1]:
            self.post_message(ViewRequested("history", vm.uuid))
