"""What a sweep of the slow lane costs the client, beside bare getAllDomainStats in the same run.

Two kinds of host, both behind real daemons:

* libvirt's test driver behind one libvirtd, over a socket, the same 80 ms away, and over real
  sshd; 50 domains a host. Its statistics hold the state alone, so it is the hardest comparison:
  the floor has nearly nothing to do.
* Real QEMU guests on two practice hosts, over real sshd, near and with the link 80 ms away. The
  guests are paused, so that what is measured is the reading and not their load.

The floor makes the same call with the same groups over a connection of the same kind: over SSH,
one through the very same SSH link. Rows that say "stock" compare with libvirt's own client instead,
which starts an ``ssh`` process a host; its CPU is counted, in ticks of 10 ms.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import libvirt

from drivers.errors import DriverError
from drivers.kvm.binding import load
from drivers.kvm.driver import KvmDriver
from drivers.lab.fleet import LabFleet
from drivers.lab.host import LabHost
from drivers.model.host import HostSpec
from tests.contract.conftest import Nobody
from tests.kvm.daemon import Daemon, available, until

DOMAINS = 50
GUESTS = 10
SETTLE = 8
"""Sweeps before measuring: new domains are looked up, and asked for jobs a few at a time."""
RTT_MS = 80.0
AIM = 1.5
"""A sweep may take so many times the floor's client CPU."""

GROUPS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_BLOCK
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
)
Cost = tuple[float, float]  # client CPU and wall clock, milliseconds


