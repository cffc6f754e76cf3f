"""What a person sees when the disk, the log or another program gets in the way."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from drivers.model.host import Host
from store.api import StoreError
from store.migrate import known
from store.open import open_store
from store.ring import Ring
from store.sample import pack
from store.settings import StoreSettings
from tests.store.conftest import Clock, Opener, until
from tests.store.fleet import T0, make_host, make_job, make_vm

ROOT = Path(__file__).resolve().parents[2]


def crashed(path: Path, clock: Clock, aside: Path) -> None:
    """Leave a database as a power cut would: the file and a log that was not checkpointed."""
    store = open_store(path, settings=StoreSettings(clock=clock, commit_s=0.05, free_bytes=0))
    store.put_job(make_job("first", T0))
    store.close()
    store = open_store(path, settings=StoreSettings(clock=clock, commit_s=0.05, free_bytes=0))
    store.put_job(make_job("second", T0 + 1))
    aside.mkdir()
    for file in path.parent.glob("history.duckdb*"):
        if file.is_file():
            shutil.copy(file, aside / file.name)
    store.close()
    shutil.rmtree(path.parent)
    shutil.move(aside, path.parent)


@pytest.mark.parametrize("damage", ["flip", "zeros"])
def test_a_damaged_log_is_set_aside(
    opened: Opener, clock: Clock, path: Path, tmp_path: Path, damage: str
) -> None:
    """Everything but the log's content is there, a warning says so, and the log is kept."""
    crashed(path, clock, tmp_path / "aside")
    log = path.with_name("history.duckdb.wal")
    content = bytearray(log.read_bytes())
    assert len(content) > 100
    if damage == "flip":
        content[len(content) // 2] ^= 0xFF
    else:
        content[-64:] = bytes(64)
        content += bytes(4096)
    log.write_bytes(content)
    store = opened()
    assert "damaged write-ahead log" in store.status().warning
    assert [j.id for j in store.jobs()] == ["first"]
    kept = list(path.parent.glob("history.duckdb.wal.damaged-*"))
    assert [k.read_bytes() for k in kept] == [bytes(content)]
    store.put_job(make_job("third", T0 + 2))
    assert len(store.jobs()) == 2


def test_an_intact_log_is_replayed(
    opened: Opener, clock: Clock, path: Path, tmp_path: Path
) -> None:
    """After a crash nothing that was durable is missing."""
    crashed(path, clock, tmp_path / "aside")
    assert [j.id for j in opened().jobs()] == ["second", "first"]


def test_a_newer_database_is_refused_and_not_touched(clock: Clock, path: Path) -> None:
    """An older console says what to do and leaves every byte as it was."""
    settings = StoreSettings(clock=clock, free_bytes=0)
    open_store(path, settings=settings).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO migration VALUES (999, 'future', 0)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer NovaCron"):
        open_store(path, settings=settings)
    assert path.read_bytes() == before
    assert not path.with_name("history.duckdb.wal").exists()


def test_the_error_of_a_refused_file_holds_none_of_duckdb(clock: Clock, path: Path) -> None:
    """What is alive when the program ends is complained of in many lines."""

    def connections() -> set[int]:
        found = (o for o in gc.get_objects() if isinstance(o, duckdb.DuckDBPyConnection))
        return {id(one) for one in found}

    settings = StoreSettings(clock=clock, free_bytes=0)
    open_store(path, settings=settings).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO migration VALUES (999, 'future', 0)")
    del connection
    gc.collect()
    before = connections()
    with pytest.raises(StoreError) as refused:
        open_store(path, settings=settings)
    assert refused.value.problem.code == "newer-database"
    assert connections() <= before


def test_a_file_of_an_impossible_name_is_told_so(tmp_path: Path, clock: Clock) -> None:
    """DuckDB names the database after its file, and one schema inside has that name already."""
    with pytest.raises(StoreError, match="cannot be called rec") as refused:
        open_store(tmp_path / "rec.duckdb", settings=StoreSettings(clock=clock, free_bytes=0))
    assert "[history]" in str(refused.value)


def test_migrations_are_numbered_and_recorded(opened: Opener) -> None:
    """The file says which steps made it."""
    rows = opened().sql("SELECT number, name FROM migration ORDER BY number").rows
    assert rows == tuple((m.number, m.name) for m in known())
    assert [m.number for m in known()] == list(range(1, len(known()) + 1))


def test_a_file_that_is_no_database_is_refused(opened: Opener, path: Path) -> None:
    """A sentence, not a traceback; the file stays."""
    path.parent.mkdir()
    path.write_bytes(b"my diary" * 1000)
    with pytest.raises(StoreError, match="history"):
        opened()
    assert path.read_bytes() == b"my diary" * 1000


def test_another_program_on_the_file_only_delays(opened: Opener, path: Path) -> None:
    """While a DuckDB shell has the file open recording waits; it starts when the shell ends."""
    opened().close()
    code = (
        f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True);"
        "sys.stdin.read(); c.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        store = opened()
        assert "another program" in store.status().paused
        store.put_hosts(T0, [make_host("kvm1", T0)])
        with pytest.raises(StoreError):
            store.put_job(make_job("a", T0))
        shell.communicate("")
    until(lambda: not store.status().paused, "recording resumes")
    until(lambda: store.names("host") == [("kvm1", "kvm1")], "what waited is written")


def fill_disk(path: Path, limit: int, guard: int, prefix: tuple[str, ...] = ()) -> str:
    """What a console on a small disk says."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "tests.store.child", "fill", str(path), str(limit),
         str(guard)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_write_that_fails_pauses_and_resumes(tmp_path: Path) -> None:
    """The file may not grow: recording pauses visibly, then goes on with nothing lost."""
    said = fill_disk(tmp_path / "data" / "history.duckdb", 3_000_000, 0)
    assert "paused: the disk is full" in said
    counts = said.split("resumed: ")[1].split()
    assert counts[0] == counts[2]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root")
@pytest.mark.parametrize("guard", [0, 2_000_000])
def test_a_full_disk_pauses_and_resumes(tmp_path: Path, guard: int) -> None:
    """A real full filesystem, met by the guard or by the write itself: nothing is lost."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=12m tmpfs {disk} && head -c 6000000 /dev/zero > {disk}/ballast"
        ' && exec "$@"'
    )
    prefix = ("unshare", "-m", "sh", "-c", script, "sh")
    said = fill_disk(disk / "data" / "history.duckdb", 0, guard, prefix)
    assert "paused: " in said, said
    assert "full" in said
    counts = said.split("resumed: ")[1].split()
    assert counts[0] == counts[2]


def test_the_memory_buffer_is_bounded() -> None:
    """While nothing can be written, the oldest samples give way and are counted."""
    ring = Ring(100)
    hosts: list[Host] = [
        make_host("kvm1", T0, tuple(make_vm(i, "kvm1", T0) for i in range(9))) for _ in range(30)
    ]
    ring.put("a", [b for h in hosts if (b := pack(T0, h))])
    assert (ring.pending, ring.dropped) == (100, 200)
    load = ring.take()
    assert (ring.pending, load.samples) == (0, 100)
    ring.put("a", [b for h in hosts[:3] if (b := pack(T0, h))])
    ring.give_back(load)
    assert (ring.pending, ring.dropped) == (100, 230)
