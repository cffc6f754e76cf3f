"""Gathering what migrations are judged by: limits, deadlines, memory, and honest failures."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from console.evidence import AT_ONCE, EvidenceDesk, data_address
from console.jobs.figures import Paces, figures_of
from console.policy.preflight.estimate import measured_between
from console.policy.preflight.grounds import NO_RULES, Evidence, Grounds
from drivers.errors import Failed, Unsupported
from drivers.model.caps import CpuMatch, CpuNeed, DomainNeeds, GuestFit, Reach
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Link, LinkState
from drivers.model.job import Action, Job, JobState, Plan, Request
from drivers.model.problem import Problem
from drivers.model.vm import JobProgress
from tests.policy.evidence import caps, fit, needs, reach
from tests.policy.fleet import NOW, UUID, change, fleet, host, vm

Answer = Callable[[], Awaitable[Any]]


class Asked:
    """A driver that answers from memory, counts, and sees how many questions run at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: Counter[str] = Counter()
        self.running = 0
        self.most = 0
        self.hold: asyncio.Event | None = None
        self.fails: dict[str, Exception] = {}
        self.offers: dict[str, object] = {}

    async def _answer(self, what: str, value: Any) -> Any:
        self.asked[what] += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.hold is not None:
                await self.hold.wait()
            else:
                await asyncio.sleep(0)
            if what in self.fails:
                raise self.fails[what]
            return value
        finally:
            self.running -= 1

    async def needs(self, uuid: str) -> DomainNeeds:
        return await self._answer("needs", needs(uuid=uuid, digest=uuid))

    async def host_caps(self) -> Any:
        return await self._answer("caps", caps(self.name))

    async def guest_fit(self, wanted: DomainNeeds) -> GuestFit:
        return await self._answer("fit", fit(self.name, digest=wanted.digest, **self.offers))

    async def cpu_baseline(self, cpus: tuple[str, ...], wanted: DomainNeeds) -> Any:
        return await self._answer("baseline", CpuNeed("custom", "+".join(cpus)))

    async def reach(self, address: str, port: int) -> Reach:
        found = replace(reach(), host=self.name, address=address, port=port)
        return await self._answer("reach", found)

    async def peer_login(self, uri: str) -> Any:
        return await self._answer("login", Problem("never"))

    async def dirty_rate(self, uuid: str, seconds: int) -> Any:
        return await self._answer("dirty", ("rate", uuid))


class Bench:
    """A desk over two hosts that answer from memory."""

    def __init__(self, snapshot: FleetSnapshot | None = None) -> None:
        self.snapshot = snapshot or fleet()
        self.drivers = {h.name: Asked(h.name) for h in self.snapshot.hosts}
        self.desk = EvidenceDesk(self.drivers, lambda: self.snapshot, NO_RULES)  # type: ignore[arg-type]

    async def gather(self, *uuids: str, **options: Any) -> Evidence:
        found = await self.desk.grounds(uuids or (UUID,), ("kvm1", "kvm2"), **options)
        assert isinstance(found, Grounds)
        assert found.evidence is not None
        return found.evidence


async def test_everything_is_asked_once_and_remembered() -> None:
    """A second gathering asks nobody: neither host has another connection."""
    bench = Bench()
    first = await bench.gather()
    before = [dict(d.asked) for d in bench.drivers.values()]
    assert before == [
        {"needs": 1, "caps": 1, "reach": 1, "fit": 1},
        {"caps": 1, "fit": 1},
    ]
    assert (await bench.gather()).fits == first.fits
    assert [dict(d.asked) for d in bench.drivers.values()] == before
    assert isinstance(first.fits[UUID, "kvm2"], GuestFit)
    assert (UUID, "kvm1") not in first.fits


async def test_a_new_connection_is_asked_anew() -> None:
    """What another connection told may be of another QEMU."""
    bench = Bench()
    await bench.gather()
    bench.snapshot = change(bench.snapshot, "kvm2", link=Link(LinkState.UP, NOW + 60))
    await bench.gather()
    assert bench.drivers["kvm2"].asked["fit"] == 2
    assert bench.drivers["kvm1"].asked["reach"] == 1


