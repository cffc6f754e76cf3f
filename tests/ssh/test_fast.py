"""The fast lane on this machine: python, sh and busybox readers, locally and over sshd."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from drivers.errors import DriverError, TimedOut
from drivers.protocol import FastReading
from drivers.ssh.fast import DomainRef, FastLane
from drivers.ssh.link import SshLink
from drivers.ssh.wire import Pipes, Spawn, spawn_local
from tests.ssh.conftest import Sshd, sshd_pid, until

BUSY = "while True: pass"


@pytest.fixture
def guest() -> Iterator[tuple[str, int]]:
    """A busy process that looks like a QEMU of libvirt's; gives its UUID and PID."""
    name = str(uuid.uuid4())
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, "-uuid", name, "path=/var/lib/libvirt/qemu/domain-3-web/m"]
    )
    yield name, process.pid
    process.kill()
    process.wait()


def busybox(folder: Path) -> Spawn:
    """Starts readers where every tool is busybox's."""
    binary = shutil.which("busybox")
    if binary is None:
        pytest.skip("needs busybox")
    for tool in ("sh", "head", "grep", "tr", "df", "date", "cat", "echo", "printf"):
        (folder / tool).symlink_to(binary)

    async def spawn(argv: Sequence[str]) -> Pipes:
        return await spawn_local(["env", "-i", f"PATH={folder}", *argv])

    return spawn


@pytest.fixture(params=["python", "sh", "busybox"])
async def lane(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FastLane]:
    """A lane with each of the readers."""
    forced = "" if request.param == "python" else "sh"
    made = FastLane(busybox(tmp_path) if request.param == "busybox" else spawn_local, reader=forced)
    yield made
    await made.close()


async def twice(
    lane: FastLane, domains: Sequence[DomainRef] = (), apart: float = 1.0
) -> FastReading:
    """A second reading, so that there are rates."""
    await lane.read(domains)
    await asyncio.sleep(apart)  # an interval to measure over
    return await lane.read(domains)


