"""A link that breaks after the switch to post-copy: said plainly, recovered where it can be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
import pytest_asyncio

from console.jobs.postcopy import RETURN_S
from drivers.errors import DriverError, Failed, Refused, Unreachable
from drivers.model.job import JobState
from drivers.model.migration import Lever
from drivers.model.vm import VmState
from drivers.protocol import MigrationSpec, SlowReading
from drivers.sim.driver import SimDriver
from tests.console.postcopy_bench import Bench, made_bench
from tests.console.test_jobs_sim import picture


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[Bench]:
    async with made_bench() as made:
        yield made


async def test_a_broken_switch_is_said_plainly_and_recovered(bench: Bench) -> None:
    """Both hosts hold a part; recovery goes on where it broke, and one host alone runs it."""
    told = [c for c in bench.plan().checks if c.name == "post-copy"]
    assert "whether it can be recovered after" in told[0].proof
    job = await bench.broken()
    assert job.state is JobState.INTERRUPTED
    assert "neither host alone has all of its memory" in job.outcome
    assert job.followup == ("recover", "dismiss")
    assert {reason for _, reason in (await bench.states()).values()} == {"post-copy failed"}
    (plan,) = await bench.jobs.followup(job.id, "recover")
    assert plan.refusal is None
    assert "--postcopy-resume" in plan.steps[1].virsh
    bench.fleet.cut(bench.target, cut=False)
    done_id = await bench.jobs.submit(plan)
    await bench.until(lambda: bench.job(done_id).state.ended)
    assert bench.job(done_id).state is JobState.DONE, bench.job(done_id)
    assert list(await bench.states()) == [bench.target]
    await bench.until(lambda: not bench.job(job.id).followup)


async def test_a_broken_switch_names_the_command_that_goes_on_with_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one that would begin anew: nothing whole is left to begin with."""
    migrate = SimDriver.migrate

    async def hung_up(self: SimDriver, uuid: str, spec: MigrationSpec) -> None:
        with suppress(Failed):
            return await migrate(self, uuid, spec)
        raise Unreachable("it could not be migrated", "internal error: client socket is closed")

    monkeypatch.setattr(SimDriver, "migrate", hung_up)
    job = await bench.broken()
    assert job.problem is not None
    assert job.problem.fix.endswith(f"; then: novacron jobs recover {job.id}")
    (plan,) = await bench.jobs.followup(job.id, "recover")
    await bench.drivers[bench.target].destroy(bench.uuid)
    again = await bench.jobs.submit(plan)
    await bench.until(lambda: bench.job(again).state.ended)
    gone = bench.job(again)
    assert gone.followup == ("force-off", "dismiss")
    assert gone.problem is not None
    assert "novacron" not in gone.problem.fix


async def test_a_link_that_is_still_cut_leaves_the_same_offer(bench: Bench) -> None:
    """Nothing is lost by trying too soon."""
    job = await bench.broken()
    (plan,) = await bench.jobs.followup(job.id, "recover")
    again = await bench.jobs.submit(plan)
    await bench.until(lambda: bench.job(again).state.ended)
    assert bench.job(again).state is JobState.INTERRUPTED
    assert bench.job(again).followup == ("recover", "dismiss")


async def test_an_old_libvirt_is_told_before_and_after(bench: Bench) -> None:
    """The preview says that there is no way back; what broke says what is left to do."""
    job_before = bench.snapshot
    hosts = tuple(
        replace(h, facts=replace(h.facts, libvirt_version="8.0.0"))  # type: ignore[type-var]
        for h in bench.snapshot.hosts
    )
    bench.snapshot = replace(bench.snapshot, hosts=hosts)
    told = [c for c in bench.plan().checks if c.name == "post-copy"]
    assert "needs libvirt 8.5" in told[0].proof
    bench.snapshot = job_before
    job_id = await bench.jobs.submit(bench.plan())
    await bench.until(lambda: (p := bench.job(job_id).progress) is not None and p.levers)
    bench.snapshot = replace(bench.snapshot, hosts=hosts)
    bench.fleet.cut(bench.target)
    await bench.jobs.pull(job_id, Lever.POST_COPY, 0.0)
    await bench.until(lambda: bench.job(job_id).state.ended)
    assert "needs libvirt 8.5" in bench.job(job_id).outcome
    assert bench.job(job_id).followup == ("dismiss",)
    with pytest.raises(Refused):
        await bench.jobs.followup(job_id, "recover")