async def test_what_is_older_than_a_step_may_take_is_asked_anew() -> None:
    """A step wants fresh answers; a plan takes those that are still remembered."""
    bench = Bench()
    await bench.gather()
    await bench.gather(age_s=0.0)
    there = bench.drivers["kvm2"]
    assert (there.asked["fit"], there.asked["caps"]) == (2, 2)
    assert bench.drivers["kvm1"].asked["reach"] == 2
    await bench.gather(age_s=60.0)
    assert there.asked["fit"] == 2


async def test_guests_alike_are_asked_about_once_a_host() -> None:
    """A hundred of one CPU and machine type cost one question, and each keeps its own digest."""
    many = tuple(vm(name=f"v{n}", uuid=f"{n:08d}{UUID[8:]}") for n in range(100))
    bench = Bench(FleetSnapshot(NOW, 1, (host("kvm1", *many), host("kvm2"))))
    found = await bench.gather(*(one.uuid for one in many))
    assert bench.drivers["kvm2"].asked["fit"] == 1
    assert bench.drivers["kvm1"].asked["needs"] == 100
    digests = {f.digest for f in found.fits.values() if isinstance(f, GuestFit)}
    assert len(digests) == 100


async def test_a_baseline_is_worked_out_only_where_the_cpu_does_not_fit() -> None:
    """By the source's libvirt, from what both hosts give to their guests."""
    bench = Bench()
    assert (await bench.gather()).baselines == {}
    bench = Bench()
    there = bench.drivers["kvm2"]
    bench.drivers["kvm1"].offers = {"host_cpu": "<here/>"}
    there.offers = {"host_cpu": "<there/>", "cpu": CpuMatch.INCOMPATIBLE}
    found = await bench.gather()
    assert found.baselines == {(UUID, "kvm2"): CpuNeed("custom", "<here/>+<there/>")}
    assert bench.drivers["kvm1"].asked["baseline"] == 1


async def test_a_host_is_never_asked_too_much_at_once() -> None:
    """However many VMs are looked at, other clients of its daemons go on."""
    many = tuple(vm(name=f"v{n}", uuid=f"{n:08d}{UUID[8:]}") for n in range(50))
    bench = Bench(FleetSnapshot(NOW, 1, (host("kvm1", *many), host("kvm2"))))
    await bench.gather(*(one.uuid for one in many))
    assert bench.drivers["kvm1"].most == AT_ONCE


async def test_a_host_that_hangs_costs_its_own_answers_alone() -> None:
    """Within the limit the other host's answers are there, and the rest says why it is not."""
    bench = Bench()
    bench.drivers["kvm2"].hold = asyncio.Event()
    found = await bench.gather(limit_s=0.05)
    lost = found.fits[UUID, "kvm2"]
    assert isinstance(lost, Problem)
    assert "no answer from kvm2 within 0.05 s" in lost.proof
    assert isinstance(found.needs[UUID], DomainNeeds)
    assert isinstance(found.data["kvm1", "kvm2"], Reach)
    assert bench.drivers["kvm2"].running == 0  # nothing is left behind


async def test_what_failed_is_not_remembered() -> None:
    """The reason is kept for this matrix; the next one asks again."""
    bench = Bench()
    bench.drivers["kvm1"].fails["reach"] = Unsupported("no command can be run on kvm1")
    found = await bench.gather()
    assert found.data["kvm1", "kvm2"] == Problem(
        "no command can be run on kvm1", code="unsupported"
    )
    bench.drivers["kvm1"].fails.clear()
    assert isinstance((await bench.gather()).data["kvm1", "kvm2"], Reach)


async def test_a_defect_in_a_driver_ends_one_answer_only() -> None:
    """It is told as what it is."""
    bench = Bench()
    bench.drivers["kvm2"].fails["caps"] = ZeroDivisionError("division by zero")
    found = await bench.gather()
    lost = found.caps["kvm2"]
    assert isinstance(lost, Problem)
    assert "ZeroDivisionError" in lost.proof
    assert not isinstance(found.caps["kvm1"], Problem)


