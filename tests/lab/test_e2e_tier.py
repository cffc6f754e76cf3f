"""Disks on their way to another tier: moved, cancelled, or left by a console that was killed."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from drivers.lab.guests import wait_for_count
from drivers.lab.model import GuestSpec
from drivers.model.job import Action, Job, JobState
from drivers.model.vm import VmState
from tests.lab.e2e_cli import Cli
from tests.lab.e2e_console import PATIENCE_S, Console, running_on, still_counts, sweep, volumes

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab

LIVE, COLD = "tier-live", "tier-cold"


@pytest.fixture(scope="module")
def live(lab: LabFleet) -> Iterator[str]:
    """A running guest that counts on its disk and changes its memory; its UUID."""
    spec = GuestSpec(LIVE, write_counter=True, counter_ms=50, dirty_mib_s=2)
    yield lab.define_guest(spec, on="kvm1")
    lab.remove_guest(LIVE)
    sweep(lab, LIVE)


@pytest.fixture(scope="module")
def cold(lab: LabFleet) -> Iterator[str]:
    """A guest that has counted on its disk and is off; its UUID."""
    uuid = lab.define_guest(GuestSpec(COLD, write_counter=True, counter_ms=20), on="kvm1")
    wait_for_count(lab.host("kvm1").disk_file(COLD), 10, PATIENCE_S)
    lab.host("kvm1").virsh("destroy", COLD)
    yield uuid
    lab.remove_guest(COLD)
    sweep(lab, COLD)


def pool_of(lab: LabFleet, name: str) -> str:
    return lab.host("kvm1").disk_file(name).parent.name


def elsewhere(lab: LabFleet, name: str) -> str:
    return "warm" if pool_of(lab, name) == "hot" else "hot"


def digest(lab: LabFleet, name: str) -> str:
    return hashlib.sha256(lab.host("kvm1").disk_file(name).read_bytes()).hexdigest()


def only_in(lab: LabFleet, name: str, pool: str) -> None:
    """The VM's live and stored disk lies in that pool, and no other image of it anywhere."""
    host = lab.host("kvm1")
    file = host.disk_file(name)
    assert volumes(lab, name) == [f"kvm1:{pool}/{file.name}"]
    assert host.virsh("domblklist", name) == host.virsh("domblklist", name, "--inactive")
    assert "mirror" not in host.virsh("dumpxml", name)


def test_a_running_guests_disk_moves_under_it(lab: LabFleet, live: str, tmp_path: Path) -> None:
    """Cancelled, it stays where it was and the copy goes; completed, the old volume goes.

    The guest writes on in both, and misses none of its numbers.
    """
    image = lab.host("kvm1").disk_file(LIVE)
    wait_for_count(image, 3, PATIENCE_S)
    with Console(lab.specs()[:1], tmp_path) as console:
        vm = console.settled().sees_disk(live)
        assert vm.state is VmState.RUNNING
        cancelled = cancel_at(console, live, "block-copy")
        assert cancelled.state is JobState.CANCELLED, cancelled
        assert f"vda on {vm.disks[0].source}" in cancelled.outcome
        only_in(lab, LIVE, "hot")
        still_counts(lab, LIVE)
        done = console.do(Action.TIER, live, "warm", disk="vda")
        assert done.state is JobState.DONE, done
        only_in(lab, LIVE, "warm")
        still_counts(lab, LIVE)
        with full(lab, console, "tiny"):
            refused = console.wait(
                "a full pool is refused",
                lambda: console.plan(Action.TIER, live, "tiny", disk="vda").refusal,
            )
        assert refused is not None
        assert "vda cannot go to tiny" in refused.what
        assert refused.proof


@contextlib.contextmanager
def full(lab: LabFleet, console: Console, pool: str) -> Iterator[None]:
    """kvm1's pool without a byte left, as libvirt knows once it has looked."""
    host = lab.host("kvm1")
    filler = host.pool_folder(pool) / "filler"
    with contextlib.suppress(OSError):  # until no byte is left
        filler.write_bytes(bytes(16 << 20))
    try:
        console.engine.refresh()
        yield
    finally:
        filler.unlink()
        host.virsh("pool-refresh", pool)


