"""A console of its own for the tests: opens a store and does as its first argument says."""

from __future__ import annotations

import resource
import secrets
import sys
import threading
import time
from pathlib import Path

from drivers.model.event import Event, EventKind
from store.api import StoreError
from store.open import open_store
from store.settings import StoreSettings
from tests.store.fleet import T0, make_host, make_job, make_vm


def say(text: str) -> None:
    """Tell the test."""
    print(text, flush=True)


def record(path: Path) -> None:
    """Record without end: a sample and a journaled job each round."""
    store = open_store(path, settings=StoreSettings(commit_s=0.05, retry_s=0.1, free_bytes=0))
    say(store.status().role)
    number = 0
    while True:
        now = time.time()
        store.put_hosts(now, [make_host("kvm1", now, (make_vm(1, "kvm1", now),))])
        store.put_job(make_job(f"job{number:06d}", now))
        say(f"durable {number}")
        number += 1


def samples(path: Path) -> None:
    """Record one sample a fifth of a second with the rhythm that people have; tell each."""
    store = open_store(path, settings=StoreSettings(free_bytes=0))
    gate = threading.Event()
    while True:
        now = time.time()
        store.put_hosts(now, [make_host("kvm1", now, (make_vm(1, "kvm1", now),))])
        say(f"{now}")
        gate.wait(0.2)


def hours(path: Path) -> None:
    """Let hours pass in moments, so that most of the time goes into packing."""
    now = [T0]
    settings = StoreSettings(
        clock=lambda: now[0], ticks=lambda: now[0] - T0, commit_s=0.01, free_bytes=0
    )
    store = open_store(path, settings=settings)
    number = 0
    while True:
        now[0] = at = now[0] + 600
        vms = tuple(make_vm(n, "kvm1", at) for n in range(20))
        store.put_hosts(at, [make_host("kvm1", at, vms)])
        store.put_job(make_job(f"job{number:06d}", at))
        say(f"durable {number}")
        number += 1


def ask(path: Path) -> None:
    """Ask one question as whoever we are."""
    try:
        store = open_store(path, settings=StoreSettings(retry_s=0.1), want_writer=False)
        say(str(len(store.names("vm"))))
        store.close()
    except StoreError as error:
        say(f"refused: {error}")


def fill(path: Path) -> None:
    """Fill a small disk until recording pauses; go on once a file named ``go`` is there."""
    limit = int(sys.argv[3])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    guard = int(sys.argv[4])
    store = open_store(path, settings=StoreSettings(commit_s=0.05, retry_s=0.1, free_bytes=guard))
    gate = threading.Event()
    sent, at = 0, time.time()
    while not store.status().paused:
        details = (secrets.token_hex(200) for _ in range(300))
        store.put_events([Event(at, EventKind.ACTION, "kvm1", "x", detail=d) for d in details])
        sent, at = sent + 300, at + 1
        gate.wait(0.02)
    say(f"paused: {store.status().paused}")
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    else:
        (path.parent.parent / "ballast").unlink()
    deadline = time.monotonic() + 20
    while store.status().paused:
        if time.monotonic() > deadline:
            say(f"never resumed: {store.status()}")
            return
        gate.wait(0.05)
    store.put_job(make_job("after", at))
    rows = store.sql("SELECT count(*) FROM events").rows[0][0]
    say(f"resumed: {rows} of {sent}")
    store.close()


if __name__ == "__main__":
    modes = {"record": record, "samples": samples, "hours": hours, "ask": ask, "fill": fill}
    modes[sys.argv[1]](Path(sys.argv[2]))
