"""Live migrations between real hosts: guests that write lose nothing, whatever happens midway."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from drivers.lab.guests import wait_for_count
from drivers.lab.model import GuestSpec
from drivers.lab.processes import wait_until
from drivers.model.host import LinkState
from drivers.model.job import Action, JobState, Verdict
from drivers.model.vm import VmState
from tests.lab.e2e_cli import Cli
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

SLOW = "1"
"""MiB a second: less than the guests change, so that a migration never ends by itself."""


@pytest.fixture(scope="module")
def console(lab: LabFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with Console(lab.specs(), tmp_path_factory.mktemp("migrate")) as console:
        yield console.settled()


@pytest.fixture
def writer(lab: LabFleet) -> Iterator[Callable[..., str]]:
    """Boots a guest on kvm1 that changes its memory and counts on its disk; gives its UUID."""
    names: list[str] = []

    def make(name: str, **values: object) -> str:
        names.append(name)
        usual = {"write_counter": True, "counter_ms": 50, "dirty_mib_s": 3, "disk_mib": 16}
        spec = GuestSpec(name, **{**usual, **values})  # type: ignore[arg-type]
        uuid = lab.define_guest(spec, on="kvm1")
        wait_for_count(lab.host("kvm1").disk_file(name), 3, PATIENCE_S)
        return uuid

    yield make
    for name in names:
        lab.remove_guest(name)
        sweep(lab, name)


def shared_or_not(kind: str) -> dict[str, object]:
    return {"shared": kind == "shared"}


@pytest.mark.parametrize("disk", ["shared", "copied"])
@pytest.mark.parametrize("mode", ["p2p", "managed"])
def test_a_writing_guest_is_cancelled_once_and_then_arrives(
    lab: LabFleet, console: Console, writer: Callable[..., str], mode: str, disk: str
) -> None:
    """Cancelled, it never left and leaves nothing behind; completed, one host alone runs it.

    No write is lost in either, the screen follows the figures, and a copied disk's old volume
    stays until a person finishes.
    """
    name = f"mig-{mode}-{disk}"
    uuid = writer(name, **shared_or_not(disk))
    console.sees_disk(uuid)
    console.vm(uuid, on="kvm1", state=VmState.RUNNING)
    before = volumes(lab, name)
    job_id = console.submit(Action.MIGRATE, uuid, "kvm2", mode=mode, bandwidth_mib=SLOW)
    moving = console.moving(job_id)
    assert moving.progress is not None
    assert moving.progress.total
    cancelled = console.cancel(job_id)
    assert cancelled.state is JobState.CANCELLED, cancelled
    assert f"{name} is running on kvm1 and nowhere else" in cancelled.outcome
    assert defined_on(lab, uuid) == ["kvm1"]
    assert volumes(lab, name) == before
    still_counts(lab, name)
    done = console.do(Action.MIGRATE, uuid, "kvm2", mode=mode)
    assert done.state is JobState.DONE, done
    assert f"{name} is running on kvm2 and nowhere else" in done.outcome
    assert defined_on(lab, uuid) == ["kvm2"]
    still_counts(lab, name)
    console.vm(uuid, on="kvm2", state=VmState.RUNNING)
    if disk == "copied":
        assert volumes(lab, name) == [f"kvm1:hot/{name}.raw", f"kvm2:hot/{name}.raw"]
        assert "finish" in done.followup
        assert console.choose(job_id=done.id, choice="finish").state is JobState.DONE
        assert volumes(lab, name) == [f"kvm2:hot/{name}.raw"]


def test_a_host_that_does_not_fit_is_refused_with_the_reason(
    lab: LabFleet, console: Console, writer: Callable[..., str]
) -> None:
    """The list says of each host whether it fits; the plan for one that does not cannot run."""
    uuid = writer("mig-fit", dirty_mib_s=0)
    other = lab.host("kvm3")
    try:
        console.sees_disk(uuid)

        def fits() -> dict[str, bool]:
            # A rescan that began before may bring the pool back: it is stopped once more.
            other.virsh("pool-destroy", "hot", check=False)
            console.engine.refresh()
            found = console.engine.targets(Action.MIGRATE, uuid).result(PATIENCE_S)
            return {fit.target: fit.fits for fit in found}

        console.wait("kvm3 does not fit", lambda: fits() == {"kvm2": True, "kvm3": False})
        plan = console.plan(Action.MIGRATE, uuid, "kvm3")
        assert plan.refusal is not None
        assert plan.steps == ()
        blocked = [c for c in plan.checks if c.verdict is Verdict.BLOCKED]
        assert blocked
        assert all(c.text and c.proof for c in blocked), blocked
        assert any("hot" in f"{c.text} {c.proof} {c.fix}" for c in blocked), blocked
    finally:
        other.virsh("pool-start", "hot", check=False)


@pytest.mark.parametrize("mode", ["p2p", "managed"])
def test_a_full_destination_is_told_with_cause_and_fix(
    lab: LabFleet, console: Console, writer: Callable[..., str], mode: str
) -> None:
    """The disk's pool fills up after the plan was made: nothing moves, nothing is left.

    Peer to peer, the source's daemon mostly loses the destination's words: the free space itself
    is the proof.
    """
    uuid = writer("mig-full", tier="tiny", disk_mib=6, dirty_mib_s=0)
    console.sees_disk(uuid)
    plan = console.plan(Action.MIGRATE, uuid, "kvm2", mode=mode)
    assert plan.refusal is None, plan.refusal
    console.read_anew()  # no look into the pools is still to come: the plan was true
    filler = lab.host("kvm2").pool_folder("tiny") / "filler"
    with contextlib.suppress(OSError):  # no byte is left: even a sparse copy needs some
        filler.write_bytes(bytes(16 << 20))
    try:
        failed = console.ended(console.run(plan))
    finally:
        filler.unlink()
    assert failed.state is JobState.FAILED, failed
    assert failed.problem is not None
    assert failed.problem.code == "copy-space", failed.problem
    assert failed.problem.what == (
        "kvm2 has not enough free space for the copy: "
        "6.0 MiB needed in /var/lib/libvirt/tiny, 0.0 MiB free"
    )
    assert "libvirt said" in failed.problem.proof
    assert failed.problem.fix
    assert "mig-full is running on kvm1 and nowhere else" in failed.outcome
    assert volumes(lab, "mig-full") == ["kvm1:tiny/mig-full.raw"]
    assert defined_on(lab, uuid) == ["kvm1"]
    still_counts(lab, "mig-full")


def test_a_destination_whose_daemon_dies_leaves_the_guest_at_home(
    lab: LabFleet, console: Console, writer: Callable[..., str]
) -> None:
    """The job says what is known; once the daemon is back, the guest is on one host, intact."""
    uuid = writer("mig-crash", shared=True)
    console.vm(uuid, on="kvm1", state=VmState.RUNNING)
    job_id = console.submit(Action.MIGRATE, uuid, "kvm2", mode="p2p", bandwidth_mib=SLOW)
    console.moving(job_id)
    lab.host("kvm2").libvirtd_kill()
    try:
        failed = console.ended(job_id)
    finally:
        lab.host("kvm2").libvirtd_start()
    assert failed.state in (JobState.FAILED, JobState.INTERRUPTED), failed
    assert failed.problem is not None
    assert failed.problem.what
    assert failed.problem.fix
    assert "mig-crash is running on kvm1" in failed.outcome, failed.outcome
    still_counts(lab, "mig-crash")

    def kvm2_is_back() -> bool:
        host = console.snapshot.host("kvm2")
        return host is not None and host.link.state is LinkState.UP

    console.wait("kvm2 comes back by itself", kvm2_is_back)
    if failed.state is JobState.INTERRUPTED:
        settled = console.choose(job_id, "undo")
        assert settled.state is JobState.DONE, settled
    assert running_on(lab, uuid) == ["kvm1"]
    assert lab.counter("mig-crash").lost == ()


def begin_and_kill(cli: Cli, *words: str) -> str:
    """Run ``novacron migrate``, SIGKILL it while memory is sent; returns the job's id."""
    with cli.begun(*words) as process:
        told = cli.until_moving(process)
    return str(told["job"])