def test_a_stopped_guests_disk_moves(lab: LabFleet, cold: str, tmp_path: Path) -> None:
    """Cancelled or completed, the definition names one image, and its content is the same."""
    before = digest(lab, COLD)
    with Console(lab.specs()[:1], tmp_path) as console:
        console.settled().sees_disk(cold)
        cancelled = cancel_at(console, cold, "clone")
        assert cancelled.state is JobState.CANCELLED, cancelled
        only_in(lab, COLD, "hot")
        done = console.do(Action.TIER, cold, "warm", disk="vda")
        assert done.state is JobState.DONE, done
    only_in(lab, COLD, "warm")
    assert digest(lab, COLD) == before


def cancel_at(console: Console, uuid: str, verb: str) -> Job:
    """Move the disk to the warm tier, and cancel once that step is under way."""
    job_id = console.submit(Action.TIER, uuid, "warm", disk="vda")

    def under_way() -> bool:
        job = console.job(job_id)
        return job is not None and any(
            s.step.verb == verb and s.state is not JobState.PENDING for s in job.steps
        )

    console.wait(f"{verb} is under way", under_way)
    return console.cancel(job_id)


def die_and_take_up(lab: LabFleet, folder: Path, name: str, point: str, choice: str) -> None:
    """Kill the console at ``point`` of a move; let the next one do what it offers."""
    cli = Cli(folder, lab.specs()[:1])
    here, there = pool_of(lab, name), elsewhere(lab, name)
    cli.dies(point, "tier", name, "--to", there, "--disk", "vda", "--yes", "--json")
    with Console(lab.specs()[:1], folder) as console:
        job = console.judged()
        if choice:
            assert job.state is JobState.INTERRUPTED, job
            assert choice in job.followup, job
            if choice == "retry":
                console.settled().sees_disk(job.plan.request.uuid)
            settled = console.choose(job.id, choice)
            print(settled.outcome, settled.problem, [(s.step.verb, s.note) for s in settled.steps])
            assert settled.state is JobState.DONE
        else:
            assert job.state is JobState.DONE, job
            assert job.followup == ()
    only_in(lab, name, here if choice == "undo" else there)


@pytest.mark.parametrize(
    ("point", "choice"),
    [
        ("journal:create-volume", "retry"),
        ("after:create_volume", "undo"),
        ("journal:block-copy", "finish"),
        ("after:block_copy", "undo"),
        ("after:block_copy", "finish"),
        ("journal:pivot", "undo"),
        ("journal:pivot", "finish"),
        ("after:block_pivot", "finish"),
        ("journal:verify-disk", "finish"),
        ("journal:remove-old", "finish"),
        ("after:delete_volume", ""),
    ],
)
def test_a_killed_console_leaves_a_live_move_that_the_next_one_settles(
    lab: LabFleet, live: str, tmp_path: Path, point: str, choice: str
) -> None:
    """Wherever it died, the guest writes on, and ends on one whole disk with nothing left over."""
    wait_for_count(lab.host("kvm1").disk_file(LIVE), 3, PATIENCE_S)
    die_and_take_up(lab, tmp_path, LIVE, point, choice)
    assert running_on(lab, live) == ["kvm1"]
    still_counts(lab, LIVE)


@pytest.mark.parametrize(
    ("point", "choice"),
    [
        ("journal:check-off", "retry"),
        ("journal:clone", "retry"),
        ("during:clone_volume", "undo"),
        ("after:clone_volume", "finish"),
        ("journal:compare", "undo"),
        ("journal:repoint", "finish"),
        ("after:repoint_disk", "finish"),
        ("journal:verify-disk", "finish"),
        ("journal:remove-old", "finish"),
        ("after:delete_volume", ""),
    ],
)
def test_a_killed_console_leaves_a_cold_move_that_the_next_one_settles(
    lab: LabFleet, cold: str, tmp_path: Path, point: str, choice: str
) -> None:
    """Wherever it died, the definition ends on one image with every byte of the original."""
    before = digest(lab, COLD)
    die_and_take_up(lab, tmp_path, COLD, point, choice)
    assert running_on(lab, cold) == []
    assert digest(lab, COLD) == before
