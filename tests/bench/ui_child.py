"""The console over a made-up fleet, started in a pty by ``bench_ui``; notes what it measures.

Run as ``python -m tests.bench.ui_start VMS MODE NOTES``. MODE is ``idle`` (new readings, same
values) or ``busy`` (every figure of a tenth of the fleet changes ten times a second, and a VM is
renamed five times a second so that its way to the terminal can be timed).
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from console.app import NovaCronApp
from console.appsettings import AppSettings
from console.backend import EventsReady, News, SnapshotReady
from console.headless.interface import SWITCH_S
from console.tidy import Tidy
from drivers.model.event import Event, EventKind
from drivers.model.fleet import FleetSnapshot
from drivers.model.host import Host, HostFacts, HostLoad, HostSpec, Link, LinkState
from drivers.model.vm import Vm, VmDisk, VmNic, VmState

HOSTS = 100
STEP_S = 0.01
"""How often the loop is asked to be on time."""


def make_host(number: int, vms: int, now: float) -> Host:
    """A host with running VMs."""
    name = f"kvm{number:03d}"
    guests = tuple(
        Vm(
            f"{number:08d}-0000-4000-8000-{n:012d}", f"vm{number:03d}-{n:04d}", name,
            VmState.RUNNING, vcpus=2, memory=2 << 30, memory_used=1 << 30, rss=1 << 30,
            cpu_pct=float((number + n) % 100), read_bps=1e6, write_bps=2e6,
            disks=(VmDisk("vda", f"/pool/{n}"),), nics=(VmNic(f"vnet{n}", rx_bps=1e3, tx_bps=1e3),),
            started_at=now - 9000, slow_at=now, fast_at=now,
        )
        for n in range(vms)
    )  # fmt: skip
    load = HostLoad(cpu_pct=20.0, load1=1.0, memory_total=64 << 30, memory_available=40 << 30)
    return Host(
        HostSpec(name, f"qemu+ssh://root@{name}/system", fast_s=1.0), Link(LinkState.UP, now),
        HostFacts(cpus=32), load, guests, fast_at=now, slow_at=now,
    )  # fmt: skip


def moved_on(host: Host, tick: int, now: float, *, busy: bool) -> Host:
    """The host a reading later; when busy, with other figures."""
    if not busy:
        guests = tuple(replace(vm, fast_at=now) for vm in host.vms)
    else:
        guests = tuple(
            replace(vm, fast_at=now, cpu_pct=float((tick * 7 + n) % 100), read_bps=tick * 1e5 + n)
            for n, vm in enumerate(host.vms)
        )
    return replace(host, vms=guests, fast_at=now, slow_at=now)


class BenchBackend:
    """Publishes from a thread of its own, as the engine does."""

    def __init__(self, vms: int, mode: str, note: Callable[[str], None]) -> None:
        self._vms = vms
        self._hosts: list[Host] = []
        self._busy = mode == "busy"
        self._note = note
        self._publish: Callable[[News], None] = lambda _news: None

    def start(self, publish: Callable[[News], None]) -> None:
        self._publish = publish
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        now = time.time()
        counts = [self._vms // HOSTS + (n < self._vms % HOSTS) for n in range(HOSTS)]
        self._hosts = [make_host(n, count, now) for n, count in enumerate(counts)]
        tick, tidy = 0, Tidy()
        self._send(tick)
        while True:
            time.sleep(0.1)
            tick += 1
            now = time.time()
            for n in range(tick % 10, HOSTS, 10):
                self._hosts[n] = moved_on(self._hosts[n], tick, now, busy=self._busy)
            self._send(tick)
            tidy.round()
            if self._busy and tick % 2:
                time.sleep(0.037)
                self._rename(tick)

    def _send(self, tick: int) -> None:
        picture = FleetSnapshot(time.time(), tick, tuple(self._hosts), simulated=True)
        self._publish(SnapshotReady(picture))

    def _rename(self, tick: int) -> None:
        """What an event does: its VM changes at once."""
        name = f"aa{tick:06d}"
        first = self._hosts[0]
        guests = (replace(first.vms[0], name=name), *first.vms[1:])
        self._hosts[0] = replace(first, vms=guests)
        self._note(f"event {name} {time.monotonic()}")
        self._publish(EventsReady((Event(time.time(), EventKind.LIFECYCLE, first.name, name),)))
        self._send(tick)

    def stop(self) -> None:
        """The thread is a daemon."""

    def __getattr__(self, name: str) -> Callable[..., Future[Any]]:
        """Nothing else is asked while measuring."""
        raise AttributeError(name)


async def watch_loop(note: Callable[[str], None]) -> None:
    """Note how late the interface's loop is; only after the start is over."""
    await asyncio.sleep(1.5)
    while True:
        wanted = time.monotonic() + STEP_S
        await asyncio.sleep(STEP_S)
        note(f"late {time.monotonic() - wanted:.6f}")


class BenchApp(NovaCronApp):
    """Notes when it is up."""

    note: Callable[[str], None]

    def on_ready(self) -> None:
        self.run_worker(watch_loop(self.note))


def main() -> None:
    """Run until told to end."""
    sys.setswitchinterval(SWITCH_S)
    vms, mode, path = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    with path.open("a", buffering=1) as notes:

        def note(line: str) -> None:
            notes.write(f"{line}\n")

        app = BenchApp(BenchBackend(vms, mode, note), settings=AppSettings(fleet="bench"))  # type: ignore[arg-type]
        app.note = note
        app.run()


if __name__ == "__main__":
    main()
