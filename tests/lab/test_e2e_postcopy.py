"""A post-copy migration that breaks on real hosts: what is shown meanwhile, and how it goes on.

The guest is of the kind for which recovery is meant to be reliable: its disk has an iothread, it
has no network card and no balloon, and nothing that it still needs to run is missing when the link
breaks, for it has counted on the target before. With devices that QEMU's main thread serves, and
under emulation also when the link breaks right at the switch, that thread may wait for a page that
cannot come, and then answers no recovery: such a migration ends with what is known of it (see
tests/console/test_jobs_postcopy.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.lab.fleet import LabFleet
from drivers.lab.guests import read_counter, wait_for_count
from drivers.lab.host import LabHost
from drivers.lab.model import GuestSpec
from drivers.model.job import Action, Job, JobState
from drivers.model.migration import Lever
from drivers.model.vm import VmState
from tests.lab.e2e_cli import Cli
from tests.lab.e2e_console import PATIENCE_S, Console, running_on, still_counts, sweep

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab

NAME = "split"
CAP = "2"
"""MiB a second before the switch; what is left then follows at one, for about a minute."""

BROKEN = "post-copy failed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("postcopy")


@pytest.fixture(scope="module")
def console(lab: LabFleet, folder: Path) -> Iterator[Console]:
    with Console(lab.specs(), folder) as console:
        yield console.settled()


@pytest.fixture
def guest(lab: LabFleet) -> Iterator[str]:
    """A guest on kvm1 that no thread but its own serves; gives its UUID."""
    spec = GuestSpec(
        NAME, shared=True, write_counter=True, counter_ms=100, disk_mib=16, memory_mib=128,
        nic=False,
    )  # fmt: skip
    uuid = lab.define_guest(spec, start=False)
    host = lab.host("kvm1")
    no_thread_but_its_own(host, NAME)
    host.virsh("start", NAME)
    wait_for_count(lab.store.image(NAME), 20, PATIENCE_S)
    yield uuid
    lab.remove_guest(NAME)
    sweep(lab, NAME)


def no_thread_but_its_own(host: LabHost, name: str) -> None:
    """Take from a guest's definition all that QEMU's main thread would serve."""
    text = re.sub("<memballoon.*?</memballoon>", "<memballoon model='none'/>",
                  host.virsh("dumpxml", "--inactive", name), flags=re.DOTALL)  # fmt: skip
    text = text.replace("<os>", "<iothreads>1</iothreads><os>", 1)
    text = text.replace("cache='none'", "cache='none' iothread='1'", 1)
    path = host.folder / "etc" / f"{name}.xml"
    path.write_text(text)
    host.virsh("define", host.inside(path))
    path.unlink()


def shown(console: Console, uuid: str, host: str, reason: str) -> bool:
    """The console shows the VM on that host with that reason."""
    found = console.snapshot.host(host)
    return found is not None and any(v.uuid == uuid and v.reason == reason for v in found.vms)


def test_a_broken_switch_is_shown_on_both_hosts_and_recovered(
    lab: LabFleet, console: Console, folder: Path, guest: str
) -> None:
    """The whole way: switched, broken, offered, recovered; no number of the guest's is lost."""
    options = {"bandwidth_mib": CAP, "post_copy": "yes"}
    plan = console.plan(Action.MIGRATE, guest, "kvm2", **options)
    (risk,) = [check for check in plan.checks if check.name == "post-copy"]
    assert "for software emulation, and" in risk.proof, risk  # and for none of its devices
    job_id = console.submit(Action.MIGRATE, guest, "kvm2", **options)
    console.moving(job_id)
    source, image = lab.host("kvm1"), lab.store.image(NAME)
    source.virsh("migrate-setspeed", NAME, "1", "--postcopy")
    console.engine.pull(job_id, Lever.POST_COPY, 0.0).result(PATIENCE_S)
    console.wait("the switch is shown", lambda: shown(console, guest, "kvm1", "post-copy"))
    wait_for_count(image, read_counter(image).newest + 3, PATIENCE_S)

    source.virsh("domjobabort", NAME, "--postcopy")  # breaks QEMU's connection on both ends
    broken = console.ended(job_id)
    assert broken.state is JobState.INTERRUPTED, broken
    assert "neither host alone has all of its memory" in broken.outcome
    assert broken.followup == ("recover", "dismiss")
    console.wait("both hosts say so", lambda: all(
        shown(console, guest, host, BROKEN) for host in ("kvm1", "kvm2")))  # fmt: skip
    told = {row["id"]: row["next"] for row in Cli(folder, lab.specs())("jobs", "--json").json()}
    assert told[job_id] == "recover, dismiss"

    source.virsh("migrate-setspeed", NAME, "1000", "--postcopy")  # nothing is to be broken now
    done = console.choose(job_id, "recover")
    assert done.state is JobState.DONE, done
    console.vm(guest, on="kvm2", state=VmState.RUNNING)
    assert running_on(lab, guest) == ["kvm2"]
    still_counts(lab, NAME)
    console.wait("nothing is offered any more", lambda: not _job(console, job_id).followup)


def _job(console: Console, job_id: str) -> Job:
    job = console.job(job_id)
    assert job is not None
    return job
