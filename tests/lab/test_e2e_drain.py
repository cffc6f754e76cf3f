"""Real hosts are emptied by a plan, killed consoles are followed by others, nobody moves twice."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.lab.fleet import LabFleet
from drivers.lab.model import GuestSpec
from drivers.lab.processes import wait_until
from drivers.model.job import Action, JobState
from drivers.model.operation import MoveState, Operation, OperationState
from drivers.model.vm import VmState
from store.api import Store
from store.open import open_store
from tests.lab.e2e_cli import Cli
from tests.lab.e2e_console import PATIENCE_S, defined_on, running_on, sweep, volumes

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab

SHARED = ("drain-a", "drain-b", "drain-c")
LOCAL = "drain-local"


@pytest.fixture(scope="module")
def made(lab: LabFleet) -> Iterator[dict[str, str]]:
    """Three guests on shared storage and one on a local disk; name to UUID.

    They do nothing, and so cost little; that a moving guest loses no write is tested with the
    single migrations that a drain is made of.
    """
    yield {name: anew(lab, name) for name in (*SHARED, LOCAL)}
    for name in (*SHARED, LOCAL):
        lab.remove_guest(name)
        sweep(lab, name)


@pytest.fixture
def guests(mended: LabFleet, made: dict[str, str]) -> dict[str, str]:
    """Those guests, all running on kvm1 alone again, whatever the test before did to them."""
    for name, uuid in made.items():
        if not (comes_home(mended, name, uuid) and at_home(mended, name, uuid)):
            anew(mended, name)
            assert at_home(mended, name, uuid)
    return made


def anew(lab: LabFleet, name: str) -> str:
    """Make a guest on kvm1, after whatever is left of it anywhere is removed."""
    lab.remove_guest(name)
    sweep(lab, name)
    return lab.define_guest(GuestSpec(name, shared=name != LOCAL, disk_mib=16), on="kvm1")


def comes_home(lab: LabFleet, name: str, uuid: str) -> bool:
    """Whether the stock client could bring a guest back that moved without its disk."""
    home = lab.host("kvm1")
    places = defined_on(lab, uuid)
    if places == [home.name] or name == LOCAL:
        return places == [home.name]
    if len(places) != 1 or running_on(lab, uuid) != places:
        return False
    words = ["migrate", "--live", "--p2p", "--persistent", "--undefinesource", name]
    lab.host(places[0]).virsh(*words, home.peer_uri, home.migrate_uri, check=False)
    return True


def at_home(lab: LabFleet, name: str, uuid: str) -> bool:
    """Whether it runs on kvm1, is defined nowhere else, and has no other copy of its disk."""
    home = lab.host("kvm1")
    there = running_on(lab, uuid) == defined_on(lab, uuid) == [home.name]
    disks = [] if name in SHARED else [f"kvm1:hot/{name}.raw"]
    return there and home.virsh("domstate", name) == "running" and volumes(lab, name) == disks


@pytest.fixture
def cli(lab: LabFleet, tmp_path: Path) -> Cli:
    return Cli(tmp_path, lab.specs())


def others_on(lab: LabFleet, made: dict[str, str]) -> list[str]:
    """``--leave`` words for what else runs on kvm1: the fleet's own guests."""
    running = lab.host("kvm1").domains(running=True)
    return [word for uuid in running if uuid not in made.values() for word in ("--leave", uuid)]


