"""Several consoles on one history: one writes, all read, and any takes over."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from drivers.model.event import Event, EventKind
from store.open import open_store
from store.server import connect_in_folder
from store.settings import StoreSettings
from tests.store.conftest import Clock, Opener, scalar, until
from tests.store.fleet import T0, make_host, make_job, make_vm

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path() -> Iterator[Path]:
    """Where another user can come as far as the store's own folder.

    Each start of pytest closes the folder of all its runs to others, while this one goes on.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "data" / "history.duckdb"


@contextmanager
def console(*arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """Another console's process; killed at the end."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.store.child", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def line(process: subprocess.Popen[str]) -> str:
    """The next line it says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_console_reads_and_records_through_the_first(opened: Opener, clock: Clock) -> None:
    """Both consoles see the same history, whichever recorded it; nobody gets a lock error."""
    first, second = opened(), opened()
    assert (first.status().role, second.status().role) == ("writer", "reader")
    assert second.status().writer_pid == os.getpid()
    second.put_hosts(T0, [make_host("kvm2", T0, (make_vm(2, "kvm2", T0),))])
    second.put_events([Event(T0, EventKind.ACTION, "kvm2", "started web2")])
    second.put_job(make_job("from-second", T0))
    until(lambda: len(first.names("vm")) == 1, "what the second console recorded")
    until(lambda: len(first.events()) == 1, "its event")
    assert [j.id for j in first.jobs()] == ["from-second"]
    assert second.jobs() == first.jobs()


def test_a_host_is_recorded_once(opened: Opener, clock: Clock) -> None:
    """Two consoles watching the same host leave one line of samples and one copy of an event."""
    first, second = opened(), opened()
    event = Event(T0, EventKind.LIFECYCLE, "kvm1", "started", change="started")
    for i in range(10):
        for store in (first, second):
            at = T0 + 5 * i
            store.put_hosts(at, [make_host("kvm1", at, (make_vm(1, "kvm1", at),))])
    first.put_events([event])
    second.put_events([event])
    until(lambda: second.status().pending == 0 == first.status().pending, "all is written")
    first.put_job(make_job("x", T0))
    assert scalar(first, "SELECT count(*) FROM vm_samples") == 10
    assert len(first.events()) == 1


def test_another_takes_over_when_the_writer_closes(opened: Opener, clock: Clock) -> None:
    """The reader becomes the writer within seconds and has all the history."""
    first, second = opened(), opened()
    first.put_job(make_job("a", T0))
    first.close()
    assert [j.id for j in second.jobs()] == ["a"]
    until(lambda: second.status().role == "writer", "the second console writes")
    second.put_job(make_job("b", T0 + 1))
    assert len(second.jobs()) == 2


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_loses_nothing_that_was_durable(path: Path, seed: int) -> None:
    """The writer is killed at a random moment: the waiting console has every durable job."""
    settings = StoreSettings(commit_s=0.05, retry_s=0.1, free_bytes=0)
    with console("record", str(path)) as writer:
        assert line(writer) == "writer"
        store = open_store(path, settings=settings)
        try:
            assert store.status().role == "reader"
            wait = threading.Event()
            wait.wait(random.Random(seed).uniform(0.2, 1.0))
            said: list[str] = []
            reader = threading.Thread(target=lambda: said.extend(writer.stdout or []))
            reader.start()
            until(lambda: bool(said), "it records")
            os.kill(writer.pid, signal.SIGKILL)
            reader.join()
            durable = int([text for text in said if text.endswith("\n")][-1].split()[1])
            assert len(store.jobs(limit=100_000)) >= durable + 1
            until(lambda: store.status().role == "writer", "take-over")
            assert scalar(store, "SELECT count(*) FROM vm_samples") > 0
        finally:
            store.close()


def test_kill_9_loses_five_seconds_at_most(path: Path) -> None:
    """With the rhythm that people have: every sample older than that is on disk."""
    with console("samples", str(path)) as writer:
        told: list[float] = []
        reader = threading.Thread(target=lambda: told.extend(map(float, writer.stdout or [])))
        reader.start()
        until(lambda: bool(told) and told[-1] - told[0] > 6.5, "seconds of samples")
        os.kill(writer.pid, signal.SIGKILL)
        killed = time.time()
        reader.join()
    store = open_store(path, settings=StoreSettings(free_bytes=0), want_writer=False)
    try:
        kept = scalar(store, "SELECT count(*) FROM vm_samples")
        assert kept >= len([at for at in told if at < killed - 5.0]) > 0
    finally:
        store.close()


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_while_packing_counts_every_sample_once(path: Path, seed: int) -> None:
    """Each sample is in one block, and in the means of its minute and its hour exactly once."""
    with console("hours", str(path)) as writer:
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(writer.stdout or []))
        reader.start()
        until(lambda: len(said) > 30 + 7 * seed, "hours pass")
        os.kill(writer.pid, signal.SIGKILL)
        reader.join()
    durable = int([text for text in said if text.endswith("\n")][-1].split()[1]) + 1
    end = T0 + 600 * (durable + 2)
    settings = StoreSettings(clock=lambda: end, ticks=lambda: end - T0, free_bytes=0, raw_s=9e6)
    store = open_store(path, settings=settings)
    try:
        until(lambda: scalar(store, "SELECT max(ts) FROM rec.mark WHERE name = 'packed'")
              > end - 2 * 3600, "the rest is packed")  # fmt: skip
        text = "SELECT count(*), count(DISTINCT (ts, vm)) FROM rec.vm_hist"
        ((packed, different),) = store.sql(text).rows
        assert packed == different
        assert scalar(store, "SELECT sum(n) FROM rec.vm_1m") == packed
        assert scalar(store, "SELECT sum(n) FROM rec.vm_1h") == packed
        assert scalar(store, "SELECT count(*) FROM vm_samples") >= 20 * durable
    finally:
        store.close()