@pytest.mark.parametrize("choice", ["finish", "undo"])
def test_a_peer_to_peer_migration_outlives_its_console(
    lab: LabFleet, tmp_path: Path, writer: Callable[..., str], choice: str
) -> None:
    """kill -9 in mid-migration: the hosts go on; the next start says so, and finishes or undoes."""
    name = f"mig-p2p-{choice}"
    uuid = writer(name, shared=True)
    cli = Cli(tmp_path, lab.specs()[:2])
    words = ("migrate", name, "--to", "kvm2", "--mode", "p2p", "--yes", "--json")
    job_id = begin_and_kill(cli, *words, "--bandwidth", SLOW)
    source = lab.host("kvm1")
    assert "Memory" in source.virsh("domjobinfo", name)
    with Console(lab.specs()[:2], tmp_path) as console:
        job = console.judged(job_id)
        assert job.state is JobState.INTERRUPTED, job
        assert "still runs" in job.outcome
        assert {"finish", "undo"} <= set(job.followup)
        if choice == "finish":
            source.virsh("migrate-setspeed", name, "1000")
        settled = console.choose(job_id, choice)
        assert settled.state is JobState.DONE, settled
        console.wait("nothing more is offered", lambda: not console.judged(job_id).followup)
    home = "kvm2" if choice == "finish" else "kvm1"
    assert running_on(lab, uuid) == defined_on(lab, uuid) == [home]
    still_counts(lab, name)


