"""What figures and counts say when only some sources answer, or none did."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Filesystem
from drivers.model.operation import Limits, OperationKind, OperationPlan
from drivers.model.problem import Missing, Problem
from drivers.model.storage import Pool
from drivers.model.vm import Vm
from screens.base import View
from screens.columns import Pen
from screens.render.host_page import device_lines
from screens.render.maintenance import no_rows, standing_paras
from screens.render.totals import totals
from screens.render.upgrade import summary
from screens.render.vms import VmItem, vm_columns
from screens.render_storage import PoolItem, pool_columns
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


def tones(vm: Vm, *names: str) -> list[str]:
    """How these columns of a VM are drawn."""
    columns = {column.id: column for column in vm_columns()}
    draws = [columns[name].render for name in names or ("memory", "memory_pct", "uptime")]
    cells = [draw(VmItem(vm, make_host(1)), Pen(NOW)) for draw in draws if draw is not None]
    return ["" if isinstance(cell, str) else cell.tone for cell in cells]


def test_old_memory_and_uptime_are_marked_by_what_told_them() -> None:
    """libvirt tells what the guest uses, /proc what is resident and since when it runs."""
    sizes = {"memory": 100 * MIB, "memory_used": 50 * MIB, "rss": 60 * MIB}
    fresh = make_vm(1, "kvm1", started_at=NOW - 600, **sizes)
    silent = replace(fresh, slow_at=NOW - 600)
    assert tones(fresh) == ["", "", ""]
    assert tones(silent) == ["stale", "stale", ""]
    assert tones(replace(silent, memory_used=None)) == ["", "", ""]
    assert tones(replace(silent, fast_at=NOW - 600)) == ["stale", "stale", "stale"]


def test_old_bytes_of_disks_are_marked_by_what_told_them() -> None:
    """/proc counts disks of the host, libvirt those on the network and where /proc is closed."""
    silent = make_vm(1, "kvm1", slow_at=NOW - 600)
    far = replace(silent, disks=(replace(silent.disks[0], kind="network"),))
    closed = replace(silent, missing=(Missing("vm.io", "no right to read"),))
    assert tones(silent, "read", "write") == ["", ""]
    assert tones(far, "read", "write") == ["stale", "stale"]
    assert tones(closed, "read", "write") == ["stale", "stale"]
    assert tones(replace(far, slow_at=NOW), "read", "write") == ["", ""]


def test_a_host_that_was_never_read_is_not_called_empty() -> None:
    """Nobody reboots a host because its VMs are unknown."""
    silent = make_host(1, slow_at=0.0, fast_at=0.0)
    (first, *_) = standing_paras(silent, "kvm1", (), None, NOW)
    assert first.text == "kvm1: its VMs are not known, open to new VMs"
    (first, *_) = standing_paras(make_host(2), "kvm2", (), None, NOW)
    assert first.text == "kvm2: 0 VMs running, open to new VMs"
    both = (silent, make_host(2, [make_vm(1, "kvm2")]))
    assert summary(("kvm1", "kvm2"), both) == "kvm1, kvm2: 1 VM there now, those of kvm1 not known"
    assert summary(("kvm1",), both[:1]) == "kvm1: their VMs are not known"


def test_an_empty_table_of_a_refused_plan_says_nothing_of_vms() -> None:
    """Only a plan that could be made tells that no VM is there."""
    plan = OperationPlan(OperationKind.DRAIN, "kvm1", NOW, Limits())
    assert no_rows(plan) == "no VM runs here"
    assert no_rows(replace(plan, refusal=Problem("kvm1 does not answer"))) == (
        "nothing could be planned"
    )
    assert no_rows(replace(plan, kind=OperationKind.RETURN)) == "no VM has to move"


def test_volumes_of_a_pool_that_nobody_could_look_into_are_not_counted() -> None:
    """Off or dead and empty is not the same as empty; what was seen before a failure stays."""
    pools = {column.id: column for column in pool_columns()}

    def count(pool: Pool) -> str:
        draw = pools["volumes"].render
        assert draw is not None
        cell = draw(PoolItem(pool, True, 0), Pen(NOW))
        return cell if isinstance(cell, str) else cell.text

    seen = make_host(1).pools[0]
    empty = replace(seen, volumes=())
    dead = Problem("the pool does not answer")
    assert (count(seen), count(empty)) == ("1", "0")
    assert (count(replace(empty, active=False)), count(replace(empty, problem=dead))) == ("-", "-")
    assert count(replace(seen, problem=dead)) == "1"


def test_a_filesystem_of_a_server_is_named_with_the_reason_for_no_size() -> None:
    """A dead server would hang whoever asks: it is there, and nobody asks."""
    host = make_host(1)
    assert host.load is not None
    away = replace(host, load=replace(host.load, remote=(Filesystem("/nfs", "nfs4", 0, 0),)))
    (line,) = [line.plain for line in device_lines(away, View(now=NOW)) if "/nfs" in line.plain]
    assert "nfs4: sizes are never asked of a server" in line


def test_totals_of_a_fleet_that_was_not_read_are_not_zero() -> None:
    """Before the first answer nobody knows of CPUs and memory."""
    silent = replace(make_host(1), load=None, facts=None, slow_at=0.0, fast_at=0.0)
    told = totals(View(snapshot=FleetSnapshot(NOW, 1, (silent,)), now=NOW), 120).plain
    assert "0 CPUs" not in told
    assert "0B" not in told
    assert "0/1 hosts" in told
    read = View(snapshot=FleetSnapshot(NOW, 1, (make_host(1),)), now=NOW)
    assert "CPUs" in totals(read, 120).plain
