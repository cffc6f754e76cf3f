"""Which disk of a VM is meant."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Button, OptionList
from textual.widgets.option_list import Option

from drivers.model.vm import Vm, VmDisk
from screens.dialogs.dialog import Dialog
from screens.format import clean, fit, size
from screens.prose import DIM


def why_fixed(disk: VmDisk) -> str:
    """Why a disk cannot move to another pool; empty when it can."""
    if not disk.source:
        return "no medium"
    if disk.device != "disk":
        return f"a {disk.device}"
    return "read-only" if disk.read_only else ""


class DiskDialog(Dialog[str]):
    """Dismisses a disk's target device (``vda``) or None."""

    AUTO_FOCUS = "#disks"

    def __init__(self, vm: Vm) -> None:
        super().__init__(f"Which disk of {clean(vm.name)}?")
        self._disks = vm.disks

    def compose_body(self) -> ComposeResult:
        """One line a disk."""
        yield OptionList(*(self._option(disk) for disk in self._disks), id="disks")

    def _option(self, disk: VmDisk) -> Option:
        where = clean(disk.tier or disk.pool or "no pool")
        name, place = (
            fit(t, n, plain=self.plain) for t, n in ((clean(disk.target), 6), (where, 10))
        )
        head = f" {name} {place} {size(disk.capacity):>6}  "
        barred = why_fixed(disk)
        tail = f"no: {clean(barred)}" if barred else clean(disk.source)
        return Option(Content(head) + Content.styled(tail, DIM), disabled=bool(barred))

    def compose_buttons(self) -> ComposeResult:
        """Cancel, then on."""
        yield from super().compose_buttons()
        none = all(why_fixed(disk) for disk in self._disks)
        yield Button("Choose", id="go", compact=True, variant="primary", disabled=none)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter chooses."""
        event.stop()
        self.accept()

    def accept(self) -> None:
        """Dismiss with the line under the cursor."""
        place = self.query_one("#disks", OptionList).highlighted
        if place is not None and not why_fixed(self._disks[place]):
            self.dismiss(self._disks[place].target)
