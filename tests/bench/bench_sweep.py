"""What a sweep of the slow lane costs the client, beside bare getAllDomainStats in the same run.

Two kinds of host, both behind real daemons:

* libvirt's test driver, 50 domains a host: behind libvirtd's socket, the same 80 ms away, behind
  real sshd, and that 80 ms away. Its statistics hold the state alone, so it is the hardest
  comparison: the bare call has nearly nothing to do.
* Real QEMU guests on four practice hosts behind real sshd, near and (one of them) 80 ms away. They
  are paused, so that what is measured is the reading and not their load.

The bare call asks for the same groups over a connection of the same kind: over SSH, one through the
very same link. The rival is libvirt's own client, which starts an ``ssh`` process a host; its CPU
is counted too, in ticks of 10 ms. Rivals take turns, and a ratio is the median over the rounds.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import libvirt

from console.tidy import Tidy
from drivers.errors import DriverError
from drivers.kvm.binding import load
from drivers.kvm.driver import KvmDriver
from drivers.lab.fleet import LabFleet
from drivers.model.host import HostSpec
from tests.bench import hosts
from tests.bench.cost import Work, beside, compare
from tests.bench.part import end_tidily, protected, scratch
from tests.bench.table import Beside, Table, times
from tests.contract.conftest import Nobody
from tests.kvm.daemon import available

SETTLE = 8
"""Sweeps before measuring: new domains are looked up, and asked for jobs a few at a time."""
HOSTS = 4
"""Practice hosts."""
AIM = times(1.5)
GROUPS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_BLOCK
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
)
BARE, STOCK = "bare call, same link", "libvirt's own ssh client"
LITTLE = "the bare call parses next to nothing of a test domain, and ours makes a whole VM of it"


@dataclass(frozen=True, slots=True)
class Case:
    """Hosts of one kind, and how often they are swept.

    Attributes:
        label: Where they are.
        specs: The hosts.
        stock: URIs of the same hosts for libvirt's own client; none: no rival.
        rounds: Rounds of measuring.
        batch: Sweeps a round.
        reason: Why the aim may be missed.
    """

    label: str
    specs: Sequence[HostSpec]
    stock: Sequence[str]
    rounds: int
    batch: int
    reason: str = ""

    @property
    def name(self) -> str:
        count = len(self.specs)
        return f"{self.label}, {count} host{'s' if count > 1 else ''}"


async def measure(table: Table, case: Case) -> None:
    """The rows of one case."""
    try:
        async with AsyncExitStack() as stack:
            works = await _ours(case.specs, stack)
            if case.stock:
                works[STOCK] = await _stock(case.stock, stack)
            await asyncio.gather(*(work() for work in works.values()))
            costs = await compare(works, case.rounds, case.batch)
    except (DriverError, libvirt.libvirtError) as error:
        table.skip(case.name, error)
        return
    mine = costs.pop("ours")
    for rival, cost in costs.items():
        aim, why = (AIM, case.reason) if rival == BARE else (None, "")
        cpu = beside(rival, mine.cpu, cost.cpu)
        table.row(f"{case.name}: CPU", statistics.median(mine.cpu), beside=cpu, aim=aim, reason=why)
        wall = beside(rival, mine.wall, cost.wall)
        table.row(f"{case.name}: wall", statistics.median(mine.wall), beside=wall)


async def _ours(specs: Sequence[HostSpec], stack: AsyncExitStack) -> dict[str, Work]:
    """A sweep of our drivers, all hosts at once; and the bare call over the same links."""
    drivers = [KvmDriver(spec, Nobody()) for spec in specs]

    async def hang_up() -> None:
        await asyncio.gather(*(driver.close() for driver in drivers))

    stack.push_async_callback(hang_up)
    for start in range(0, len(drivers), 8):  # sshd turns away too many logins at once
        await asyncio.gather(*(d.connect() for d in drivers[start : start + 8]))

    async def sweep() -> None:
        await asyncio.gather(*(driver.read_slow() for driver in drivers))

    for _ in range(SETTLE):
        await sweep()
    sessions = [driver._up().session for driver in drivers]
    connections = await asyncio.gather(*(session.second() for session in sessions))
    for session, connection in zip(sessions, connections, strict=True):
        stack.push_async_callback(session.hang_up, connection)
    return {"ours": sweep, BARE: _bare(connections, stack)}


async def _stock(uris: Sequence[str], stack: AsyncExitStack) -> Work:
    """The bare call of libvirt's own client."""

    def dial() -> list[libvirt.virConnect]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(libvirt.open, uris))

    connections = await asyncio.to_thread(dial)
    for connection in connections:
        stack.push_async_callback(asyncio.to_thread, connection.close)
    return _bare(connections, stack)


