"""What the figures of a VM's line say when only some sources answer."""

from __future__ import annotations

import pytest

from drivers.model.vm import Vm
from screens.columns import Pen
from screens.render.vms import VmItem, vm_columns
from tests.screens.fleets import MIB, NOW, make_host, make_vm

SHARE = next(column for column in vm_columns() if column.id == "memory_pct")


def share(vm: Vm) -> str:
    """The words of the MEM% column."""
    assert SHARE.render is not None
    cell = SHARE.render(VmItem(vm, make_host(1)), Pen(NOW))
    return cell if isinstance(cell, str) else cell.text


@pytest.mark.parametrize(
    ("inside", "resident", "words"),
    [(50, 210, "50"), (None, 40, "40"), (None, 210, "-"), (None, None, "-"), (0, 40, "0")],
)
def test_the_share_of_memory_is_of_what_the_guest_may_use(
    inside: int | None, resident: int | None, words: str
) -> None:
    """QEMU's own buffers are no share of the guest's memory: more than all of it is not told."""
    vm = make_vm(
        1, "kvm1", memory=100 * MIB,
        memory_used=None if inside is None else inside * MIB,
        rss=None if resident is None else resident * MIB,
    )  # fmt: skip
    assert share(vm) == words
