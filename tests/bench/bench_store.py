"""The store's figures, each beside a floor of the same run.

``NOVACRON_BENCH_ROWS`` names the sizes in millions, ``10,100`` unless told; 100 million take a few
minutes and 2 GB in ``NOVACRON_BENCH_DIR`` (a temporary folder unless told).
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from drivers.model.history import VM_METRICS, HistoryQuery
from drivers.model.host import Host
from store import queries
from store.recorder import Recorder
from store.ring import Ring
from store.sample import pack
from store.settings import DAY, HOUR, StoreSettings
from tests.store.fleet import T0, noisy_fleet, uuid

_VMS = 1000
_ALWAYS = 4e9  # fresh at every moment of the run
_FIGURES = ", ".join("(random() * 200)::SMALLINT + 900" for _ in VM_METRICS[3:])


def row(name: str, value: str, aim: str, floor: str, verdict: str) -> None:
    """Print one figure."""
    print(f"{name:<34}  {value:>14}  {aim:>14}  {floor:>14}  {verdict}", flush=True)


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


def bench_insert(base: Path) -> None:
    """From Host values to committed rows, beside rows already made in a bare table."""
    sweeps = [fresh(i) for i in range(10)]
    batch, rounds = 10, 20
    with recorder(StoreSettings(clock=lambda: T0), base) as made:
        started = time.perf_counter()
        for i in range(rounds):
            for j, hosts in enumerate(sweeps):
                at = T0 + 5 * (i * batch + j)
                made.ring.put("bench", [b for h in hosts if (b := pack(at, h))])
            made.step(last=True)
        rate = _VMS * batch * rounds / (time.perf_counter() - started)
    floor = _VMS * batch * rounds / appender_seconds(base, rounds, _VMS * batch)
    verdict = "ok" if rate > 200_000 else "MISSED"
    row("store insert, samples/s", f"{rate:,.0f}", "> 200,000", f"{floor:,.0f}", verdict)


def fresh(seed: int) -> tuple[Host, ...]:
    """A busy fleet whose figures never become stale."""
    return tuple(
        replace(
            host,
            fast_at=_ALWAYS,
            slow_at=_ALWAYS,
            vms=tuple(replace(vm, fast_at=_ALWAYS, slow_at=_ALWAYS) for vm in host.vms),
        )
        for host in noisy_fleet(_VMS // 50, 50, T0, random.Random(seed))
    )


def appender_seconds(base: Path, rounds: int, size: int) -> float:
    """DuckDB's own Appender into a bare table, a commit for each batch."""
    with tempfile.TemporaryDirectory(dir=base) as folder:
        bare = duckdb.connect(str(Path(folder) / "bare.duckdb"))
        columns = ", ".join(f"{metric} SMALLINT" for metric in VM_METRICS)
        bare.execute(f"CREATE TABLE bare (ts UINTEGER, vm INTEGER, {columns})")
        rows = [(int(T0), i, *([7] * len(VM_METRICS))) for i in range(size)]
        started = time.perf_counter()
        for _ in range(rounds):
            bare.begin()
            with bare.appender("bare") as appender:
                appender.append_rows(rows)
            bare.commit()
        spent = time.perf_counter() - started
        bare.close()
    return spent


def bench_size(base: Path) -> None:
    """Bytes at rest of two hours of 1,000 busy VMs every 5 s, beside the same as plain floats."""
    now = [T0]
    sweeps = [fresh(i) for i in range(60)]
    with recorder(StoreSettings(clock=lambda: now[0]), base) as made:
        empty = used(made)
        for i in range(1440):
            at = T0 + 5 * i
            made.ring.put("bench", [b for h in sweeps[i % 60] if (b := pack(at, h))])
            if i % 20 == 0:
                made.step(last=True)
        now[0] = T0 + 2 * HOUR + 120
        made.step()
        samples = 1440 * _VMS
        with made.database.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        each = (used(made) - empty) / samples
        floor = floats(made, base) / samples
    day = each * _VMS * 17_280 / 1e6
    row("store at rest, bytes/sample", f"{each:.1f}", "<= 14.5", f"{floor:.1f}", met(each <= 14.5))
    row("store a day, 1,000 VMs at 5 s", f"{day:.0f} MB", "~ 250 MB", "", met(day <= 250))


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


def met(good: bool) -> str:
    """Verdict of an aim."""
    return "ok" if good else "MISSED"


def bench_queries(base: Path, millions: int) -> None:
    """Latency of a 1 h and a 24 h question, beside a bare count of the same rows."""
    step = 10 if millions <= 10 else 5
    seconds = millions * 1_000_000 // _VMS * step
    end = T0 + seconds
    settings = StoreSettings(clock=lambda: end, raw_s=60 * DAY)
    with recorder(settings, base) as made:
        fill(made, step, seconds)
        with made.database.cursor() as cursor:
            for name, span in (("1 h", HOUR), ("24 h", DAY)):
                p50, p95 = latency(lambda vm, s=span: ask(cursor, settings, vm, end - s, end))
                floor, _ = latency(lambda vm, s=span: count(cursor, vm, end - s))
                aim = "< 20 ms" if name == "24 h" else ""
                verdict = met(p95 < 20)
                row(
                    f"store {name} of one VM, {millions} M rows",
                    f"{p50:.1f}/{p95:.1f} ms",
                    aim or "< 20 ms",
                    f"{floor:.1f} ms",
                    verdict,
                )


def fill(made: Recorder, step: int, seconds: int) -> None:
    """Sorted blocks of an hour for 1,000 VMs, the last hour left as it came."""
    with made.database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rec.vm SELECT i + 1, ?[:28] || lpad(lower(to_hex(?::BIGINT + i)), 8, '0'),"
            " 'web' || i, 0 FROM range(?) AS r(i)",
            [uuid(0), int(uuid(0)[-8:], 16), _VMS],
        )
        for start in range(0, seconds, int(HOUR)):
            last = start + HOUR >= seconds
            table, order = ("vm_live", "ts, vm") if last else ("vm_hist", "vm, ts")
            cursor.execute(
                f"INSERT INTO rec.{table} SELECT t AS ts, i + 1 AS vm,"  # noqa: S608
                f" (random() * 300)::SMALLINT, 0, (random() * 5)::SMALLINT, {_FIGURES}"
                f" FROM range(?, ?, ?) AS a(t), range(?) AS b(i) ORDER BY {order}",
                [int(T0) + start, int(T0) + min(start + int(HOUR), seconds), step, _VMS],
            )
        cursor.execute("CHECKPOINT")


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


def latency(ask_one: Callable[[int], None], times: int = 60) -> tuple[float, float]:
    """(p50, p95) in milliseconds over random VMs, the first few not counted."""
    chance = random.Random(7)
    spent = []
    for _ in range(times):
        vm = chance.randrange(_VMS)
        started = time.perf_counter()
        ask_one(vm)
        spent.append(1000 * (time.perf_counter() - started))
    warm = sorted(spent[5:])
    return statistics.median(warm), warm[int(len(warm) * 0.95)]


def main() -> None:
    """Print all figures."""
    base = Path(os.environ.get("NOVACRON_BENCH_DIR", tempfile.gettempdir()))
    sizes = os.environ.get("NOVACRON_BENCH_ROWS", "10,100")
    row("figure", "value", "aim", "floor", "verdict")
    bench_insert(base)
    bench_size(base)
    for size in sizes.split(","):
        bench_queries(base, int(size))


if __name__ == "__main__":
    main()
