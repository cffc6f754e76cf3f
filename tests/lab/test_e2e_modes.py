"""Other ways to move a VM than live and whole: off, from paused, over its backing file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from console.jobs.figures import Paces, read_figures
from drivers.lab.fleet import LabFleet
from drivers.lab.guests import wait_for_count
from drivers.lab.model import GuestSpec
from drivers.model.job import Action, JobState
from drivers.model.vm import VmState
from tests.lab.e2e_console import (
    PATIENCE_S,
    Console,
    defined_on,
    running_on,
    still_counts,
    sweep,
    volumes,
)

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def console(lab: LabFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with Console(lab.specs(), tmp_path_factory.mktemp("modes")) as console:
        yield console.settled()


@pytest.fixture
def guest(lab: LabFleet) -> Iterator[Callable[..., str]]:
    """Boots a counting guest on kvm1; gives its UUID."""
    names: list[str] = []

    def make(name: str, *, start: bool = True, **values: object) -> str:
        names.append(name)
        usual = {"write_counter": True, "counter_ms": 50, "disk_mib": 16}
        spec = GuestSpec(name, **{**usual, **values})  # type: ignore[arg-type]
        uuid = lab.define_guest(spec, on="kvm1", start=start)
        if start:
            wait_for_count(lab.host("kvm1").disk_file(name), 3, PATIENCE_S)
        return uuid

    yield make
    for name in names:
        lab.remove_guest(name)
        sweep(lab, name)


def test_a_vm_that_is_off_moves_with_its_disk_and_counts_on_there(
    lab: LabFleet, console: Console, guest: Callable[..., str]
) -> None:
    """Sent through the console, compared, defined there and forgotten here; nothing is lost."""
    uuid = guest("off1")
    console.sees_disk(uuid)
    lab.host("kvm1").virsh("destroy", "off1")
    console.vm(uuid, on="kvm1", state=VmState.OFF)
    before = lab.counter("off1").newest
    done = console.do(Action.MIGRATE, uuid, "kvm2", remove_source="yes")
    assert done.state is JobState.DONE, (done.problem, done.outcome)
    assert "off1 is off on kvm2, and kvm1 forgot it" in done.outcome
    assert any("same SHA-256" in run.note for run in done.steps), done.steps
    assert defined_on(lab, uuid) == ["kvm2"]
    assert volumes(lab, "off1") == ["kvm2:hot/off1.raw"]
    assert lab.counter("off1").newest == before
    console.vm(uuid, on="kvm2", state=VmState.OFF)
    started = console.do(Action.START, uuid)
    assert started.state is JobState.DONE, started
    assert running_on(lab, uuid) == ["kvm2"]
    still_counts(lab, "off1")


def test_an_image_with_a_format_of_its_own_arrives_as_it_was(
    lab: LabFleet, console: Console, guest: Callable[..., str]
) -> None:
    """A qcow2 file is sent as it is, stays at the source until asked for, and is known there."""
    uuid = guest("off2", start=False, disk_format="qcow2")
    console.sees_disk(uuid)
    done = console.do(Action.MIGRATE, uuid, "kvm2")
    assert done.state is JobState.DONE, (done.problem, done.outcome)
    assert volumes(lab, "off2") == ["kvm1:hot/off2.qcow2", "kvm2:hot/off2.qcow2"]
    here, there = (lab.host(h).pool_folder("hot") / "off2.qcow2" for h in ("kvm1", "kvm2"))
    assert there.read_bytes().rstrip(b"\0") == here.read_bytes().rstrip(b"\0")
    assert "<format type='qcow2'/>" in lab.host("kvm2").virsh("vol-dumpxml", "off2.qcow2", "hot")


def test_what_a_migration_took_is_kept_and_estimates_the_next(
    lab: LabFleet, console: Console, guest: Callable[..., str]
) -> None:
    """Duration, standstill, bytes and rate, as libvirt told them on the host of arrival."""
    uuid = guest("figures1", shared=True, dirty_mib_s=40, memory_mib=160)
    done = console.do(Action.MIGRATE, uuid, "kvm2")
    assert done.state is JobState.DONE, (done.problem, done.outcome)
    found = read_figures(done)
    assert found is not None
    assert found.bytes > 4 << 20
    assert found.downtime_ms is not None
    assert found.rate_bps > 0
    console.vm(uuid, on="kvm2", state=VmState.RUNNING)
    paces = Paces()
    paces.take(console.jobs)
    assert (("kvm1", "kvm2") in paces.bandwidth()) is (found.seconds >= 1)