async def test_hosts_that_are_down_are_not_asked() -> None:
    """Why they are down is the reason."""
    down = Link(LinkState.DOWN, NOW, Failed("no route").problem)
    bench = Bench(change(fleet(), "kvm2", link=down))
    found = await bench.gather()
    assert found.caps["kvm2"] == Problem("kvm2 is down", "no route")
    assert bench.drivers["kvm2"].asked == Counter()


async def test_dirty_rates_are_measured_only_when_asked_for() -> None:
    """A target list does not wait a second; what a matrix measured lately is used."""
    bench = Bench()
    assert (await bench.gather()).dirty == {}
    measured = (await bench.gather(measure=True)).dirty
    assert UUID in measured
    assert (await bench.gather()).dirty == measured
    assert bench.drivers["kvm1"].asked["dirty"] == 1


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("tcp://10.0.0.7", ("10.0.0.7", 49152)),
        ("tcp://10.0.0.7:5000", ("10.0.0.7", 5000)),
        ("tcp://[fd00::1]:5000", ("fd00::1", 5000)),
        ("tcp:kvm2.mig", ("kvm2.mig", 49152)),
        ("rdma://ib2", ("ib2", 49152)),
        ("tcp://h:99999999", None),
        ("", ("kvm2", 49152)),
    ],
)
def test_where_migration_data_goes(uri: str, place: object) -> None:
    """The configured URI, else the host's own name, which libvirt uses."""
    there = host("kvm2")
    assert data_address(replace(there, spec=replace(there.spec, migrate_uri=uri))) == place
    assert data_address(replace(there, facts=None)) is None


def _moved(number: int, seconds: float = 10.0, *, cap: int = 0, state: JobState = JobState.DONE,
           target: str = "kvm2") -> Job:  # fmt: skip
    """A migration that sent ``number`` times 100 MiB."""
    last = JobProgress("copying", NOW + seconds, started_at=NOW, done=number * (100 << 20))
    told = figures_of(last, NOW + seconds, cap)
    assert told is not None
    request = Request(Action.MIGRATE, UUID, target)
    plan = Plan("p", request, "web1", "kvm1", NOW)
    return Job(f"j{number}", plan, state, facts={"figures": json.dumps(asdict(told))})


def test_the_pace_of_finished_migrations_is_kept() -> None:
    """The median of a link; what failed, was capped or was over at once tells nothing of it."""
    paces = Paces()
    paces.take((_moved(1), _moved(2), _moved(3), _moved(3)))
    paces.take((_moved(90, state=JobState.FAILED), _moved(91, cap=8), _moved(92, 0.5)))
    found = paces.bandwidth()["kvm1", "kvm2"]
    assert found.bps == 20 << 20
    assert found.source == "measured on 1970-01-12 from 3 migrations"


def test_what_is_kept_of_paces_does_not_grow() -> None:
    """However many migrations there were, and however often each is published."""
    paces, other = Paces(), Paces()
    jobs = [replace(_moved(n, 10.0 + n), ended_at=NOW + 11.0 + n) for n in range(1, 400)]
    for job in jobs:
        paces.take((job,))
    size = len(pickle.dumps(paces))
    paces.take(jobs)
    other.take(jobs[-5:])
    assert size == len(pickle.dumps(paces)) == len(pickle.dumps(other))
    assert paces.bandwidth() == other.bandwidth()


def test_a_link_without_migrations_is_judged_by_the_slowest_of_its_hosts() -> None:
    """And says so; two hosts that never moved anything know nothing."""
    paces = Paces()
    paces.take((_moved(2), _moved(1, target="kvm3")))
    known = paces.bandwidth()
    near = measured_between(known, "kvm1", "kvm4")
    assert near is not None
    assert near.bps == 10 << 20
    assert "between kvm1 and kvm3; none on this link" in near.source
    assert measured_between(known, "kvm8", "kvm9") is None
