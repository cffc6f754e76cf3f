"""What reaches the console by itself: news, questions, how the fleet stands."""

from __future__ import annotations

from dataclasses import replace

from console.backend import EventsReady, QuestionAsked, QuestionSettled, SnapshotReady, StoreReady
from drivers.model.ask import HostKeyQuestion, KeyDecision, SecretQuestion
from drivers.model.event import Event, EventKind
from drivers.model.history import StoreStatus
from drivers.model.host import Host, Link, LinkState
from drivers.model.job import Action, JobState
from screens.fleet import FleetView
from screens.topline import standing
from tests.screens.backend import FakeBackend
from tests.screens.conftest import Running, until
from tests.screens.fleets import NOW, make_vm
from tests.screens.test_app import shown


async def test_quitting_with_jobs_asks(running: Running, backend: FakeBackend) -> None:
    """A running job is named before the console is left; Stay is the default."""
    async with running() as (app, pilot):
        requests = backend._plan(0, _request())
        backend.run((requests,))
        await until(pilot, lambda: "1 job running" in shown(app))
        await pilot.press("q")
        await until(pilot, lambda: "Leave with 1 job running" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        assert app.view.jobs[0].state is JobState.RUNNING


def _request() -> object:
    from drivers.model.job import Request

    return Request(Action.START, make_vm(2, "kvm1").uuid)


async def test_host_key_questions_come_one_at_a_time(
    running: Running, backend: FakeBackend
) -> None:
    """Two questions: the second waits; one that settles itself closes."""
    async with running() as (app, pilot):
        first = HostKeyQuestion("q1", "kvm1", "kvm1:22", "ssh-ed25519", "SHA256:abc")
        second = SecretQuestion("q2", "kvm2", "Password for root@kvm2", "", (("Password:", False),))
        backend.publish(QuestionAsked(first))
        backend.publish(QuestionAsked(second))
        await until(pilot, lambda: "SHA256:abc" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Password for root@kvm2" in shown(app))
        assert ("answer_host_key", ("q1", KeyDecision.REFUSE)) in backend.asked
        backend.publish(QuestionSettled("q2"))
        await until(pilot, lambda: len(app.screen_stack) == 2)


async def test_a_question_that_comes_while_the_console_closes_is_let_be(
    running: Running, backend: FakeBackend
) -> None:
    """As from the timer of one that waited for a pause at the keys."""
    async with running() as (app, pilot):
        await until(pilot, lambda: app.front is not None)
    assert not app.screen_stack
    app.key_at = 0.0
    app._questions.take(QuestionAsked(HostKeyQuestion("q1", "kvm1", "kvm1:22", "rsa", "SHA256:a")))
    assert app._questions._shown is None


async def test_news_reach_the_screen_together(running: Running, backend: FakeBackend) -> None:
    """An event and the picture after it are on the screen at once."""
    async with running() as (app, pilot):
        await pilot.press("3")
        web1 = backend.snapshot.vm(make_vm(1, "kvm1").uuid)
        assert web1 is not None
        hosts = tuple(_without(host, web1.uuid) for host in backend.snapshot.hosts)
        backend.publish(EventsReady((Event(NOW, EventKind.LIFECYCLE, "kvm1", "undefined"),)))
        backend.publish(SnapshotReady(replace(backend.snapshot, hosts=hosts, version=2)))
        await until(pilot, lambda: "web1 " not in shown(app))
        assert app.view.events[-1].text == "undefined"


def _without(host: Host, uuid: str) -> Host:
    return replace(host, vms=tuple(vm for vm in host.vms if vm.uuid != uuid))


async def test_header_tells_simulated_paused_and_lost_recording(
    running: Running, backend: FakeBackend
) -> None:
    """Badges are words: SIMULATED, PAUSED, not recording."""
    async with running(size=(120, 30)) as (app, pilot):
        backend.publish(SnapshotReady(replace(backend.snapshot, simulated=True)))
        backend.publish(StoreReady(StoreStatus("writer", paused="disk full")))
        await pilot.press("Z")
        await until(pilot, lambda: "SIMULATED" in shown(app).splitlines()[0])
        top = shown(app).splitlines()[0]
        assert "PAUSED" in top
        assert "not recording: disk full" in top
        assert ("pause", (True,)) in backend.asked


async def test_all_hosts_down_suspects_the_network(running: Running, backend: FakeBackend) -> None:
    """When every host fails at once, the header says where to look."""
    async with running() as (app, pilot):
        hosts = tuple(replace(h, link=Link(LinkState.DOWN, NOW)) for h in backend.snapshot.hosts)
        backend.publish(SnapshotReady(replace(backend.snapshot, hosts=hosts)))
        await until(pilot, lambda: "suspect the local network" in shown(app).splitlines()[0])


def test_header_drops_the_least_important_first() -> None:
    """In 40 cells hosts stay, recording goes."""
    from screens.base import View
    from tests.screens.fleets import make_fleet

    view = View(NOW, make_fleet(), fleet="a-long-fleet-name")
    assert "hosts 2/4 up" in standing(view, "VMs", 45).plain
    assert "rec" not in standing(view, "VMs", 45).plain
    assert FleetView.heading in standing(view, "Fleet", 80).plain
