"""The pre-flight matrix over real hosts: what it says is what then happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.kvm.driver import KvmDriver
from drivers.lab.fleet import LabFleet
from drivers.lab.model import GuestSpec
from drivers.model.caps import CpuMatch, CpuNeed, Reached
from drivers.model.job import Action, Check, JobState, Verdict
from drivers.model.matrix import Cell, Matrix, worst
from drivers.model.vm import VmState
from tests.contract.conftest import Nobody
from tests.lab.e2e_cli import Cli
from tests.lab.e2e_console import PATIENCE_S, Console, sweep

pytest.importorskip("libvirt")
pytestmark = pytest.mark.lab

NOWHERE = "tcp://10.254.254.254"
"""An address that no host of the lab has."""


@pytest.fixture(scope="module")
def console(lab: LabFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with Console(lab.specs(), tmp_path_factory.mktemp("preflight")) as console:
        yield console.settled()


@pytest.fixture
def guest(lab: LabFleet, console: Console) -> Iterator[Callable[..., str]]:
    """Boots a guest on kvm1 and gives its UUID once the console sees its disk."""
    names: list[str] = []

    def make(name: str, **values: object) -> str:
        names.append(name)
        spec = GuestSpec(name, **{"disk_mib": 16, **values})  # type: ignore[arg-type]
        uuid = lab.define_guest(spec, on="kvm1")
        console.sees_disk(uuid)
        console.vm(uuid, on="kvm1", state=VmState.RUNNING)
        return uuid

    yield make
    for name in names:
        lab.remove_guest(name)
        sweep(lab, name)


def matrix(console: Console, *uuids: str) -> Matrix:
    return console.engine.preflight(uuids, ()).result(PATIENCE_S)


def becomes(console: Console, verdict: Verdict, uuid: str, *targets: str) -> Matrix:
    """Ask until the VM's cells have that verdict: on a busy machine an answer may come too late."""

    def so() -> Matrix | None:
        found = matrix(console, uuid)
        return found if all(beside(cell(found, uuid, t)) is verdict for t in targets) else None

    found = console.wait(f"{uuid} is {verdict} on {targets}", so)
    assert found is not None
    return found


def cell(found: Matrix, uuid: str, target: str) -> Cell:
    one = found.cell(uuid, target)
    assert one is not None
    return one


def reasons(one: Cell, verdict: Verdict) -> list[Check]:
    """Its checks of that verdict, but for what an older QEMU here makes of every guest."""
    assert one.fit is not None
    return [c for c in one.fit.reasons if c.verdict is verdict and c.name != "emulation"]


def beside(one: Cell) -> Verdict:
    """The cell's verdict, but for that."""
    return worst([c for verdict in Verdict for c in reasons(one, verdict)])


def test_one_ok_one_warned_one_blocked_and_each_comes_true(
    lab: LabFleet, console: Console, guest: Callable[..., str]
) -> None:
    """Over three hosts; the ok one moves, the warned one loses what was said, and libvirt refuses
    the blocked one in the words of its proof."""
    here, there = lab.host("kvm1"), lab.host("kvm2")
    fine = guest("pf-fine", shared=True)
    warned = guest("pf-warned", shared=True)
    kept = guest("pf-kept", disk_format="qcow2")
    here.virsh("autostart", "pf-warned")
    here.virsh("snapshot-create-as", "pf-kept", "s1")
    try:
        becomes(console, Verdict.OK, fine, "kvm2", "kvm3")
        becomes(console, Verdict.WARN, warned, "kvm2", "kvm3")
        becomes(console, Verdict.BLOCKED, kept, "kvm2", "kvm3")
        found = matrix(console, fine, warned, kept)
        assert found.targets == ("kvm1", "kvm2", "kvm3")
        for target in ("kvm2", "kvm3"):
            assert [c.name for c in reasons(cell(found, warned, target), Verdict.WARN)] == [
                "autostart"
            ]
            (blocked,) = reasons(cell(found, kept, target), Verdict.BLOCKED)
            assert (blocked.name, blocked.proof) == ("snapshots", "1 snapshots kept, 0 allowed")
        assert cell(found, fine, "kvm1").here
        assert console.plan(Action.MIGRATE, kept, "kvm2").refusal is not None
        words = ["virsh", "migrate", "--live", "--copy-storage-all", "--p2p", "pf-kept",
                 there.peer_uri, there.migrate_uri]  # fmt: skip
        refused = here.run(words, check=False)
        assert refused.returncode != 0
        assert "cannot migrate domain with 1 snapshots" in refused.stderr
        for uuid in (fine, warned):
            assert console.do(Action.MIGRATE, uuid, "kvm2").state is JobState.DONE
        assert "disable" in there.virsh("dominfo", "pf-warned").partition("Autostart:")[2]
    finally:
        here.virsh("snapshot-delete", "pf-kept", "s1")


def test_a_missing_pool_blocks_one_host_alone(
    lab: LabFleet, console: Console, guest: Callable[..., str]
) -> None:
    """A copy needs a pool there, and the other target is not blamed for it."""
    uuid = guest("pf-pool")
    other = lab.host("kvm3")
    try:

        def blocked() -> tuple[Check, ...]:
            # A rescan that began before may bring the pool back: it is stopped once more.
            other.virsh("pool-destroy", "hot", check=False)
            console.engine.refresh()
            found = matrix(console, uuid)
            assert reasons(cell(found, uuid, "kvm2"), Verdict.BLOCKED) == []
            return tuple(reasons(cell(found, uuid, "kvm3"), Verdict.BLOCKED))

        (why,) = console.wait("kvm3 is blocked", blocked)
        assert why.name == "disk vda"
        assert "pool hot" in why.proof
        assert why.fix
    finally:
        other.virsh("pool-start", "hot", check=False)


