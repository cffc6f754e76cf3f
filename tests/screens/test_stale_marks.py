"""Every value has an age: what is stale says so in words and since when, on every screen."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from console.app import NovaCronApp
from console.backend import JobsReady
from console.views import Place
from drivers.model.fleet import FleetSnapshot
from drivers.model.history import HistoryQuery, Series
from drivers.model.host import Host
from drivers.model.job import Action, Job, JobState
from drivers.model.matrix import Matrix
from screens.format import age
from screens.render.preflight import place_arg
from screens.table import LineTable
from screens.vm import VmScreen
from tests.screens.backend import FakeBackend, done
from tests.screens.conftest import Running, arrived, until
from tests.screens.fleets import NOW, make_fleet, make_host, make_vm
from tests.screens.stage import plan, progress, shown_text

LOST_S = 95.0
"""Seconds since kvm4 of the small fleet was read."""

MAIL = make_vm(21, "kvm4")
SAID = age(NOW - LOST_S, NOW)
LATE = "kvm5"
"""A host whose /proc is read while its libvirt is silent."""


class Losing(FakeBackend):
    """One host is gone, one's libvirt is silent, a job has no news, and nothing is recorded."""

    def __init__(self) -> None:
        whole = make_fleet()
        silent = replace(
            make_host(5, [make_vm(51, LATE, "half", slow_at=NOW - LOST_S)]), slow_at=NOW - LOST_S
        )
        super().__init__(FleetSnapshot(NOW, 1, (*whole.hosts, silent)))
        quiet = progress(at=NOW - LOST_S)
        moving = plan(Action.MIGRATE, title="Migrate web1 from kvm1 to kvm2")
        self.jobs = (Job("j1", moving, JobState.RUNNING, (), quiet, "", NOW - 200, NOW - 200),)

    def start(self, publish: Callable[..., None]) -> None:
        super().start(publish)
        publish(JobsReady(self.jobs))

    def history(self, queries: tuple[HistoryQuery, ...]) -> Future[tuple[Series, ...]]:
        times = tuple(NOW - LOST_S - 10.0 * n for n in reversed(range(30)))
        found = (Series(q, q.ident, times, (1.0,) * 30, (1.0,) * 30, 10.0, "raw") for q in queries)
        return done(tuple(found))

    def preflight(self, uuids: tuple[str, ...], hosts: tuple[str, ...]) -> Future[Matrix]:
        made = super().preflight(uuids, hosts).result()
        return done(replace(made, at=NOW - LOST_S))


@pytest.fixture
def backend() -> FakeBackend:
    """What cannot be read any more, and what still can."""
    return Losing()


EVERY: dict[str, tuple[Place, tuple[str, ...]]] = {
    "fleet": (Place("fleet"), (f"{SAID}!", "~1", "4/5 hosts")),
    "hosts": (Place("hosts"), ("!down", f"{SAID}!", "~1/1")),
    "host": (Place("host", "kvm4"), (f"STALE: last read {SAID} ago", f"{SAID}!", "~running")),
    "host whose libvirt is silent": (
        Place("host", LATE), (f"STALE: libvirt last answered {SAID} ago", f"{SAID}!"),
    ),
    "vms": (Place("vms"), ("~running", f"{SAID}!")),
    "vm": (Place("vm", MAIL.uuid), ("~running", f"STALE: last read {SAID} ago")),
    "vm whose libvirt is silent": (
        Place("vm", make_vm(51, LATE).uuid), (f"STALE: libvirt last told {SAID} ago",),
    ),
    "storage": (Place("storage"), ("stale", "20s!", "~")),
    "jobs": (Place("jobs"), (f"quiet {SAID}", f"no news for {SAID}")),
    "history": (Place("history"), (f"{SAID}!",)),
    "preflight": (
        Place("preflight", place_arg((MAIL.uuid,), ("kvm1",))), (f"found {SAID} ago: STALE",),
    ),
}  # fmt: skip
"""Every screen that shows what was read, and what marks the old there."""

LOOKS = {
    "80 columns": {},
    "sixteen colours": {"theme": "novacron-16"},
    "ASCII": {"ascii": True, "theme": "novacron-16"},
    "no colour": {},
}


@pytest.mark.parametrize("look", LOOKS)
async def test_what_is_stale_says_so(
    running: Running, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """On every screen: in words, in 80 columns, whatever the terminal can show."""
    if look == "no colour":
        monkeypatch.setenv("NO_COLOR", "1")
    async with running(size=(80, 50), **LOOKS[look]) as (app, pilot):
        for place, marks in EVERY.values():
            app.go(place)
            await until(pilot, lambda place=place: arrived(app, place))  # type: ignore[misc]
            await shown(app, pilot, marks)


async def shown(app: NovaCronApp, pilot: Pilot[None], marks: tuple[str, ...]) -> None:
    """Wait for all marks."""
    await until(pilot, lambda: all(mark in shown_text(app) for mark in marks))


@pytest.mark.parametrize(
    ("vm", "disks", "nics"),
    [(MAIL, True, True), (make_vm(51, LATE), True, False), (make_vm(1, "kvm1"), False, False)],
    ids=["lost", "silent", "fresh"],
)
async def test_old_figures_of_a_vm_have_another_colour(
    running: Running, vm: object, disks: bool, nics: bool
) -> None:
    """Disks are told by libvirt, interfaces by /proc: each is as old as its source."""
    uuid = getattr(vm, "uuid", "")
    async with running() as (app, pilot):
        app.go(Place("vm", uuid))
        await until(pilot, lambda: isinstance(app.front, VmScreen) and app.front.is_mounted)
        assert app.front is not None
        await until(pilot, lambda: bool(app.front and app.front.query_one("#disks").rows))  # type: ignore[attr-defined]
        assert app.front.query_one("#disks", LineTable).has_class("-stale") is disks
        assert app.front.query_one("#nics", LineTable).has_class("-stale") is nics


def host_of(snapshot: FleetSnapshot, name: str) -> Host:
    """The host of that name."""
    found = snapshot.host(name)
    assert found is not None
    return found


async def test_what_was_busy_when_its_host_was_lost_is_not_among_the_busiest(
    running: Running, backend: FakeBackend
) -> None:
    """Nor do its host's figures count among those of the fleet."""
    lost = host_of(backend.snapshot, "kvm4")
    busy = replace(lost, vms=(replace(lost.vms[0], cpu_pct=100.0),))
    hosts = tuple(busy if host is lost else host for host in backend.snapshot.hosts)
    backend.snapshot = replace(backend.snapshot, hosts=hosts)
    async with running(size=(160, 50)) as (app, pilot):
        await shown(app, pilot, ("Busiest VMs", "4/5 hosts", "half"))
        assert app.front is not None
        names = [row.item.vm.name for row in app.front.query_one("#busy", LineTable).rows]
        assert "half" in names
        assert "mail" not in names


async def test_before_any_answer_nobody_says_that_no_vm_runs(
    running: Running, backend: FakeBackend
) -> None:
    """That is not known yet."""
    calm = replace(make_host(1), fast_at=0.0, slow_at=0.0, vms=(), pools=(), load=None)
    backend.snapshot = FleetSnapshot(NOW, 1, (calm,))
    async with running(size=(160, 50)) as (app, pilot):
        await shown(app, pilot, ("Busiest VMs", "Waiting for the first answer of a host"))
        assert "no VM runs" not in shown_text(app)