def last(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return found


@contextmanager
def journal(cli: Cli) -> Iterator[Store]:
    """What the consoles have recorded."""
    store = open_store(cli.folder / "history.duckdb", want_writer=False)
    try:
        yield store
    finally:
        store.close()


def arrivals(cli: Cli) -> Counter[str]:
    """How often each VM arrived by a migration, as the journal tells."""
    with journal(cli) as store:
        return Counter(
            job.plan.vm_name
            for job in store.jobs(limit=1000)
            if job.plan.request.action is Action.MIGRATE and job.state is JobState.DONE
        )


def drain_of(cli: Cli) -> Operation:
    """The only drain, as recorded; nothing is left open once it has ended."""
    with journal(cli) as store:
        (drain,) = store.operations.recorded()
        assert not (drain.state.ended and store.jobs(unfinished=True))
        return drain


def test_a_host_is_drained_and_its_vms_come_home(
    lab: LabFleet, guests: dict[str, str], cli: Cli
) -> None:
    """One guest needs a choice first; then all that can move do, and return brings them back."""
    rest = others_on(lab, guests)
    dry = cli("drain", "kvm1", *rest, "--dry-run", "--json")
    assert dry.status == 4, dry.err
    plan = dry.json()
    undecided = [s["vm_name"] for s in plan["stuck"] if not s["choice"]]
    assert undecided == [LOCAL], dry.err
    assert {m["vm_name"] for m in plan["moves"]} == set(SHARED)
    assert "its storage is not shared" in dry.err
    assert running_on(lab, guests[SHARED[0]]) == ["kvm1"]
    done = cli("drain", "kvm1", *rest, "--leave", LOCAL, "--yes", "--json")
    assert done.status == 0, done.err + done.out
    told = last(done.out)
    assert told["progress"].startswith("3 of 3 moved")
    assert told["progress"].endswith("safe to reboot: no.")
    planned = {m["vm"]: m["to"] for m in told["moves"]}
    for name, target in planned.items():
        assert running_on(lab, guests[name]) == [target]
    assert running_on(lab, guests[LOCAL]) == ["kvm1"]
    assert arrivals(cli) == Counter(dict.fromkeys(SHARED, 1))
    cordons = cli("cordon", "--json").json()
    assert [c["host"] for c in cordons] == ["kvm1"]
    back = cli("migrate", SHARED[0], "--to", "kvm1", "--yes")
    assert back.status == 4, back.err
    assert "cordoned" in back.err
    home = cli("return", "kvm1", "--yes", "--json")
    assert home.status == 0, home.err + home.out
    for name in SHARED:
        assert running_on(lab, guests[name]) == ["kvm1"]
    assert cli("cordon", "--json").json() == []
    rows = cli("jobs", "--json").json()
    listed = {row["action"]: row["state"] for row in reversed(rows)}
    assert listed["drain"] == listed["return"] == "done"
    assert "running" not in [row["state"] for row in rows]
    shown = cli("jobs", "show", told["operation"], "--json").json()
    assert shown["state"] == "done"
    assert {run["move"]["uuid"]: run["state"] for run in shown["runs"]} == {
        guests[name]: "done" for name in SHARED
    }


def test_storage_is_copied_along_by_choice(lab: LabFleet, guests: dict[str, str], cli: Cli) -> None:
    """The guest on a local disk moves with it, and a pin sends another one where a person says."""
    rest = others_on(lab, guests)
    words = ["--copy", LOCAL, "--to", f"{SHARED[1]}=kvm3", "--yes", "--json"]
    done = cli("drain", "kvm1", *rest, *words)
    assert done.status == 0, done.err + done.out
    assert len(running_on(lab, guests[LOCAL])) == 1
    assert running_on(lab, guests[LOCAL]) != ["kvm1"]
    assert running_on(lab, guests[SHARED[1]]) == ["kvm3"]
    assert cli("uncordon", "kvm1").status == 0


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_drain_is_resumed_and_nobody_moves_twice(
    lab: LabFleet, guests: dict[str, str], cli: Cli, seed: int
) -> None:
    """kill -9 at a moment chosen by chance; ``jobs resume`` ends where the plan said."""
    chance = random.Random(seed)
    rest = others_on(lab, guests)
    words = [*rest, "--leave", LOCAL, "--yes", "--json"]
    lines = chance.randint(1, 9)
    with cli.begun("drain", "kvm1", *words) as process:
        assert process.stdout is not None
        for number, _line in enumerate(process.stdout, 1):
            if number >= lines:
                break
        wait_until(lambda: process.poll() is not None, chance.random() * 1.5, 0.02)
    drain = drain_of(cli)
    if drain.state is not OperationState.DONE:
        resumed = cli("jobs", "resume", drain.id, "--json")
        assert resumed.status == 0, resumed.err + resumed.out
        drain = drain_of(cli)
    assert drain.state is OperationState.DONE, drain
    assert {run.state for run in drain.runs} == {MoveState.DONE}
    for run in drain.runs:
        assert running_on(lab, run.move.uuid) == [run.move.target], run
    assert set(arrivals(cli).values()) <= {1}


def test_a_target_that_dies_is_planned_around(
    mended: LabFleet, guests: dict[str, str], cli: Cli
) -> None:
    """libvirtd of a target is killed in mid-drain: what was to go there goes elsewhere."""
    rest = others_on(mended, guests)
    words = [*rest, "--leave", LOCAL, "--to", f"{SHARED[2]}=kvm2", "--yes", "--json"]
    killed = False
    lines: list[str] = []
    with cli.begun("drain", "kvm1", *words) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            moving = any(m["state"] == "running" for m in json.loads(line)["moves"])
            if moving and not killed:
                mended.host("kvm3").libvirtd_kill()
                killed = True
        process.wait(PATIENCE_S)
    assert killed
    told = last("".join(lines))
    assert told["state"] == "done", (lines[-1], (cli.folder / "stderr").read_text())
    mended.host("kvm3").libvirtd_start()
    for move in told["moves"]:
        assert running_on(mended, move["uuid"]) == [move["to"]], move
    planned = {m["vm"]: m["to"] for m in json.loads(lines[0])["moves"]}
    ended = {m["vm"]: m["to"] for m in told["moves"]}
    assert "kvm3" in planned.values()
    assert list(ended.values()).count("kvm3") <= list(planned.values()).count("kvm3")


def test_a_stopped_guest_needs_no_move(lab: LabFleet, guests: dict[str, str], cli: Cli) -> None:
    """What is off stays, and the plan says so."""
    lab.host("kvm1").virsh("destroy", SHARED[0])
    dry = cli("drain", "kvm1", *others_on(lab, guests), "--leave", LOCAL, "--dry-run", "--json")
    assert dry.status == 0, dry.err
    assert f"{SHARED[0]} stays: it is {VmState.OFF.value}" in dry.json()["staying"]