def test_a_migration_address_that_no_host_has_is_dialled_and_found_dead(
    lab: LabFleet, guest: Callable[..., str], tmp_path: Path
) -> None:
    """A real attempt from the source: kvm3 is blocked with what the attempt said, kvm2 is not."""
    uuid = guest("pf-way", shared=True)
    specs = [
        replace(s, migrate_uri=NOWHERE) if s.name == "kvm3" else s for s in lab.specs()
    ]  # fmt: skip
    with Console(specs, tmp_path) as other:
        other.settled().sees_disk(uuid)
        becomes(other, Verdict.OK, uuid, "kvm2")
        found = becomes(other, Verdict.BLOCKED, uuid, "kvm3")
        (why,) = reasons(cell(found, uuid, "kvm3"), Verdict.BLOCKED)
        assert why.name == "data path"
        assert "10.254.254.254:49152" in why.proof


def test_a_hung_guest_holds_up_neither_the_others_nor_the_poller(
    lab: LabFleet, console: Console, guest: Callable[..., str]
) -> None:
    """Its own cells are not ok; the other guest's are, and its figures go on being read."""
    hung, well = guest("pf-hung", shared=True), guest("pf-well", shared=True)
    host = lab.host("kvm1")
    host.qemu_stop("pf-hung")
    try:
        before = console.vm(well).slow_at
        asked = console.engine.preflight((hung, well), ("kvm2",))
        console.wait("the other guest is read meanwhile", lambda: console.vm(well).slow_at > before)
        found = asked.result(PATIENCE_S)
        assert reasons(cell(found, well, "kvm2"), Verdict.BLOCKED) == []

        def judged() -> Matrix | None:
            again = console.engine.preflight((hung, well), ("kvm2",)).result(PATIENCE_S)
            return again if not reasons(cell(again, well, "kvm2"), Verdict.NOT_TESTED) else None

        told = console.wait("every question about the other guest is answered", judged)
        assert told is not None
        found = told
        assert reasons(cell(found, well, "kvm2"), Verdict.BLOCKED) == []
        assert cell(found, hung, "kvm2").verdict is not Verdict.OK
        assert all(c.proof for c in reasons(cell(found, hung, "kvm2"), Verdict.NOT_TESTED))
    finally:
        host.qemu_continue("pf-hung")


async def test_libvirt_itself_names_what_a_host_lacks(
    lab: LabFleet, guest: Callable[..., str]
) -> None:
    """A CPU and a machine type that this machine does not have, asked of a real hypervisor."""
    uuid = guest("pf-cpu", shared=True)
    source, target = (KvmDriver(lab.host(n).spec(), Nobody()) for n in ("kvm1", "kvm2"))
    try:
        await source.connect()
        await target.connect()
        needs = await source.needs(uuid)
        lofty = CpuNeed(
            "custom", "qemu64", ("svm-no-such",), "<cpu mode='custom' match='exact'>"
            "<model>Icelake-Server</model><feature policy='require' name='avx512vbmi2'/></cpu>",
        )  # fmt: skip
        fit = await target.guest_fit(replace(needs, cpu=lofty, machine="pc-i440fx-99.0"))
        assert fit.cpu is CpuMatch.INCOMPATIBLE
        assert fit.missing, fit.said
        assert not fit.machine
        assert fit.near
        assert fit.near[0].startswith("pc-i440fx-")
        other = await target.guest_fit(replace(needs, arch="riscv64"))
        assert not other.virt
        dead = await source.reach("10.254.254.254", 49152)
        assert dead.outcome in (Reached.SILENT, Reached.FAILED, Reached.REFUSED)
    finally:
        await source.close()
        await target.close()


def test_the_verb_prints_it_and_its_status_tells(
    lab: LabFleet, guest: Callable[..., str], tmp_path: Path
) -> None:
    """0 where all may go, 4 where one may not, 1 for a name nobody has."""
    guest("pf-verb", shared=True)
    cli = Cli(tmp_path, lab.specs())
    free = cli("preflight", "pf-verb", "--to", "kvm2", "kvm3")
    assert free.status == 0, free.out + free.err
    assert free.out.splitlines()[0].split() == ["VM", "FROM", "kvm2", "kvm3"]
    assert free.out.splitlines()[1].split()[:2] == ["pf-verb", "kvm1"]
    assert "duration" in free.out
    ((row),) = cli("preflight", "pf-verb", "--to", "kvm2", "kvm3", "--json").json()["rows"]
    minded = [c["name"] for one in row["cells"] for c in one["checks"] if c["verdict"] != "ok"]
    assert minded in ([], ["emulation"] * 2), minded
    assert cli("cordon", "kvm2").status == 0
    told = cli("preflight", "pf-verb", "--to", "kvm2", "--json")
    assert told.status == 4, told.out + told.err
    ((row),) = told.json()["rows"]
    assert row["cells"][0]["verdict"] == "blocked"
    blocked = [c["name"] for c in row["cells"][0]["checks"] if c["verdict"] == "blocked"]
    assert blocked == ["maintenance"]
    assert cli("preflight", "pf-verb", "--to", "kvm9").status == 2
