"""The store's figures, each beside a floor of the same run.

``NOVACRON_BENCH_ROWS`` names the sizes in millions, ``10,100`` unless told; 100 million take a few
minutes and 3 GB in ``NOVACRON_BENCH_DIR`` (a folder of its own in /var/tmp unless told).
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from drivers.model.history import VM_METRICS, HistoryQuery
from drivers.model.host import Host
from store import queries
from store.recorder import Recorder
from store.ring import Ring
from store.sample import pack
from store.settings import DAY, HOUR, StoreSettings
from tests.bench.calm import CalmFleet, fresh
from tests.bench.part import end_tidily, protected, scratch
from tests.bench.table import Beside, Table, above, below, percentile
from tests.store.fleet import T0, noisy_fleet, uuid

VMS = 1000
STEP_S = 5
SPARSE_S = 10
"""Between samples of the smaller sizes, so that they reach back 24 h as well."""
PER_HOST = 50
ALWAYS = 4e9  # fresh at every moment of the run
LATE_S = 120.0  # an hour is packed once it is over for a while
_FIGURES = ", ".join("(random() * 200)::SMALLINT + 900" for _ in VM_METRICS[3:])


@contextmanager
def recorder(settings: StoreSettings, base: Path) -> Iterator[Recorder]:
    """A recorder on an empty file."""
    with tempfile.TemporaryDirectory(dir=base) as folder:
        made = Recorder(Path(folder) / "history.duckdb", settings, Ring(10_000_000))
        made.open()
        try:
            yield made
        finally:
            made.close()


def noisy(count: int) -> list[tuple[Host, ...]]:
    """Samples of a fleet in which every figure of every guest is independent noise."""
    chance = random.Random(1)
    return [fresh(noisy_fleet(VMS // PER_HOST, PER_HOST, T0, chance), ALWAYS) for _ in range(count)]


def calm(count: int) -> list[tuple[Host, ...]]:
    """Samples of a fleet whose guests are mostly idle, there and back so that nothing jumps."""
    fleet = CalmFleet(VMS // PER_HOST, PER_HOST, seed=1)
    there = [fresh(fleet.next(T0), ALWAYS) for _ in range(count // 2)]
    return there + there[::-1]


def bench_insert(table: Table, base: Path) -> None:
    """From Host values to committed rows, beside rows already made in a bare table."""
    sweeps, batch, rounds = noisy(10), 10, 20
    rates, floors = [], []
    with recorder(StoreSettings(clock=lambda: T0), base) as made, protected() as words:
        table.note(f"insert and questions {words}")
        for i in range(rounds):
            started = time.perf_counter()
            for j, hosts in enumerate(sweeps):
                at = T0 + STEP_S * (i * batch + j)
                made.ring.put("bench", [b for h in hosts if (b := pack(at, h))])
            made.step(last=True)
            rates.append(VMS * batch / (time.perf_counter() - started))
            if i % 5 == 0:
                floors.append(VMS * batch / appender_seconds(base, VMS * batch))
    floor = Beside("DuckDB's appender, bare", statistics.median(floors))
    rate = statistics.median(rates)
    table.row("store insert, samples a second", rate, "/s", beside=floor, aim=above(200_000))


def appender_seconds(base: Path, size: int) -> float:
    """DuckDB's own Appender into a bare table, one commit."""
    with tempfile.TemporaryDirectory(dir=base) as folder:
        bare = duckdb.connect(str(Path(folder) / "bare.duckdb"))
        columns = ", ".join(f"{metric} SMALLINT" for metric in VM_METRICS)
        bare.execute(f"CREATE TABLE bare (ts UINTEGER, vm INTEGER, {columns})")
        rows = [(int(T0), i, *([7] * len(VM_METRICS))) for i in range(size)]
        started = time.perf_counter()
        bare.begin()
        with bare.appender("bare") as appender:
            appender.append_rows(rows)
        bare.commit()
        spent = time.perf_counter() - started
        bare.close()
    return spent


def bench_size(
    table: Table, base: Path, name: str, sweeps: Sequence[tuple[Host, ...]], reason: str = ""
) -> None:
    """Bytes at rest of two hours of 1,000 VMs every 5 s, beside the same as plain floats."""
    now = [T0]
    sweeps_of_two_hours = int(2 * HOUR / STEP_S)
    with recorder(StoreSettings(clock=lambda: now[0]), base) as made:
        empty = used(made)
        for i in range(sweeps_of_two_hours):
            at = T0 + STEP_S * i
            hosts = sweeps[i % len(sweeps)]
            made.ring.put("bench", [b for h in hosts if (b := pack(at, h))])
            if i % 20 == 0:
                made.step(last=True)
        now[0] = T0 + 2 * HOUR + LATE_S
        made.step()
        samples = sweeps_of_two_hours * VMS
        with made.database.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        each = (used(made) - empty) / samples
        floor = Beside("as plain 32-bit floats", floats(made, base) / samples)
    day = each * VMS * DAY / STEP_S / 1e6
    table.row(f"bytes a sample at rest, {name}", each, "B", beside=floor)
    name = f"store a day, 1,000 VMs every 5 s, {name}"
    table.row(name, day, "MB", aim=below(250), reason=reason)