def test_a_migration_that_ended_unseen_is_found_done(
    lab: LabFleet, tmp_path: Path, writer: Callable[..., str]
) -> None:
    """It arrives after its console was killed: the next start shows it done, with nothing to do."""
    uuid = writer("mig-unseen", shared=True)
    cli = Cli(tmp_path, lab.specs()[:2])
    words = ("migrate", "mig-unseen", "--to", "kvm2", "--mode", "p2p", "--yes", "--json")
    job_id = begin_and_kill(cli, *words, "--bandwidth", SLOW)
    lab.host("kvm1").virsh("migrate-setspeed", "mig-unseen", "1000")
    assert wait_until(lambda: defined_on(lab, uuid) == ["kvm2"], PATIENCE_S, 0.2)
    with Console(lab.specs()[:2], tmp_path) as console:
        job = console.judged(job_id)
        assert job.state is JobState.DONE, job
        assert "finished although its console ended" in job.outcome
        assert job.followup == ()
    still_counts(lab, "mig-unseen")


@pytest.mark.parametrize("disk", ["shared", "copied"])
def test_a_managed_migration_dies_with_its_console_and_the_guest_stays(
    lab: LabFleet, tmp_path: Path, writer: Callable[..., str], disk: str
) -> None:
    """kill -9: libvirt aborts it, the guest stays whole; what is left of a copy can be undone."""
    name = f"mig-man-{disk}"
    uuid = writer(name, **shared_or_not(disk))
    before = volumes(lab, name)
    cli = Cli(tmp_path, lab.specs()[:2])
    words = ("migrate", name, "--to", "kvm2", "--mode", "managed", "--yes", "--json")
    job_id = begin_and_kill(cli, *words, "--bandwidth", SLOW)
    source = lab.host("kvm1")
    assert wait_until(
        lambda: (
            running_on(lab, uuid) == ["kvm1"]
            and "None" in source.virsh("domjobinfo", name, check=False)
        ),
        PATIENCE_S,
        0.2,
    )
    with Console(lab.specs()[:2], tmp_path) as console:
        job = console.judged(job_id)
        assert job.state is JobState.INTERRUPTED, job
        assert f"{name} is running on kvm1 and nowhere else" in job.outcome or (
            "left it paused" in job.outcome
        )
        if "undo" in job.followup:
            settled = console.choose(job_id, "undo")
            assert settled.state is JobState.DONE, settled
        else:
            assert "without a trace" in job.outcome
            assert "retry" in job.followup
    assert defined_on(lab, uuid) == ["kvm1"]
    assert volumes(lab, name) == before, json.dumps(volumes(lab, name))
    still_counts(lab, name)
