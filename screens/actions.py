"""What can be done to a VM from the keyboard: keys, words, and when each is offered.

The only place where a screen learns which actions exist. No key here acts: each leads to a plan
and its preview, and what cannot be undone asks for the VM's name there. Hiding an action that
``protect`` forbids is a courtesy; the driver layer refuses it whatever the interface does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding

from drivers.model.fleet import FleetSnapshot
from drivers.model.host import LinkState, Protect
from drivers.model.job import Action
from drivers.model.vm import Vm, VmState


@dataclass(frozen=True, slots=True)
class Entry:
    """One action as the menu shows it.

    Attributes:
        key: Key inside the action menu; nothing outside it.
        label: One or two words.
        tip: One sentence about what it does to the guest.
        states: States in which it makes sense; empty for all.
        harsh: It can lose the guest's unsaved data or the VM itself.
    """

    action: Action
    key: str
    label: str
    tip: str
    states: tuple[VmState, ...] = ()
    harsh: bool = False


_AWAKE = (VmState.RUNNING, VmState.BLOCKED)
_ASLEEP = (VmState.OFF, VmState.CRASHED)
_ALIVE = tuple(state for state in VmState if state.active)

ENTRIES: tuple[Entry, ...] = (
    Entry(Action.START, "s", "Start", "Start the VM", _ASLEEP),
    Entry(Action.SHUTDOWN, "d", "Shut down", "Ask the guest to power off", _AWAKE),
    Entry(Action.REBOOT, "b", "Reboot", "Ask the guest to restart", _AWAKE),
    Entry(Action.PAUSE, "z", "Pause", "Freeze the vCPUs, memory stays", _AWAKE),
    Entry(
        Action.RESUME,
        "e",
        "Resume",
        "Let a paused or suspended VM go on",
        (VmState.PAUSED, VmState.SUSPENDED),
    ),
    Entry(
        Action.MIGRATE,
        "m",
        "Migrate",
        "Move the VM to another host, live or off",
        (*_AWAKE, VmState.PAUSED, *_ASLEEP),
    ),
    Entry(Action.TIER, "t", "Move disk", "Move a disk to a pool of another tier"),
    Entry(Action.AUTOSTART_ON, "w", "Autostart on", "Start the VM when its host starts"),
    Entry(Action.AUTOSTART_OFF, "o", "Autostart off", "Leave the VM off when its host starts"),
    Entry(Action.RESET, "x", "Reset", "Pull and replug: unsaved data is lost", _ALIVE, harsh=True),
    Entry(
        Action.FORCE_OFF,
        "f",
        "Force off",
        "Pull the plug: unsaved data is lost",
        _ALIVE,
        harsh=True,
    ),
    Entry(
        Action.DELETE,
        "u",
        "Delete",
        "Undefine it; its disks stay unless chosen",
        _ASLEEP,
        harsh=True,
    ),
)

BINDINGS: tuple[Binding, ...] = (
    Binding(
        "a",
        "vm_menu",
        "Actions",
        id="vm.actions",
        tooltip="Start, shut down, reboot, pause, delete and more",
    ),
    Binding(
        "m", "vm_migrate", "Migrate", id="vm.migrate", tooltip="Move the running VM to another host"
    ),
    Binding("t", "vm_tier", "Tier", id="vm.tier", tooltip="Move a disk to a pool of another tier"),
    Binding(
        "c",
        "vm_console",
        "Console",
        id="vm.console",
        tooltip="The VM's serial console in this terminal",
    ),
    Binding("y", "vm_xml", "XML", id="vm.xml", tooltip="The VM's definition"),
    Binding("l", "vm_events", "Events", id="vm.events", tooltip="What happened to this VM"),
    Binding("h", "vm_history", "History", id="vm.history", tooltip="Recorded figures of this VM"),
)
"""Keys of every screen on which VMs can be acted on; ``screens.acting`` holds what they do."""


def entry(action: Action) -> Entry:
    """The menu's entry for an action."""
    return next(item for item in ENTRIES if item.action is action)


def why_not(action: Action, vm: Vm, snapshot: FleetSnapshot) -> str:
    """Why an action is not offered for a VM, in one clause; empty when it is offered."""
    host = snapshot.host(vm.host)
    if host is None:
        return f"{vm.host} is not in the fleet"
    if host.spec.protect is Protect.RO:
        return f"{vm.host} is read-only"
    if host.link.state in (LinkState.DOWN, LinkState.CONNECTING, LinkState.DECISION):
        return f"{vm.host} is {host.link.state.value}"
    return _state_bars(action, vm)


def _state_bars(action: Action, vm: Vm) -> str:
    states = entry(action).states
    if states and vm.state not in states:
        return f"it is {vm.state.value}"
    if action is Action.AUTOSTART_ON and vm.autostart:
        return "autostart is on"
    if action is Action.AUTOSTART_OFF and not vm.autostart:
        return "autostart is off"
    if action in (Action.AUTOSTART_ON, Action.AUTOSTART_OFF) and not vm.persistent:
        return "it is transient"
    if action is Action.TIER and not any(disk.source for disk in vm.disks):
        return "it has no disk"
    return ""


LOOKED_AT = 200
"""VMs looked at to say whether a key applies: with thousands marked, keys stay quick."""


def offered(action: Action, vms: Sequence[Vm], snapshot: FleetSnapshot) -> bool:
    """Whether an action is offered for any of the first VMs."""
    return any(not why_not(action, vm, snapshot) for vm in vms[:LOOKED_AT])


def allowed(action: Action, vms: Sequence[Vm], snapshot: FleetSnapshot) -> tuple[Vm, ...]:
    """The VMs of ``vms`` for which an action is offered."""
    return tuple(vm for vm in vms if not why_not(action, vm, snapshot))