def ran(pid: int) -> float:
    """Seconds the process ran so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


async def test_each_reader_tells_the_host_and_a_guest(
    lane: FastLane, guest: tuple[str, int]
) -> None:
    """Load, memory, filesystems, and a guest that keeps one of its two vCPUs busy."""
    name, pid = guest
    await lane.read([DomainRef(name, 3, (), 2)])
    was, began = ran(pid), time.monotonic()
    await asyncio.sleep(1.0)  # an interval to measure over
    reading = await lane.read([DomainRef(name, 3, (), 2)])
    expected = 100.0 * (ran(pid) - was) / (time.monotonic() - began) / 2
    load = reading.load
    assert load.cpu_pct is not None
    assert load.cpu_pct > 0
    assert load.memory_total
    assert load.memory_total == int(Path("/proc/meminfo").read_text().split()[1]) * 1024  # noqa: ASYNC240
    assert any(f.mount == "/" and f.size > f.free > 0 for f in load.filesystems) or not any(
        line.split()[1] == "/" and line.startswith("/dev/")
        for line in Path("/proc/mounts").read_text().splitlines()  # noqa: ASYNC240
    )
    vm = reading.vms[name]
    assert vm.cpu_pct is not None
    assert vm.cpu_pct == pytest.approx(expected, abs=12)
    assert vm.cpu_pct > 0
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")  # noqa: ASYNC240
    assert vm.rss == pytest.approx(resident, rel=0.1)
    assert vm.read_bps == 0.0
    assert vm.started_at == pytest.approx(reading.at, abs=60)
    assert lane.clock_skew_s == pytest.approx(0.0, abs=1.1)


async def test_readers_agree(guest: tuple[str, int], tmp_path: Path) -> None:
    """What one reader says of the same second, the others say too."""
    lanes = [
        FastLane(spawn_local),
        FastLane(spawn_local, reader="sh"),
        FastLane(busybox(tmp_path), reader="sh"),
    ]
    domains = [DomainRef(guest[0], 3, (), 1)]
    readings = await asyncio.gather(*(twice(lane, domains, 1.5) for lane in lanes))
    assert [lane.reader for lane in lanes] == ["python", "sh", "sh"]
    first, *others = readings
    for other in others:
        assert other.load.memory_total == first.load.memory_total
        assert {n.name for n in other.load.nics} == {n.name for n in first.load.nics}
        assert {d.name for d in other.load.disks} == {d.name for d in first.load.disks}
        assert {f.mount for f in other.load.filesystems} == {
            f.mount for f in first.load.filesystems
        }
        assert other.load.cpu_pct == pytest.approx(first.load.cpu_pct, abs=20)
        vm, same = first.vms[guest[0]], other.vms[guest[0]]
        assert same.cpu_pct == pytest.approx(vm.cpu_pct, abs=15)
        assert {m.name for m in same.missing} == {m.name for m in vm.missing}
        assert {m.name for m in other.missing} == {m.name for m in first.missing}
    await asyncio.gather(*(lane.close() for lane in lanes))


async def test_unseen_guest_says_why(lane: FastLane) -> None:
    """A domain without a visible process has a reason instead of zeros."""
    reading = await lane.read([DomainRef(str(uuid.uuid4()), 1)])
    (vm,) = reading.vms.values()
    assert vm.cpu_pct is None
    assert [m.name for m in vm.missing] == ["vm.process"]


async def test_guest_that_ends_loses_its_figures(lane: FastLane, guest: tuple[str, int]) -> None:
    """The reading after its end has no figures, and the host's go on."""
    name, pid = guest
    await twice(lane, [DomainRef(name)], 0.1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)  # noqa: ASYNC222 - it is dead already
    reading = await lane.read([DomainRef(name)])
    assert reading.vms[name].rss is None
    assert reading.load.memory_total


async def test_noise_of_a_login_shell_is_skipped() -> None:
    """A start-up file that prints does not break the reader."""

    async def spawn(argv: Sequence[str]) -> Pipes:
        return await spawn_local(["sh", "-c", 'echo "Welcome to kvm1"; exec "$@"', "x", *argv])

    lane = FastLane(spawn)
    assert (await lane.read(())).load.memory_total
    await lane.close()


async def test_stopped_reader_times_out_and_comes_back() -> None:
    """A reader that hangs is ended at its deadline; the next reading starts another."""
    pids: list[int] = []

    async def spawn(argv: Sequence[str]) -> Pipes:
        pipes = await spawn_local(["sh", "-c", 'echo "pid $$"; exec "$@"', "x", *argv])
        pids.append(int((await pipes.read(100)).split()[1]))
        return pipes

    lane = FastLane(spawn, deadline_s=5.0)
    await lane.read(())
    os.kill(pids[0], signal.SIGSTOP)
    with pytest.raises(TimedOut):
        await lane.read(())
    assert (await lane.read(())).load.memory_total
    await lane.close()
    assert len(pids) == 2


async def test_reader_that_cannot_start_is_told() -> None:
    """No shell there: an error, not a hang."""

    async def spawn(argv: Sequence[str]) -> Pipes:
        return await spawn_local(["false"])

    with pytest.raises(DriverError):
        await FastLane(spawn).read(())


async def test_a_reader_that_ended_by_itself_is_closed_in_peace() -> None:
    """Also in the moment before its end is known."""
    for _ in range(100):
        pipes = await spawn_local(["false"])
        assert await pipes.read(1) == b""
        await pipes.close()


