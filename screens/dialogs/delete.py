"""Which disks go with a VM that is deleted: none, unless chosen one by one."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from drivers.model.storage import Volume
from drivers.model.vm import Vm
from screens.binding import bind
from screens.dialogs.dialog import Dialog
from screens.format import clean, fit, plural, size
from screens.prose import BAD, DIM, WARN


class DeleteDialog(Dialog[tuple[str, ...]]):
    """Dismisses the paths of the volumes to delete (none by default), or None.

    A volume that another VM names too is listed and cannot be chosen.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("dialog.choose", "space", "choose", "Choose", "Delete this disk too, or keep it"),
    ]

    def __init__(self, vm: Vm, volumes: tuple[Volume, ...]) -> None:
        super().__init__(f"Delete {clean(vm.name)}", harsh=True)
        self._vm = vm
        self._volumes = volumes
        self._chosen: set[str] = set()

    def compose_body(self) -> ComposeResult:
        """What deleting means, then the volumes."""
        yield Static(
            Content(
                f"The definition of {clean(self._vm.name)} on {clean(self._vm.host)} "
                "is removed. Its disks are kept unless you choose them here."
            )
        )
        if self._volumes:
            yield OptionList(*(self._option(volume) for volume in self._volumes), id="volumes")
        else:
            yield Static(Content.styled("No disk of it lies in a pool.", DIM))

    def _others(self, volume: Volume) -> int:
        return sum(uuid != self._vm.uuid for uuid in volume.used_by)

    def _option(self, volume: Volume) -> Option:
        others = self._others(volume)
        return Option(self._line(volume), disabled=others > 0)

    def _line(self, volume: Volume) -> Content:
        others = self._others(volume)
        word = "DELETE" if volume.path in self._chosen else "keep"
        head = Content.styled(f" {word:<7}", BAD if word == "DELETE" else DIM)
        head += Content(
            f"{size(volume.allocation):>6} {fit(clean(volume.pool), 10, plain=self.plain)} "
        )
        if others:
            head += Content.styled(f"{plural(others, 'other VM')} too: ", WARN)
        return head + Content(clean(volume.path))

    def compose_form(self) -> ComposeResult:
        """How the list is used."""
        if self._volumes:
            hint = "Tab goes to the list, Space turns keep into DELETE. The preview asks again."
            yield Static(Content(hint), id="hint")

    def compose_buttons(self) -> ComposeResult:
        """Cancel, then on to the preview."""
        yield from super().compose_buttons()
        yield Button("Preview", id="go", compact=True, variant="error")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter on a line does what Space does."""
        event.stop()
        self.action_choose()

    def action_choose(self) -> None:
        """Turn the choice of the line under the cursor."""
        lines = self.query_one("#volumes", OptionList)
        place = lines.highlighted
        if place is None or not lines.has_focus or self._others(self._volumes[place]):
            return
        self._chosen ^= {self._volumes[place].path}
        lines.replace_option_prompt_at_index(place, self._line(self._volumes[place]))

    def accept(self) -> None:
        """Dismiss with what was chosen, in the order listed."""
        self.dismiss(tuple(v.path for v in self._volumes if v.path in self._chosen))
