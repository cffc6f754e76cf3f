"""What a sweep of the slow lane costs the client, beside bare getAllDomainStats in the same run.

Hosts are libvirt's test driver behind one real libvirtd (``test+unix``), the same 80 ms away, and
behind real sshd (``test+ssh``); each has 50 domains. That driver's own stats hold the state alone,
so the floor is lower here than over QEMU, whose monitors both sides have to wait for.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import libvirt

from drivers.errors import DriverError
from drivers.kvm.driver import KvmDriver
from drivers.lab.fleet import LabFleet
from drivers.model.host import HostSpec
from tests.contract.conftest import Nobody
from tests.kvm.daemon import Daemon, available, until

DOMAINS = 50
ROUNDS = 7
AIM = 1.5
"""A sweep may take so many times the floor's client CPU."""

Cost = tuple[float, float]  # client CPU and wall clock, milliseconds


def row(name: str, value: float, aim: str, floor: float, verdict: str) -> None:
    """Print one figure."""
    ratio = value / floor if floor else 0.0
    print(
        f"{name:<38}{value:>10.1f} ms{aim:>10}{floor:>10.1f} ms{ratio:>8.2f}  {verdict}", flush=True
    )


def fleet_xml(path: Path) -> None:
    """A description of a host for libvirt's test driver, with running domains."""
    domains = "".join(
        f"<domain type='test'><name>vm{i}</name><uuid>{uuid.UUID(int=i + 1)}</uuid>"
        "<memory>262144</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>"
        for i in range(DOMAINS)
    )
    path.write_text(f"<node>{domains}</node>")
    path.chmod(0o644)


async def cost_of(sweep: Callable[[], object]) -> Cost:
    """Median client CPU and wall time of one sweep."""
    cpu, wall = [], []
    for _ in range(ROUNDS):
        began, used = time.perf_counter(), time.process_time()
        result = sweep()
        if asyncio.iscoroutine(result):
            await result
        cpu.append((time.process_time() - used) * 1000)
        wall.append((time.perf_counter() - began) * 1000)
    return statistics.median(cpu), statistics.median(wall)


async def ours(specs: Sequence[HostSpec]) -> Cost:
    """A sweep of our drivers, all hosts at once."""
    drivers = [KvmDriver(spec, Nobody()) for spec in specs]
    try:
        for start in range(0, len(drivers), 8):
            await asyncio.gather(*(d.connect() for d in drivers[start : start + 8]))
        await asyncio.gather(*(d.read_slow() for d in drivers))

        async def sweep() -> None:
            await asyncio.gather(*(d.read_slow() for d in drivers))

        return await cost_of(sweep)
    finally:
        await asyncio.gather(*(d.close() for d in drivers))


async def bare(uri: str, hosts: int) -> Cost:
    """getAllDomainStats alone, a thread a host."""
    connections = [libvirt.open(uri) for _ in range(hosts)]

    def sweep() -> None:
        threads = [threading.Thread(target=c.getAllDomainStats) for c in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    try:
        sweep()
        return await cost_of(sweep)
    finally:
        for connection in connections:
            connection.close()


async def compare(label: str, uri: str, floor_uri: str, ssh_config: str = "") -> None:
    """Rows of 1, 10 and 50 hosts."""
    for hosts in (1, 10, 50):
        specs = [HostSpec(f"h{i}", uri, ssh_config=ssh_config) for i in range(hosts)]
        try:
            floor = await bare(floor_uri, hosts)
            mine = await ours(specs)
        except (DriverError, libvirt.libvirtError) as error:
            print(f"{label}, {hosts} hosts: not measured: {error}", flush=True)
            continue
        verdict = "met" if mine[0] <= AIM * floor[0] else "MISSED"
        row(f"{label} sweep of {hosts}, CPU", mine[0], f"<= {AIM} x", floor[0], verdict)
        row(f"{label} sweep of {hosts}, wall", mine[1], "-", floor[1], "")


@contextmanager
def far(target: Path, folder: Path, rtt_ms: float) -> Iterator[Path]:
    """The daemon's socket, ``rtt_ms`` away."""
    listen = folder / "far.sock"
    proxy = Path(__file__).with_name("delay_proxy.py")
    argv = [sys.executable, str(proxy), str(listen), str(target), str(rtt_ms / 2)]
    process = subprocess.Popen(argv)
    try:
        until(listen.is_socket)
        yield listen
    finally:
        process.kill()
        process.wait()


async def behind_sshd(folder: Path, xml: Path, floor_uri: str) -> None:
    """The same through real sshd and our SSH connection; the floor stays the local socket."""
    lab = LabFleet(folder / "lab", hosts=1, guests=0)
    try:
        await asyncio.to_thread(lab.up)
        spec = lab.specs()[0]
        address = spec.uri.partition("://")[2].partition("/")[0]
        query = spec.uri.partition("?")[2]
        uri = f"test+ssh://{address}{xml}" + (f"?{query}" if query else "")
        await compare("test+ssh", uri, floor_uri, spec.ssh_config)
    except DriverError as error:
        print(f"test+ssh: not measured: {error}", flush=True)
    finally:
        await asyncio.to_thread(lab.down)


async def run(folder: Path) -> None:
    """All rows."""
    xml = folder / "fleet.xml"
    fleet_xml(xml)
    daemon = Daemon(folder, 1)
    daemon.start()
    try:
        near = f"test+unix://{xml}?socket={daemon.socket}"
        print(f"{'name':<38}{'value':>13}{'aim':>10}{'floor':>13}{'ratio':>8}  verdict")
        await compare("test+unix", near, near)
        with far(daemon.socket, folder, 80.0) as socket:
            uri = f"test+unix://{xml}?socket={socket}"
            await compare("80 ms away", uri, uri)
        await behind_sshd(folder, xml, near)
    finally:
        daemon.stop()


def main() -> None:
    """Run the benchmark."""
    if reason := available():
        print(f"poll benchmarks: not measured: {reason}")
        return
    with tempfile.TemporaryDirectory(prefix="ncb", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # the daemon runs as another user
        asyncio.run(run(Path(folder)))


if __name__ == "__main__":
    main()