def row(name: str, value: float, floor: float, *, aim: float = 0.0, unit: str = "ms") -> None:
    """Print one figure beside its floor, and whether an aim of so many floors is met."""
    ratio = value / floor if floor else 0.0
    verdict = ("met" if ratio <= aim else "MISSED") if aim else ""
    aimed = f"<= {aim:g} x" if aim else "-"
    print(
        f"{name:<44}{value:>10.2f} {unit}{aimed:>9}{floor:>10.2f} {unit}{ratio:>7.2f}  {verdict}",
        flush=True,
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


def children_cpu() -> float:
    """Seconds of CPU that the ``ssh`` children of this process have used."""
    ticks = 0
    me = str(os.getpid())
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            head, _, tail = (folder / "stat").read_text().rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        fields = tail.split()
        if fields[1] == me and head.endswith("(ssh"):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def cost_of(sweep: Callable[[], Awaitable[None]], rounds: int, batch: int) -> Cost:
    """Client CPU and wall time of one sweep: the median of ``rounds`` batches.

    A batch of several sweeps, because the CPU of child processes is counted in whole ticks.
    """
    cpu, wall = [], []
    for _ in range(rounds):
        before = children_cpu()
        began, used = time.perf_counter(), time.process_time()
        for _ in range(batch):
            await sweep()
        used = time.process_time() - used
        wall.append((time.perf_counter() - began) * 1000 / batch)
        cpu.append((used + children_cpu() - before) * 1000 / batch)
    return statistics.median(cpu), statistics.median(wall)


async def ours(specs: Sequence[HostSpec], rounds: int, batch: int) -> tuple[Cost, Cost]:
    """A sweep of our drivers, all hosts at once; and the bare call over the same links."""
    drivers = [KvmDriver(spec, Nobody()) for spec in specs]
    try:
        for start in range(0, len(drivers), 8):
            await asyncio.gather(*(d.connect() for d in drivers[start : start + 8]))
        for _ in range(SETTLE):
            await asyncio.gather(*(d.read_slow() for d in drivers))

        async def sweep() -> None:
            await asyncio.gather(*(d.read_slow() for d in drivers))

        mine = await cost_of(sweep, rounds, batch)
        sessions = [driver._up().session for driver in drivers]
        connections = await asyncio.gather(*(session.second() for session in sessions))
        with ThreadPoolExecutor(len(specs)) as pool:
            loop = asyncio.get_running_loop()

            async def floor() -> None:
                calls = [partial(c.getAllDomainStats, GROUPS) for c in connections]
                await asyncio.gather(*(loop.run_in_executor(pool, call) for call in calls))

            await floor()
            bare = await cost_of(floor, rounds, batch)
        for session, connection in zip(sessions, connections, strict=True):
            await session.hang_up(connection)
        return mine, bare
    finally:
        await asyncio.gather(*(d.close() for d in drivers))


def opened(uris: Sequence[str]) -> list[libvirt.virConnect]:
    """A connection for each URI, a few at a time: sshd turns away too many logins at once."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(libvirt.open, uris))


async def stock_cost(uris: Sequence[str], rounds: int, batch: int) -> Cost:
    """getAllDomainStats of libvirt's own client, a thread a host."""
    connections = await asyncio.to_thread(opened, uris)
    with ThreadPoolExecutor(len(uris)) as pool:

        async def sweep() -> None:
            list(pool.map(lambda c: c.getAllDomainStats(GROUPS), connections))

        try:
            await sweep()
            return await cost_of(sweep, rounds, batch)
        finally:
            for connection in connections:
                connection.close()


async def compare(
    label: str, specs: Sequence[HostSpec], stock_uris: Sequence[str], rounds: int, batch: int
) -> None:
    """CPU and wall clock of a sweep of these hosts, beside its floor and the stock client."""
    name = f"{label}, {len(specs)} host{'s' if len(specs) > 1 else ''}"
    try:
        mine, floor = await ours(specs, rounds, batch)
        row(f"{name}: CPU of a sweep", mine[0], floor[0], aim=AIM)
        row(f"{name}: wall of a sweep", mine[1], floor[1])
        if stock_uris:
            rival = await stock_cost(stock_uris, rounds, batch)
            row(f"{name}: CPU, stock", mine[0], rival[0])
            row(f"{name}: wall, stock", mine[1], rival[1])
    except (DriverError, libvirt.libvirtError) as error:
        print(f"{name}: not measured: {error}", flush=True)


@contextmanager
def far(listen: str, target: str) -> Iterator[None]:
    """``target`` at ``listen``, RTT_MS away."""
    proxy = Path(__file__).with_name("delay_proxy.py")
    argv = [sys.executable, str(proxy), listen, target, str(RTT_MS / 2)]
    process = subprocess.Popen(argv)
    try:
        until(lambda: _listens(listen))
        yield
    finally:
        process.kill()
        process.wait()


def _listens(place: str) -> bool:
    if place.startswith("/"):
        return Path(place).is_socket()
    address, _, port = place.rpartition(":")
    try:
        socket.create_connection((address, int(port)), 1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A TCP port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_driver(folder: Path, xml: Path) -> None:
    """libvirt's test driver behind one real libvirtd, near and far."""
    daemon = Daemon(folder, 1)
    daemon.start()
    near, away = str(daemon.socket), str(folder / "far.sock")
    try:
        with far(away, near):
            for label, place, sizes in (
                ("test driver", near, ((1, 9, 20), (10, 5, 5), (50, 5, 2))),
                ("test driver 80 ms away", away, ((1, 3, 5), (10, 3, 2), (50, 3, 1))),
            ):
                for hosts, rounds, batch in sizes:
                    uri = f"test+unix://{xml}?socket={place}"
                    specs = [HostSpec(f"h{i}", uri) for i in range(hosts)]
                    await compare(label, specs, (), rounds, batch)
    finally:
        daemon.stop()


def guest_xml(host: LabHost, number: int) -> str:
    """A guest with two disks and a card, without an operating system."""
    disks = "".join(
        f"<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
        f"<source file='{host.pool_path('hot')}/bench{number}{letter}.raw'/>"
        f"<target dev='vd{letter}' bus='virtio'/></disk>"
        for letter in "ab"
    )
    return (
        f"<domain type='qemu'><name>bench{number}</name><memory unit='MiB'>16</memory>"
        "<vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>"
        f"<devices>{disks}<interface type='user'/><memballoon model='virtio'/></devices></domain>"
    )


def add_guests(host: LabHost) -> None:
    """Start the paused guests of one host."""
    for number in range(GUESTS):
        for letter in "ab":
            with (host.pool_folder("hot") / f"bench{number}{letter}.raw").open("wb") as file:
                file.truncate(1 << 20)
        text = host.pool_folder("hot") / f"bench{number}.xml"
        text.write_text(guest_xml(host, number))
        host.virsh("create", f"{host.pool_path('hot')}/bench{number}.xml", "--paused")


def stock(uri: str, wrapper: Path) -> str:
    """The URI for libvirt's own client, which runs ssh with the lab's configuration."""
    return f"{uri}{'&' if '?' in uri else '?'}command={wrapper}&no_tty=1"


def wrapper_for(folder: Path, config: str, name: str) -> Path:
    """What libvirt's own client runs in the place of ``ssh``."""
    wrapper = folder / name
    wrapper.write_text(f'#!/bin/sh\nexec ssh -F {config} "$@"\n')
    wrapper.chmod(0o700)
    return wrapper


def far_config(folder: Path, spec: HostSpec, port: int) -> str:
    """An ssh_config by which the host is reached through the proxy at ``port``."""
    config = folder / "far_config"
    config.write_text(
        f"Host {spec.name}\n  HostName 127.0.0.1\n  Port {port}\nInclude {spec.ssh_config}\n"
    )
    return str(config)


async def practice_hosts(folder: Path, xml: Path) -> None:
    """Over real sshd: the test driver, and real QEMU near and far."""
    lab = LabFleet(folder / "lab", hosts=2, guests=0)
    try:
        await asyncio.to_thread(lab.up)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(add_guests, lab.hosts))
        specs = list(lab.specs())
        wrapper = wrapper_for(folder, specs[0].ssh_config, "ssh")
        address = specs[0].uri.partition("://")[2].partition("/")[0]
        tested = replace(specs[0], uri=f"test+ssh://{address}{xml}")
        for hosts, rounds, batch in ((1, 5, 20), (10, 3, 5)):
            floor = [stock(tested.uri, wrapper)] * hosts
            await compare("test driver over sshd", [tested] * hosts, floor, rounds, batch)
        await connect_time("connect over sshd", specs[0], wrapper)
        for hosts, rounds, batch in ((1, 5, 4), (10, 5, 2)):
            several = [specs[i % 2] for i in range(hosts)]
            floor = [stock(spec.uri, wrapper) for spec in several]
            await compare("QEMU over sshd", several, floor, rounds, batch)
        port, place = free_port(), lab.hosts[0].place
        with far(f"127.0.0.1:{port}", f"{place.address}:{place.port}"):
            config = far_config(folder, specs[0], port)
            away, wrapper = replace(specs[0], ssh_config=config), wrapper_for(folder, config, "f")
            await connect_time("connect 80 ms away", away, wrapper)
            floor = [stock(away.uri, wrapper)]
            await compare("QEMU 80 ms away", [away], floor, 3, 3)
            await compare("QEMU 80 ms away", [away] * 5, floor * 5, 3, 1)
    except (DriverError, libvirt.libvirtError) as error:
        print(f"practice hosts: not measured: {error}", flush=True)
    finally:
        await asyncio.to_thread(lab.down)


async def connect_time(label: str, spec: HostSpec, wrapper: Path) -> None:
    """Median wall clock of ``connect``, beside opening libvirt's own client and asking nothing."""
    mine, floor = [], []
    for _ in range(5):
        driver = KvmDriver(spec, Nobody())
        began = time.perf_counter()
        await driver.connect()
        mine.append((time.perf_counter() - began) * 1000)
        await driver.close()
        began = time.perf_counter()
        conn = await asyncio.to_thread(libvirt.open, stock(spec.uri, wrapper))
        floor.append((time.perf_counter() - began) * 1000)
        conn.close()
    row(label, statistics.median(mine), statistics.median(floor))


async def run(folder: Path) -> None:
    """All rows; SIGTERM ends it as an error would, so that hosts and daemons go away."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    xml = folder / "fleet.xml"
    fleet_xml(xml)
    print(f"{'name':<44}{'value':>13}{'aim':>9}{'floor':>13}{'ratio':>7}  verdict")
    await test_driver(folder, xml)
    await practice_hosts(folder, xml)


def main() -> None:
    """Run the benchmark."""
    if reason := available():
        print(f"poll benchmarks: not measured: {reason}")
        return
    load()  # libvirt's events and errors are ours before the first connection
    with tempfile.TemporaryDirectory(
        prefix="ncb", dir="/var/tmp", ignore_cleanup_errors=True
    ) as folder:
        Path(folder).chmod(0o755)  # the daemon runs as another user
        asyncio.run(run(Path(folder)))


if __name__ == "__main__":
    main()