@pytest.mark.parametrize("reader", ["", "sh"])
async def test_over_ssh(
    sshd_link: tuple[SshLink, Sshd], guest: tuple[str, int], reader: str
) -> None:
    """The same readings over an SSH channel; the reader ends with the lane."""
    link, _ = sshd_link
    lane = FastLane(link.spawn_reader, reader=reader)
    reading = await twice(lane, [DomainRef(guest[0], 3, (), 1)], 1.0)
    cpu = reading.vms[guest[0]].cpu_pct
    assert cpu is not None
    assert cpu > 0
    assert reading.rtt_ms is not None
    assert reading.rtt_ms < 5000
    await lane.close()
    async with asyncio.timeout(60):
        while await children(link) > 1:  # the one is the shell that counts
            continue


async def children(link: SshLink) -> int:
    """Processes that this connection's sshd has running."""
    pid = await sshd_pid(link)
    found = await link.run(["sh", "-c", f"pgrep -P {pid} | wc -l"], timeout=30)
    return int(found.stdout)


@pytest.fixture
def qemu() -> Iterator[Callable[[], tuple[str, int]]]:
    """Start a real QEMU under software emulation, named as libvirt names its own."""
    binary = shutil.which("qemu-system-x86_64")
    if binary is None:
        pytest.skip("needs qemu-system-x86")
    running: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[str, int]:
        name = str(uuid.uuid4())
        named = ["-name", "guest=t,debug-threads=on", "-uuid", name]
        board = ["-machine", "pc", "-accel", "tcg", "-smp", "2", "-m", "64", "-nodefaults"]
        argv = [binary, *named, *board, "-display", "none"]
        running.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL))
        return name, running[-1].pid

    yield start
    for process in running:
        process.kill()
        process.wait()


PLUGGABLE = """
import signal, threading
from pathlib import Path

def vcpu(number, work):
    def run():
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(f"CPU {number}/KVM")
        work()
    threading.Thread(target=run).start()

vcpu(0, threading.Event().wait)
signal.signal(signal.SIGUSR1, lambda *_: vcpu(1, spin))

def spin():
    while True:
        pass

while True:
    signal.pause()
"""


@pytest.fixture
def pluggable() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An idle guest with one vCPU thread, which SIGUSR1 gives a busy second one."""
    name = str(uuid.uuid4())
    process = subprocess.Popen([sys.executable, "-c", PLUGGABLE, "-uuid", name])
    yield name, process
    process.kill()
    process.wait()


async def test_a_plugged_vcpu_is_counted(
    lane: FastLane,
    pluggable: tuple[str, subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that came after the scan is looked at: an idle guest turns busy with it."""
    monkeypatch.setattr("drivers.ssh.fast._CHANGED_S", 0.0)
    monkeypatch.setattr("drivers.ssh.fast._SCAN_AGAIN_S", 3600.0)
    name, process = pluggable
    comm = Path(f"/proc/{process.pid}/task")
    await until(lambda: any(p.read_text() == "CPU 0/KVM\n" for p in comm.glob("*/comm")), 90.0)
    idle = (await twice(lane, [DomainRef(name, -1, (), 2)])).vms[name]
    assert idle.cpu_pct == pytest.approx(0.0, abs=2.0)
    process.send_signal(signal.SIGUSR1)
    async with asyncio.timeout(60):
        while ((await twice(lane, [DomainRef(name, -1, (), 2)])).vms[name].cpu_pct or 0) < 5:
            continue


async def test_real_qemu_has_its_vcpu_threads_found(
    lane: FastLane, qemu: Callable[[], tuple[str, int]]
) -> None:
    """QEMU's own vCPU threads are what is counted, not its whole process."""
    name, pid = qemu()
    await until(
        lambda: any(
            p.read_text().startswith("CPU") for p in Path(f"/proc/{pid}/task").glob("*/comm")
        )
    )
    reading = await twice(lane, [DomainRef(name, -1, (), 2)])
    vm = reading.vms[name]
    assert vm.cpu_pct is not None
    assert 0 <= vm.cpu_pct <= 100
    assert vm.rss
    assert vm.steal_pct is None
    assert "vm.cpu" not in {m.name for m in vm.missing}