def test_a_stale_socket_is_replaced(opened: Opener, path: Path) -> None:
    """A socket file left by a dead process stops nobody."""
    path.parent.mkdir(mode=0o700)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path) + ".sock")
    left.close()
    assert opened().status().role == "writer"
    assert opened().status().role == "reader"


def test_a_question_without_any_console_is_answered(opened: Opener, path: Path) -> None:
    """The command line reads the file while nobody records, and leaves it to others."""
    opened().put_job(make_job("a", T0))
    asking = opened(want_writer=False)
    assert len(asking.jobs()) == 1


def test_the_command_line_reads_when_nobody_records(path: Path, clock: Clock) -> None:
    """Without a recorder the file itself is read, and is free again at once."""
    settings = StoreSettings(clock=clock, free_bytes=0, commit_s=0.05)
    recorder = open_store(path, settings=settings)
    recorder.put_job(make_job("a", T0))
    recorder.close()
    asking = open_store(path, settings=settings, want_writer=False)
    assert len(asking.jobs()) == 1
    assert asking.status().role == "off"
    again = open_store(path, settings=settings)
    assert again.status().role == "writer"
    again.close()
    asking.close()


def test_files_are_private(opened: Opener, path: Path) -> None:
    """Nobody else may even list the folder."""
    opened().put_job(make_job("a", T0))
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (path.parent, *path.parent.iterdir())}
    assert modes.pop("data") == 0o700
    assert set(modes.values()) == {0o600}
    assert {
        "history.duckdb",
        "history.duckdb.sock",
        "history.duckdb.lock",
        "history.duckdb.wal",
    } <= set(modes)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root")
def test_another_user_is_refused(opened: Opener, path: Path) -> None:
    """By the folder's mode, and by the kernel's word for the peer where modes were loosened."""
    store = opened()
    store.put_job(make_job("a", T0))
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with console("ask", str(path), prefix=as_nobody) as stranger:
        assert line(stranger).startswith("refused: ")
    path.parent.chmod(0o755)
    path.with_name("history.duckdb.sock").chmod(0o666)
    with console("ask", str(path), prefix=as_nobody) as stranger:
        assert "own user only" in line(stranger)
    assert len(store.jobs()) == 1


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root")
def test_the_configured_group_is_let_in(opened: Opener, path: Path) -> None:
    """A member of the group reads; a stranger still does not."""
    opened(group="daemon")
    member = ("setpriv", "--reuid=65534", "--regid=1", "--clear-groups")
    other = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with console("ask", str(path), prefix=member) as peer:
        assert line(peer) == "0"
    with console("ask", str(path), prefix=other) as stranger:
        assert line(stranger).startswith("refused: ")


def test_nonsense_on_the_socket_harms_nobody(opened: Opener, path: Path) -> None:
    """Garbage, huge frames, cut frames and wrong arguments end or fail that request alone."""
    store = opened()
    for raw in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x05hello",
        b"\x00\x00\x10\x00half",
        b"",
        frame({"op": "history", "args": {"query": {"kind": 1}}}),
        frame({"op": "put", "args": {"batches": [[0, "h", "AAAA", [], "", True]]}}),
        frame({"op": "sql", "args": {}}),
        frame({"op": "__class__", "args": {}}),
        frame([1, 2]),
        frame({"op": "jobs", "args": {"limit": 1e400, "unfinished": False}}),
    ):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            connect_in_folder(sock, path.with_name("history.duckdb.sock"))
            with suppress(BrokenPipeError):
                sock.sendall(raw)
                sock.shutdown(socket.SHUT_WR)
            answer = b""
            with suppress(ConnectionResetError):
                answer = sock.recv(65536)
            assert b'"ok"' not in answer
            assert b"internal" not in answer
    assert store.jobs() == []


def frame(value: object) -> bytes:
    """One frame of the protocol."""
    body = json.dumps(value).encode()
    return len(body).to_bytes(4, "big") + body