def used(made: Recorder) -> int:
    """Bytes of the blocks in use."""
    with made.database.cursor() as cursor:
        found = cursor.execute(
            "SELECT used_blocks * block_size FROM pragma_database_size()"
        ).fetchone()
    return int(found[0]) if found else 0


def floats(made: Recorder, base: Path) -> int:
    """Bytes of the same samples in natural order as 32-bit floats."""
    with tempfile.TemporaryDirectory(dir=base) as folder:
        bare = Path(folder) / "floats.duckdb"
        with made.database.cursor() as cursor:
            figures = cursor.execute(
                "SELECT * EXCLUDE (time, vm, uuid) FROM vm_samples ORDER BY ts, uuid"
            ).fetchnumpy()
        connection = duckdb.connect(str(bare))
        connection.register("figures", figures)
        columns = ", ".join(f"{metric}::FLOAT AS {metric}" for metric in VM_METRICS)
        connection.execute(f"CREATE TABLE bare AS SELECT ts, {columns} FROM figures")  # noqa: S608
        connection.close()
        return bare.stat().st_size


def bench_queries(table: Table, base: Path, millions: int) -> None:
    """Latency of a 1 h and a 24 h question, beside a bare count of the same rows."""
    step = SPARSE_S if millions <= 10 else STEP_S
    seconds = millions * 1_000_000 // VMS * step
    end, now = T0 + seconds, [T0]
    settings = StoreSettings(clock=lambda: now[0], raw_s=60 * DAY)
    with recorder(settings, base) as made:
        started = time.perf_counter()
        fill(made, now, seconds, step)
        took = time.perf_counter() - started
        table.note(f"{millions} M rows made in {took:.0f} s: {HOW}")
        with made.database.cursor() as cursor, protected():
            for name, span in (("1 h", HOUR), ("24 h", DAY)):

                def ours(vm: int, since: float = end - span) -> None:
                    ask(cursor, settings, vm, since, end)

                def bare(vm: int, since: float = end - span) -> None:
                    count(cursor, vm, since)

                spent, least = latency(ours), latency(bare)
                for share in (0.5, 0.95):
                    floor = Beside("bare count of its rows", percentile(least, share))
                    table.row(
                        f"{name} of one VM, {millions} M rows, p{share * 100:.0f}",
                        percentile(spent, share),
                        beside=floor,
                        aim=below(20) if share > 0.5 else None,
                    )


HOW = "SQL puts an hour of random samples where recording does, then the recorder's own packing"


def fill(made: Recorder, now: list[float], seconds: int, step: int) -> None:
    """The file as recording would have left it: all but the last hour packed and summed up."""
    with made.database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rec.vm SELECT i + 1, ?[:28] || lpad(lower(to_hex(?::BIGINT + i)), 8, '0'),"
            " 'web' || i, 0 FROM range(?) AS r(i)",
            [uuid(0), int(uuid(0)[-8:], 16), VMS],
        )
    for start in range(0, seconds, int(HOUR)):
        stop = min(start + int(HOUR), seconds)
        with made.database.cursor() as cursor:
            cursor.execute(
                "INSERT INTO rec.vm_live SELECT t AS ts, i + 1 AS vm,"  # noqa: S608
                f" (random() * 300)::SMALLINT, 0, (random() * 5)::SMALLINT, {_FIGURES}"
                " FROM range(?, ?, ?) AS a(t), range(?) AS b(i) ORDER BY ts, vm",
                [int(T0) + start, int(T0) + stop, step, VMS],
            )
        now[0] = T0 + stop + (LATE_S if stop < seconds else 0)
        made.step()


def ask(
    cursor: duckdb.DuckDBPyConnection, settings: StoreSettings, vm: int, since: float, until: float
) -> None:
    """One question as the History screen asks it."""
    query = HistoryQuery("vm", uuid(vm), "cpu", since, until)
    assert queries.history(cursor, query, settings).means


def count(cursor: duckdb.DuckDBPyConnection, vm: int, since: float) -> None:
    """The least DuckDB can do to find the same rows."""
    cursor.execute(
        "SELECT count(cpu) FROM rec.vm_hist WHERE vm = ? AND ts >= ?", [vm + 1, int(since)]
    ).fetchone()


def latency(ask_one: Callable[[int], None], times: int = 100) -> list[float]:
    """Milliseconds of each question about a random VM, the first few not counted."""
    chance = random.Random(7)
    spent = []
    for _ in range(times):
        vm = chance.randrange(VMS)
        started = time.perf_counter()
        ask_one(vm)
        spent.append(1000 * (time.perf_counter() - started))
    return spent[5:]


def main() -> None:
    """Print all figures."""
    table = Table()
    end_tidily()
    with scratch() as folder:
        base = Path(os.environ.get("NOVACRON_BENCH_DIR", folder))
        bench_insert(table, base)
        bench_size(table, base, "pure noise", noisy(60), "noise in every figure compresses little")
        bench_size(table, base, "mostly idle guests", calm(240))
        for size in os.environ.get("NOVACRON_BENCH_ROWS", "10,100").split(","):
            bench_queries(table, base, int(size))


if __name__ == "__main__":
    main()