async def test_a_target_that_ended_after_the_switch_is_no_case_for_recovery(bench: Bench) -> None:
    """Its part of the memory is gone: the VM is never resumed where it only has the rest."""
    job = await bench.broken()
    (plan,) = await bench.jobs.followup(job.id, "recover")
    await bench.drivers[bench.target].destroy(bench.uuid)
    again = await bench.jobs.submit(plan)
    await bench.until(lambda: bench.job(again).state.ended)
    ended = bench.job(again)
    assert ended.state is JobState.INTERRUPTED
    assert "the memory that was only there is gone" in ended.outcome
    assert ended.followup == ("force-off", "dismiss")
    home = next(name for name in bench.drivers if name != bench.target)
    assert (await bench.states())[home] == (VmState.PAUSED, "post-copy failed")


async def test_another_console_that_has_just_started_recovers_it_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked before it was connected: what the hosts say once they answer is what counts."""
    job = await bench.broken()
    read = SimDriver.read_slow

    async def not_yet(self: SimDriver) -> SlowReading:
        raise Unreachable("not connected yet")

    monkeypatch.setattr(SimDriver, "read_slow", not_yet)
    other = bench.console("you@:0:2")
    (judged,) = await other.recover()
    assert "not known yet" in judged.outcome
    with pytest.raises(Refused, match="does not offer recover"):
        await other.followup(job.id, "recover")
    monkeypatch.setattr(SimDriver, "read_slow", read)
    bench.fleet.cut(bench.target, cut=False)
    (plan,) = await other.followup(job.id, "recover")
    assert plan.refusal is None
    done_id = await other.submit(plan)
    await bench.until(lambda: next(j for j in other.jobs if j.id == done_id).state.ended)
    assert next(j for j in other.jobs if j.id == done_id).state is JobState.DONE
    await other.stop()


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """libvirt's call never returns once the link broke, as while the target's QEMU waits.

    Gives the hosts whose calls were let go.
    """
    let_go: list[str] = []
    migrate = SimDriver.migrate

    async def hanging(self: SimDriver, uuid: str, spec: MigrationSpec) -> None:
        try:
            await migrate(self, uuid, spec)
        except Failed:
            try:
                await asyncio.Event().wait()
            finally:
                let_go.append(self.spec.name)

    monkeypatch.setattr(SimDriver, "migrate", hanging)
    return let_go


async def test_a_call_that_never_returns_is_let_go(bench: Bench, hangs: list[str]) -> None:
    """The job ends with what the source says, and recovery is offered; that one ends as well."""
    job = await bench.broken()
    assert job.state is JobState.INTERRUPTED
    assert job.problem is not None
    assert "libvirt does not end it" in job.problem.what
    assert "has said 'post-copy failed' for 30 s" in job.problem.proof
    assert job.followup == ("recover", "dismiss")
    assert hangs == [job.plan.host]
    (plan,) = await bench.jobs.followup(job.id, "recover")
    again = await bench.jobs.submit(plan)
    await bench.until(lambda: bench.job(again).state.ended)
    assert bench.job(again).state is JobState.INTERRUPTED
    assert "force it off on both hosts" in bench.job(again).problem.fix  # type: ignore[union-attr]
    assert bench.job(again).followup == ("recover", "dismiss")
    assert hangs == [job.plan.host] * 2


async def test_a_switch_by_another_client_is_seen_to_fail_too(
    bench: Bench, hangs: list[str]
) -> None:
    """Nobody pulled a lever here: what the poller last saw says where to look."""
    job_id = await bench.jobs.submit(bench.plan())
    await bench.until(lambda: (p := bench.job(job_id).progress) is not None and p.levers)
    bench.fleet.cut(bench.target)
    await bench.drivers[bench.job(job_id).plan.host].start_post_copy(bench.uuid)
    async with asyncio.timeout(60):
        while not bench.job(job_id).state.ended:
            bench.snapshot = await picture(bench.drivers, bench.clock())
            await asyncio.sleep(0)
    assert bench.job(job_id).followup == ("recover", "dismiss")
    assert len(hangs) == 1


@dataclass
class Still:
    """What QEMU and libvirt do while the old connection is not given up.

    Attributes:
        tries: Recoveries asked for so far.
        arrives_at: The try after which the rest has followed by itself; 0 for never.
        failure: What libvirt says to each.
    """

    tries: int = 0
    arrives_at: int = 0
    failure: DriverError = field(
        default_factory=lambda: Refused(
            "it could not be migrated", proof="QEMU reports migration is still running"
        )
    )


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Still:
    """libvirt refuses to recover, for QEMU has not noticed that the link was cut."""
    told = Still()
    migrate = SimDriver.migrate

    async def refusing(self: SimDriver, uuid: str, spec: MigrationSpec) -> None:
        if not spec.resume:
            return await migrate(self, uuid, spec)
        told.tries += 1
        if told.tries == told.arrives_at:
            await migrate(self, uuid, spec)
        raise told.failure

    monkeypatch.setattr(SimDriver, "migrate", refusing)
    return told


@pytest.mark.parametrize(
    "failure",
    [
        None,
        Unreachable("kvm1 hung up", "client socket is closed"),
        Refused(
            "it failed", "migration of domain web1 is being actively monitored by another thread"
        ),
        Failed("it failed", "its daemon lost its connection: End of file while reading data: : "),
    ],
)
async def test_what_goes_on_over_the_old_connection_is_waited_for(
    bench: Bench, still: Still, failure: DriverError | None
) -> None:
    """The link came back before TCP gave up: nothing is left to recover, and it arrives."""
    still.arrives_at, still.failure = 4, failure or still.failure
    job = await bench.broken()
    (plan,) = await bench.jobs.followup(job.id, "recover")
    bench.fleet.cut(bench.target, cut=False)
    done_id = await bench.jobs.submit(plan)
    await bench.until(lambda: bench.job(done_id).state.ended)
    assert bench.job(done_id).state is JobState.DONE, bench.job(done_id)
    assert still.tries == still.arrives_at
    assert "it went on by itself" in bench.job(done_id).steps[1].note
    assert list(await bench.states()) == [bench.target]


async def test_what_arrived_before_anybody_asked_is_not_recovered(
    bench: Bench, still: Still
) -> None:
    """Nothing is sent again: both hosts are read, and the job is done."""
    job = await bench.broken()
    (plan,) = await bench.jobs.followup(job.id, "recover")
    bench.fleet.cut(bench.target, cut=False)
    still.arrives_at = 1
    args = plan.steps[1].args
    spec = MigrationSpec(
        peer=bench.drivers[bench.target],
        p2p=True,
        copy_disks=tuple(disk for disk in args["copy"].split(",") if disk),
        dest_paths=json.loads(args.get("dest_paths", "{}")),
        resume=True,
    )
    with pytest.raises(Refused, match="could not be migrated"):
        await bench.drivers[job.plan.host].migrate(bench.uuid, spec)
    done_id = await bench.jobs.submit(plan)
    await bench.until(lambda: bench.job(done_id).state.ended)
    assert bench.job(done_id).state is JobState.DONE, bench.job(done_id)
    assert still.tries == 1


async def test_a_target_that_has_noticed_nothing_is_named_with_what_helps(
    bench: Bench, still: Still, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the source has given the old connection up: libvirt refuses until the target has too."""
    job = await bench.broken()
    (plan,) = await bench.jobs.followup(job.id, "recover")
    bench.fleet.cut(bench.target, cut=False)
    read = SimDriver.read_slow

    async def reading(self: SimDriver) -> SlowReading:
        found = await read(self)
        if self.spec.name != bench.target:
            return found
        calm = (
            replace(vm, reason="post-copy") if vm.uuid == bench.uuid else vm for vm in found.vms
        )
        return replace(found, vms=tuple(calm))

    monkeypatch.setattr(SimDriver, "read_slow", reading)
    again = await bench.jobs.submit(plan)
    await bench.until(lambda: bench.job(again).state.ended)
    ended = bench.job(again)
    assert still.tries > 1
    assert ended.problem is not None
    assert "still waits on the connection that broke" in ended.problem.what
    assert "still running" in ended.problem.proof
    assert f"ss -K state established sport = :PORT; then: novacron jobs recover {again}" in (
        ended.problem.fix
    )
    assert ended.followup == ("recover", "dismiss")


async def test_what_never_comes_back_ends_with_what_libvirt_said(
    bench: Bench, still: Still
) -> None:
    """Not a byte for longer than TCP waits between two tries: the offer stands."""
    job = await bench.broken()
    (plan,) = await bench.jobs.followup(job.id, "recover")
    began = bench.clock()
    again = await bench.jobs.submit(plan)
    await bench.until(lambda: bench.job(again).state.ended)
    ended = bench.job(again)
    assert ended.state is JobState.INTERRUPTED
    assert ended.problem is not None
    assert "still running" in ended.problem.proof
    assert ended.followup == ("recover", "dismiss")
    assert bench.clock() - began >= RETURN_S