def _bare(connections: Sequence[libvirt.virConnect], stack: AsyncExitStack) -> Work:
    """getAllDomainStats on every connection, a thread a host."""
    pool = stack.enter_context(ThreadPoolExecutor(len(connections)))
    loop = asyncio.get_running_loop()

    async def sweep() -> None:
        calls = [partial(c.getAllDomainStats, GROUPS) for c in connections]
        await asyncio.gather(*(loop.run_in_executor(pool, call) for call in calls))

    return sweep


async def connect_time(table: Table, label: str, spec: HostSpec, stock: str) -> None:
    """Median wall clock until a host is connected, beside opening libvirt's own client."""
    mine, floor = [], []
    try:
        for _ in range(5):
            driver = KvmDriver(spec, Nobody())
            began = time.perf_counter()
            await driver.connect()
            mine.append((time.perf_counter() - began) * 1000)
            await driver.close()
            began = time.perf_counter()
            connection = await asyncio.to_thread(libvirt.open, stock)
            floor.append((time.perf_counter() - began) * 1000)
            connection.close()
    except (DriverError, libvirt.libvirtError) as error:
        table.skip(label, error)
        return
    rival = Beside(STOCK, statistics.median(floor))
    table.row(label, statistics.median(mine), beside=rival)


def over_sockets(table: Table, folder: Path, xml: Path) -> None:
    """The test driver behind libvirtd's own socket, near and far."""
    away = str(folder / "far.sock")
    with hosts.daemon(folder) as near, hosts.far(away, near):
        for label, place, sizes in (
            ("socket, test driver", near, ((1, 9, 20), (10, 7, 5), (50, 5, 2))),
            ("socket 80 ms away, test driver", away, ((1, 3, 5), (10, 3, 2), (50, 3, 1))),
        ):
            for count, rounds, batch in sizes:
                uri = f"test+unix://{xml}?socket={place}"
                specs = [HostSpec(f"h{i}", uri) for i in range(count)]
                asyncio.run(measure(table, Case(label, specs, (), rounds, batch, LITTLE)))


def over_ssh(table: Table, folder: Path, xml: Path, lab: LabFleet) -> None:
    """Both kinds of host behind real sshd, near and 80 ms away."""
    first, place = lab.specs()[0], lab.hosts[0].place
    _cases(table, folder, xml, "sshd", lab.specs(), ((1, 7, 20), (10, 5, 5), (50, 3, 2)))
    port = hosts.free_port()
    with hosts.far(f"127.0.0.1:{port}", f"{place.address}:{place.port}"):
        away = replace(first, ssh_config=hosts.far_config(folder, first, port))
        _cases(table, folder, xml, "sshd 80 ms away", [away], ((1, 3, 5), (10, 3, 2), (50, 3, 1)))


def _cases(
    table: Table,
    folder: Path,
    xml: Path,
    label: str,
    specs: Sequence[HostSpec],
    sizes: Sequence[tuple[int, int, int]],
) -> None:
    config = specs[0].ssh_config
    rival = [hosts.stock_uri(spec.uri, folder, config) for spec in specs]
    asyncio.run(connect_time(table, f"connect, {label}", specs[0], rival[0]))
    address = specs[0].uri.partition("://")[2].partition("/")[0]
    tested = replace(specs[0], uri=f"test+ssh://{address}{xml}")
    for count, rounds, batch in sizes:
        stock = [hosts.stock_uri(tested.uri, folder, config)] * count
        case = Case(f"{label}, test driver", [tested] * count, stock, rounds, batch, LITTLE)
        asyncio.run(measure(table, case))
    for count in sorted({1, len(specs)}):
        # Each host once: several sweeps of one at a time find its guests busy with each other.
        case = Case(f"{label}, QEMU", specs[:count], rival[:count], 7, 4)
        asyncio.run(measure(table, case))


def main() -> None:
    """Print every row; what cannot be measured says why."""
    table = Table()
    if reason := available():
        table.skip("sweeps", reason)
        return
    end_tidily()
    load()
    Tidy()  # as the console runs: no garbage collection in the midst of a sweep
    with scratch() as folder, protected() as words:
        table.note(words)
        xml = folder / "fleet.xml"
        hosts.fleet_xml(xml)
        over_sockets(table, folder, xml)
        try:
            with hosts.practice(HOSTS) as lab:
                hosts.add_paused(lab)
                over_ssh(table, folder, xml, lab)
        except DriverError as error:
            table.skip("sweeps over sshd", error)


if __name__ == "__main__":
    main()
