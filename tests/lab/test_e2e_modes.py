"""Other ways to move a VM than live and whole: off, from paused, over its backing file."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.jobs.figures import Paces, read_figures
from drivers.lab.fleet import LabFleet
from drivers.lab.guests import read_counter, wait_for_count
from drivers.lab.host import LabHost
from drivers.lab.model import GuestSpec, Mode
from drivers.lab.processes import wait_until
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
    assert "guest not tested: no agent" in done.outcome
    found = read_figures(done)
    assert found is not None
    assert found.bytes > 4 << 20
    assert found.downtime_ms is not None
    assert found.rate_bps > 0
    console.vm(uuid, on="kvm2", state=VmState.RUNNING)
    paces = Paces()
    paces.take(console.jobs)
    assert (("kvm1", "kvm2") in paces.bandwidth()) is (found.seconds >= 1)


def test_a_guest_with_an_agent_is_asked_where_it_arrived(
    lab: LabFleet, console: Console, guest: Callable[..., str]
) -> None:
    """The agent answers the console on the target, and ends the guest there when asked to."""
    uuid = guest("agent1", shared=True, agent=True, nic=False)
    here, there = lab.host("kvm1"), lab.host("kvm2")
    assert wait_until(lambda: clock_of(here, "agent1") > 0, PATIENCE_S, 0.2), "no agent answers"
    console.vm(uuid, on="kvm1", state=VmState.RUNNING)
    done = console.do(Action.MIGRATE, uuid, "kvm2")
    assert done.state is JobState.DONE, (done.problem, done.outcome)
    assert "agent1 is running on kvm2 and nowhere else" in done.outcome
    assert "its guest agent answers" in done.outcome
    assert clock_of(there, "agent1") > 0
    console.vm(uuid, on="kvm2", state=VmState.RUNNING)
    off = console.do(Action.SHUTDOWN, uuid)
    assert off.state is JobState.DONE, (off.problem, off.outcome)
    assert running_on(lab, uuid) == []
    assert lab.counter("agent1").lost == ()


def clock_of(host: LabHost, name: str) -> int:
    """Seconds since 1970 as the agent of a guest there tells them; 0 where none answers."""
    found = re.search(r"Time: (\d+)", host.virsh("domtime", name, check=False))
    return int(found.group(1)) if found else 0


BASE = "ground.raw"
HALF = 8 << 20
"""Bytes of half a disk: a guest counts in the first, the second is the base's alone."""


@pytest.fixture
def layered(lab: LabFleet, guest: Callable[..., str]) -> Iterator[str]:
    """A guest on kvm1 whose disk lies on a base that kvm2 has too, one byte of it different."""
    if lab.mode is not Mode.NETNS:
        pytest.skip("needs pools at the same path on each host: root and namespaces")
    content = bytes(HALF) + random.Random(1).randbytes(HALF)
    bases = [lab.host(name).pool_folder("hot") / BASE for name in ("kvm1", "kvm2")]
    for base, last in zip(bases, (content[-1], content[-1] ^ 1), strict=True):
        base.write_bytes(content[:-1] + bytes([last]))
    host = lab.host("kvm1")
    host.virsh("pool-refresh", "hot")
    of_base = ("--backing-vol", BASE, "--backing-vol-format", "raw")
    host.virsh("vol-create-as", "hot", "top1.qcow2", "16MiB", "--format", "qcow2", *of_base)
    yield guest("top1", start=False, disk_format="qcow2", channel=True)
    for base in bases:
        base.unlink()


def flat(host: LabHost, to: Path) -> Path:
    """What the guest's disk on a host reads as, from top to base."""
    seen = host.folder / "run" / "flat.raw"
    words = ("convert", "-U", "-f", "qcow2", "-O", "raw", f"{host.pool_path('hot')}/top1.qcow2")
    host.run(["qemu-img", *words, host.inside(seen)])
    return seen.rename(to)


def test_of_a_disk_on_a_base_that_is_there_only_the_top_is_sent(
    lab: LabFleet, console: Console, layered: str, tmp_path: Path
) -> None:
    """Another base is found out before anything is made; a cancelled copy leaves the base alone.

    Arrived, the disk lies on the target's base, reads as it did, and holds no byte of the base.
    A channel without an agent is told as that.
    """
    here, there = lab.host("kvm1"), lab.host("kvm2")
    here.virsh("start", "top1")
    assert wait_until(lambda: read_counter(flat(here, tmp_path / "seen")).newest >= 3, PATIENCE_S)
    console.sees_disk(layered)
    options = {"incremental": "yes", "remove_source": "yes"}
    before = volumes(lab, "")

    refused = console.do(Action.MIGRATE, layered, "kvm2", **options)
    assert refused.state is JobState.FAILED, refused
    assert refused.problem is not None
    assert refused.problem.what == "the backing file on kvm2 holds something else than the one here"
    assert "leave incremental out" in refused.problem.fix
    assert volumes(lab, "") == before

    base = there.pool_folder("hot") / BASE
    shutil.copyfile(here.pool_folder("hot") / BASE, base)
    console.read_anew()
    job_id = console.submit(Action.MIGRATE, layered, "kvm2", bandwidth_mib="1", **options)
    console.moving(job_id)
    assert "kvm2:hot/top1.qcow2" in volumes(lab, "top1")
    cancelled = console.cancel(job_id)
    assert cancelled.state is JobState.CANCELLED, cancelled
    assert "top1 is running on kvm1 and nowhere else" in cancelled.outcome
    assert volumes(lab, "") == before
    content = base.read_bytes()
    assert content == (here.pool_folder("hot") / BASE).read_bytes()

    console.read_anew()
    done = console.do(Action.MIGRATE, layered, "kvm2", **options)
    assert done.state is JobState.DONE, (done.problem, done.outcome)
    assert "its guest agent does NOT answer" in done.outcome
    assert running_on(lab, layered) == defined_on(lab, layered) == ["kvm2"]
    assert volumes(lab, "top1") == ["kvm2:hot/top1.qcow2"]
    top = there.pool_folder("hot") / "top1.qcow2"
    assert top.stat().st_blocks * 512 < HALF // 4
    assert f"<source file='{there.pool_path('hot')}/{BASE}'" in there.virsh("dumpxml", "top1")
    there.virsh("destroy", "top1")
    counted = read_counter(flat(there, tmp_path / "arrived"))
    assert counted.newest > read_counter(tmp_path / "seen").newest
    assert counted.lost == ()
    assert (tmp_path / "arrived").read_bytes()[HALF:] == content[HALF:]
    assert base.read_bytes() == content
